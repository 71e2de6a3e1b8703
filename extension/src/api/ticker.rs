//! Starting and stopping the ticker.

use crate::background::ticker_control;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// `workflow_start_ticker` in `sql/ticker.sql`.
#[pg_extern(sql = false)]
fn workflow_start_ticker() -> Result<bool, ErrorReport> {
    ticker_control::start()
}

/// `workflow_stop_ticker` in `sql/ticker.sql`.
#[pg_extern(sql = false)]
fn workflow_stop_ticker() -> Result<bool, ErrorReport> {
    ticker_control::stop()
}
