//! Maintenance of limits by ticks: counting tasks that were already running when `max_running` was set, noticing a
//! clock that has been set back, and removing unused keys.

use crate::error::Error;
use crate::limits::take::{LimitKey, adopt};
use crate::pg::random;
use crate::pg::relation;
use crate::pg::statements;
use crate::pg::transaction;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;

/// Fraction of ticks that look for unused keys.
const TICKS: f64 = 1.0 / 16.0;

/// Number of keys that such a tick examines.
const LOOKED_AT: i32 = 500;

/// Gives slots to up to `max_rows` tasks that were already running when the `max_running` of their limit was first set.
/// Returns the number of tasks.
pub fn count_running(client: &SpiClient, now: TimestampWithTimeZone, max_rows: i32) -> Result<i32, Error> {
    if relation::is_empty(c"limit_rule") {
        return Ok(0);
    }
    let (mut names, mut last) = (Vec::new(), Vec::new());
    let mut rules = statements::run(client, include_str!("../../queries/list_uncounted_limits.sql"), &[])?;
    while rules.next().is_some() {
        let name = rules.get::<String>(1)?.unwrap_or_default();
        last.extend((rules.get::<bool>(2)? == Some(true)).then(|| name.clone()));
        names.push(name);
    }
    if names.is_empty() {
        return Ok(0);
    }
    let arguments = [names.clone().into(), max_rows.into()];
    let mut rows = statements::run(client, include_str!("../../queries/find_uncounted_tasks.sql"), &arguments)?;
    let mut tasks: Vec<(i64, LimitKey)> = Vec::new();
    while rows.next().is_some() {
        let text = |column| Ok::<_, Error>(rows.get::<String>(column)?.unwrap_or_default());
        tasks.push((rows.get::<i64>(1)?.unwrap_or_default(), (text(2)?, text(3)?)));
    }
    // What is locked is counted by a later tick.
    adopt(client, now, &tasks)?;
    let arguments = [names.into(), last.into(), transaction::next_number().into()];
    statements::run(client, include_str!("../../queries/settle_uncounted_limits.sql"), &arguments)?;
    Ok(tasks.len() as i32)
}

/// Makes due those keys that would be checked much later only because the clock has been set back.
pub fn bring_checks_forward(client: &SpiClient, now: TimestampWithTimeZone, max_rows: i32) -> Result<(), Error> {
    statements::run(client, include_str!("../../queries/bring_checks_forward.sql"), &[max_rows.into(), now.into()])?;
    Ok(())
}

/// Occasionally removes some keys that have not been used for a while, starting after a random one.
pub fn delete_idle_keys(client: &SpiClient, now: TimestampWithTimeZone, max_rows: i32) -> Result<(), Error> {
    if random::fraction() < TICKS {
        let arguments = [max_rows.min(LOOKED_AT).into(), now.into(), random::fraction().into()];
        statements::run(client, include_str!("../../queries/delete_idle_keys.sql"), &arguments)?;
    }
    Ok(())
}
