//! The clock that all functions use.

use crate::error::Error;
use crate::settings;
use conductor::code::Code;
use conductor::engine::moment::Moment;
use pgrx::prelude::*;

/// Microseconds from 1970 to 2000, the epoch of PostgreSQL's timestamps.
const EPOCH: i64 = 946_684_800_000_000;

/// Returns the current time, as used by every function.
pub fn now() -> Result<TimestampWithTimeZone, Error> {
    match settings::test_now() {
        None => Ok(pgrx::datum::datetime_support::clock_timestamp()),
        Some(text) => text.parse().ok().filter(is_finite).ok_or_else(|| {
            Error::refused(
                Code::INVALID_ARGUMENT,
                "pg_workflow.test_now is not a valid time",
                "Set it to a timestamp with time zone.",
            )
            .with_detail(text)
        }),
    }
}

fn is_finite(time: &TimestampWithTimeZone) -> bool {
    !time.is_infinity() && !time.is_neg_infinity()
}

/// Returns the time `seconds` later, limited to the range of timestamps.
pub fn after(now: TimestampWithTimeZone, seconds: f64) -> TimestampWithTimeZone {
    let micros = now.into_inner().saturating_add((seconds * 1e6).round() as i64);
    TimestampWithTimeZone::try_from(micros).unwrap_or_else(|_| TimestampWithTimeZone::positive_infinity())
}

/// Returns the time `micros` microseconds after PostgreSQL's epoch, limited to the range of timestamps.
pub fn at(micros: i64) -> TimestampWithTimeZone {
    let limit =
        if micros < 0 { TimestampWithTimeZone::negative_infinity } else { TimestampWithTimeZone::positive_infinity };
    TimestampWithTimeZone::try_from(micros).unwrap_or_else(|_| limit())
}

/// Converts a time to the conductor's type.
pub fn moment(time: TimestampWithTimeZone) -> Moment {
    Moment(time.into_inner().saturating_add(EPOCH))
}

/// Returns the number of seconds between two times, which is negative if the second is earlier.
pub fn seconds(from: TimestampWithTimeZone, to: TimestampWithTimeZone) -> f64 {
    to.into_inner().saturating_sub(from.into_inner()) as f64 / 1e6
}
