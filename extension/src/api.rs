//! Functions called from SQL: they take arguments and return rows.

pub mod archive;
pub mod control;
pub mod cron;
pub mod define;
pub mod diagram;
pub mod heartbeat;
pub mod limits;
pub mod rerun;
pub mod resolve;
pub mod search;
pub mod start;
pub mod test;
pub mod work;
