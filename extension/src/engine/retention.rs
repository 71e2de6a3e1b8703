//! Deleting executions whose retention has expired: `sql/retention.sql`.

use crate::cache::foreign_parts::ForeignParts;
use crate::error::Error;
use crate::pg::clock::after;
use crate::pg::rows::{Rows, numbers};
use crate::pg::statements;
use crate::settings;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::cell::Cell;

/// Minimum number of seconds between checks of the same executions while there is nothing more to delete.
const PAUSE: f64 = 10.0;

/// Minimum and maximum number of seconds between two rounds.
const ROUND: (f64, f64) = (3600.0, 86_400.0);

/// Number of seconds between searches for workflows that do not specify a retention.
const DISCOVERY: i64 = 60;

thread_local! {
    /// When this process last searched for such workflows, in microseconds.
    static DISCOVERED: Cell<i64> = const { Cell::new(i64::MIN) };
}

/// The executions of one workflow that ended with the same status.
struct Due {
    workflow: i64,
    status: String,
    seen: (Option<TimestampWithTimeZone>, Option<i64>),
    round_at: Option<TimestampWithTimeZone>,
    /// Seconds to keep them; `None` means forever.
    keep: Option<f64>,
}

impl Due {
    fn read(row: &Rows) -> Result<Due, Error> {
        Ok(Due {
            workflow: row.get::<i64>(1)?.unwrap_or_default(),
            status: row.get::<String>(2)?.unwrap_or_default(),
            seen: (row.get::<TimestampWithTimeZone>(3)?, row.get::<i64>(4)?),
            round_at: row.get::<TimestampWithTimeZone>(5)?,
            keep: row.get::<f64>(6)?,
        })
    }
}

/// Examines up to `max_rows` executions that may have been kept long enough, and deletes those that have. Returns the
/// number examined.
pub fn delete_ended(client: &SpiClient, now: TimestampWithTimeZone, max_rows: i32) -> Result<i32, Error> {
    let default = settings::keep();
    if default.is_some() && !(0..DISCOVERY * 1_000_000).contains(&now.into_inner().saturating_sub(DISCOVERED.get())) {
        DISCOVERED.set(now.into_inner());
        statements::run(client, include_str!("../../queries/discover_retention.sql"), &[now.into()])?;
    }
    let query = include_str!("../../queries/find_due_retention.sql");
    let mut rows = statements::run(client, query, &[now.into(), default.into()])?;
    let mut due = Vec::new();
    while rows.next().is_some() {
        due.push(Due::read(&rows)?);
    }
    let mut looked = 0;
    for due in due {
        if looked < max_rows {
            looked += delete_of(client, now, due, max_rows - looked)?;
        }
    }
    Ok(looked)
}

fn delete_of(client: &SpiClient, now: TimestampWithTimeZone, due: Due, max_rows: i32) -> Result<i32, Error> {
    let Due { workflow, status, mut seen, mut round_at, keep } = due;
    let status = status.as_str();
    let Some(keep) = keep else {
        let arguments = [workflow.into(), status.into()];
        statements::run(client, include_str!("../../queries/forget_retention.sql"), &arguments)?;
        return Ok(0);
    };
    if round_at.is_none_or(|time| time <= now) {
        (seen, round_at) = ((None, None), Some(after(now, (keep / 10.0).clamp(ROUND.0, ROUND.1))));
    }
    let ended_by = after(now, -keep);
    let arguments =
        [workflow.into(), status.into(), ended_by.into(), seen.0.into(), seen.1.into(), i64::from(max_rows).into()];
    let found = statements::run(client, include_str!("../../queries/find_prunable.sql"), &arguments)?.first();
    let looked = found.get::<i64>(1)?.unwrap_or_default() as i32;
    let mut ended = found.get::<Vec<i64>>(4)?.unwrap_or_default();
    let foreign = ForeignParts::current();
    ended.retain(|execution| !foreign.contains_id(*execution));
    if looked > 0 {
        seen = (found.get::<TimestampWithTimeZone>(2)?, found.get::<i64>(3)?);
    }
    let mut trouble = None;
    if !ended.is_empty() {
        let rows = statements::run(client, include_str!("../../queries/lock_ended.sql"), &[ended.into()])?;
        let arguments = [numbers(rows, 1)?.into(), status.into(), ended_by.into(), now.into()];
        let row = statements::run(client, include_str!("../../queries/delete_ended.sql"), &arguments)?.first();
        trouble = row.get::<String>(2)?;
    }
    let arguments = [
        workflow.into(),
        status.into(),
        now.into(),
        seen.0.into(),
        seen.1.into(),
        round_at.into(),
        trouble.into(),
        keep.into(),
        (looked >= max_rows).into(),
        after(now, PAUSE).into(),
        after(now, keep).into(),
    ];
    statements::run(client, include_str!("../../queries/store_retention.sql"), &arguments)?;
    Ok(looked)
}
