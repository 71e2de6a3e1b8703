//! Functions called from SQL: they take arguments and return rows.

pub mod archive;
pub mod bulk;
pub mod caches;
pub mod checks;
pub mod control;
pub mod cron;
pub mod define;
pub mod diagram;
pub mod estimates;
pub mod heartbeat;
pub mod idle;
pub mod internal;
pub mod limits;
pub mod parts;
pub mod rerun;
pub mod resolve;
pub mod search;
pub mod signal;
pub mod start;
pub mod task_lists;
pub mod test;
pub mod tick;
pub mod ticker;
pub mod work;
