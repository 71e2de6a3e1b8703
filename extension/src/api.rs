//! The functions that SQL calls: arguments in, rows out.

pub mod cron;
pub mod define;
pub mod diagram;
pub mod heartbeat;
pub mod work;
