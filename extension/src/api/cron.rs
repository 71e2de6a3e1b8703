//! Due times of schedules.

use crate::error::Error;
use chrono::{DateTime, TimeDelta, Utc};
use conductor::code::Code;
use conductor::cron::{Cron, Mistake};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// PostgreSQL's epoch, 2000-01-01, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

fn cron(line: &str, zone: &str) -> Result<Cron, Error> {
    Cron::parse(line, zone).map_err(|mistake| match mistake {
        Mistake::Line(why) => Error::refused(
            Code::INVALID_ARGUMENT,
            "the cron expression is invalid",
            "Write minute, hour, day of the month, month and day of the week, such as 30 3 * * 1-5.",
        )
        .with_detail(format!("cron is '{}': {why}.", shortened(line))),
        Mistake::Zone => Error::refused(
            Code::INVALID_ARGUMENT,
            "unknown time zone",
            "Use an IANA time zone name, such as Europe/Berlin.",
        )
        .with_detail(format!("time_zone is '{}'.", shortened(zone))),
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

fn time(name: &str, time: TimestampWithTimeZone) -> Result<DateTime<Utc>, Error> {
    let since_1970 = time.into_inner().checked_add(EPOCH).filter(|_| time.is_finite());
    since_1970.and_then(DateTime::from_timestamp_micros).ok_or_else(|| {
        Error::refused(
            Code::INVALID_ARGUMENT,
            format!("{name} is out of range for a schedule"),
            format!("Set {name} to a finite timestamp."),
        )
    })
}

fn stored(time: DateTime<Utc>) -> Option<TimestampWithTimeZone> {
    let micros = time - DateTime::from_timestamp_micros(EPOCH)?;
    TimestampWithTimeZone::try_from(TimeDelta::num_microseconds(&micros)?).ok()
}

/// `workflow.next_due` in `sql/schedule.sql`.
#[pg_extern(sql = false)]
fn workflow_next_due(
    line: &str,
    zone: &str,
    after: TimestampWithTimeZone,
) -> Result<Option<TimestampWithTimeZone>, ErrorReport> {
    Ok(cron(line, zone)?.next(time("after", after)?).and_then(stored))
}

/// `workflow.latest_due` in `sql/schedule.sql`.
#[pg_extern(sql = false)]
fn workflow_latest_due(
    line: &str,
    zone: &str,
    due: TimestampWithTimeZone,
    now: TimestampWithTimeZone,
) -> Result<Option<TimestampWithTimeZone>, ErrorReport> {
    Ok(stored(cron(line, zone)?.latest(time("due", due)?, time("now", now)?)))
}
