//! Background processes that run ticks automatically.

pub mod pinned_settings;
pub mod ticker;
pub mod ticker_control;
