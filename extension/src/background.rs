//! The processes that tick without being called.

pub mod pinned_settings;
pub mod ticker;
pub mod ticker_control;
