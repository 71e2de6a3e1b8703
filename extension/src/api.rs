//! Functions called from SQL: they take arguments and return rows.

pub mod cron;
pub mod define;
pub mod diagram;
pub mod heartbeat;
pub mod work;
