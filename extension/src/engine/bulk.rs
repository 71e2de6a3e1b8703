//! Bulk operations: locking the executions first, and the steps of jobs that workflow_tick runs.

use crate::error::Error;
use crate::pg::statements;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::cell::RefCell;

thread_local! {
    static AUTHOR: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Returns the name of whoever the session is acting for; `None` if it acts for itself.
pub fn author() -> Option<String> {
    AUTHOR.with_borrow(Clone::clone)
}

/// Guard that makes the session act on someone's behalf until it is dropped.
pub struct ActsFor;

impl ActsFor {
    /// Begins to act on someone's behalf.
    pub fn begin(author: &str) -> ActsFor {
        AUTHOR.set(Some(author.to_owned()));
        ActsFor
    }
}

impl Drop for ActsFor {
    /// Also runs when an error is raised.
    fn drop(&mut self) {
        AUTHOR.set(None);
    }
}

/// Executes one step of the job whose turn it is, for up to `max_rows` executions. Returns how much was done.
pub fn step_job(client: &SpiClient, max_rows: i32, now: TimestampWithTimeZone) -> Result<i32, Error> {
    let job = statements::run(client, include_str!("../../queries/find_bulk_job.sql"), &[])?.first().get::<i64>(1)?;
    let Some(job) = job else { return Ok(0) };
    let arguments = [job.into(), max_rows.into(), now.into()];
    let row = statements::run(client, include_str!("../../queries/step_bulk_job.sql"), &arguments)?.first();
    Ok(row.get::<i32>(1)?.unwrap_or_default())
}
