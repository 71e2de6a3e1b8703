//! Functions of schema `workflow` that only our own SQL calls: ids, the clock, tokens, and what a transaction is doing.

use crate::pg::advisory_lock::AdvisoryLock;
use crate::pg::clock;
use crate::pg::id;
use crate::pg::random;
use crate::pg::transaction;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// `workflow.make_id` in `sql/internal_functions.sql`.
#[pg_extern(sql = false)]
fn make_id(part: i32, sequence: i64) -> Result<i64, ErrorReport> {
    Ok(id::make(part, sequence)?)
}

/// `workflow.now` in `sql/internal_functions.sql`.
#[pg_extern(sql = false)]
fn workflow_now() -> Result<TimestampWithTimeZone, ErrorReport> {
    Ok(clock::now()?)
}

/// `workflow.lock_grants` in `sql/grants.sql`.
#[pg_extern(sql = false)]
fn workflow_lock_grants() {
    AdvisoryLock::GRANTS.acquire(pg_sys::ExclusiveLock);
}

/// `workflow.draw_token` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_draw_token() -> Result<i64, ErrorReport> {
    Ok(random::token()?)
}

/// `workflow.is_in_progress_elsewhere` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_is_in_progress_elsewhere(xmax: pg_sys::TransactionId) -> bool {
    transaction::is_in_progress_elsewhere(xmax)
}
