//! Background processes that tick on their own.

pub mod pinned_settings;
pub mod ticker;
pub mod ticker_control;
