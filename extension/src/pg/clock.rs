//! The one clock.

use crate::error::Error;
use crate::settings;
use conductor::engine::facts::Moment;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Microseconds from 1970 to 2000, where PostgreSQL's timestamps begin.
const EPOCH: i64 = 946_684_800_000_000;

/// The time that every function goes by.
pub fn now() -> Result<TimestampWithTimeZone, Error> {
    match settings::test_now() {
        None => Ok(pgrx::datum::datetime_support::clock_timestamp()),
        Some(text) => text.parse().map_err(|_| {
            Error::refused("WF613", "pg_workflow.test_now is not a valid time", "set it to a timestamp with time zone")
                .with_detail(text)
        }),
    }
}

/// Returns the time that many seconds later, limited to the range of timestamps.
pub fn after(now: TimestampWithTimeZone, seconds: f64) -> TimestampWithTimeZone {
    let micros = now.into_inner().saturating_add((seconds * 1e6).round() as i64);
    TimestampWithTimeZone::try_from(micros).unwrap_or_else(|_| TimestampWithTimeZone::positive_infinity())
}

/// Returns the time that many microseconds after PostgreSQL's epoch, limited to the range of timestamps.
pub fn at(micros: i64) -> TimestampWithTimeZone {
    let limit =
        if micros < 0 { TimestampWithTimeZone::negative_infinity } else { TimestampWithTimeZone::positive_infinity };
    TimestampWithTimeZone::try_from(micros).unwrap_or_else(|_| limit())
}

/// Returns a time as the conductor takes it.
pub fn moment(time: TimestampWithTimeZone) -> Moment {
    Moment(time.into_inner().saturating_add(EPOCH))
}

/// How many seconds lie between two times; less than none where the second comes first.
pub fn seconds(from: TimestampWithTimeZone, to: TimestampWithTimeZone) -> f64 {
    to.into_inner().saturating_sub(from.into_inner()) as f64 / 1e6
}

#[pg_extern(sql = false)]
fn workflow_now() -> Result<TimestampWithTimeZone, ErrorReport> {
    Ok(now()?)
}
