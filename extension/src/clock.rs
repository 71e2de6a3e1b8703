//! The one clock.

use crate::{error::Error, settings};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The time that every function goes by.
pub fn now() -> Result<TimestampWithTimeZone, Error> {
    match settings::test_now() {
        None => Ok(pgrx::datum::datetime_support::clock_timestamp()),
        Some(text) => text.parse().map_err(|_| {
            Error::refused("WF613", "pg_workflow.test_now is no time", "set it to a timestamp with time zone")
                .with_detail(text)
        }),
    }
}

#[pg_extern(sql = false)]
fn workflow_now() -> Result<TimestampWithTimeZone, ErrorReport> {
    Ok(now()?)
}
