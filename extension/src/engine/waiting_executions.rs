//! Executions that wait to begin under `concurrency`: checking them again, and cancelling the oldest for them. How they
//! take their slots, and come to wait, is in [`limits::concurrency`](crate::limits::concurrency).

use crate::engine::advance::Advance;
use crate::engine::{called_executions, control_log};
use crate::error::Error;
use crate::limits::concurrency::{LOOK_AGAIN, begin, enter, load, note};
use crate::limits::take::LimitKey;
use crate::pg::clock::after;
use crate::pg::rows::numbers;
use crate::pg::statements;
use std::collections::BTreeMap;

/// Rechecks whether waiting executions, which are locked, may begin. Returns how many did.
pub fn recheck_waiting(advance: &mut Advance, runs: Vec<i64>) -> Result<i32, Error> {
    // Some may have begun since they were found: in place of others that this call has ended.
    let entrants = load(advance.client, advance.now, runs, true)?;
    let waits = enter(advance.client, advance.now, entrants.iter().collect())?;
    let begun = entrants.iter().map(|entrant| entrant.run).filter(|run| !waits.contains_key(run));
    let begun: Vec<i64> = begun.collect();
    for entrant in entrants.into_iter().filter(|entrant| entrant.displaces && waits.contains_key(&entrant.run)) {
        advance.crowded.insert(entrant.limit, entrant.run);
    }
    let count = begun.len() as i32;
    begin(advance.client, advance.now, begun)?;
    note(advance.client, advance.now, &waits.into_values().collect::<Vec<_>>())?;
    Ok(count)
}

/// Cancels the oldest executions under limits that have too many, in favor of the newest. If someone else has locked
/// one, a tick checks the limit again on behalf of the execution given for it.
pub fn displace(advance: &mut Advance, crowded: BTreeMap<LimitKey, i64>) -> Result<(), Error> {
    for ((name, key), run) in crowded {
        let arguments = [name.as_str().into(), key.as_str().into(), advance.now.into()];
        let sql = include_str!("../../queries/find_displaced.sql");
        let mut rows = statements::run(advance.client, sql, &arguments)?;
        let (mut oldest, mut newest) = (Vec::new(), run);
        while rows.next().is_some() {
            oldest.extend(rows.get::<i64>(1)?);
            newest = rows.get::<i64>(2)?.unwrap_or(run);
        }
        let locked =
            statements::run(advance.client, include_str!("../../queries/try_lock_runs.sql"), &[oldest.clone().into()])?;
        let locked = numbers(locked, 1)?;
        if locked.len() < oldest.len() {
            let arguments = [vec![run].into(), after(advance.now, LOOK_AGAIN).into()];
            statements::run(advance.client, include_str!("../../queries/postpone_runs.sql"), &arguments)?;
        }
        let reason = format!("execution {newest} has taken its place");
        for execution in &locked {
            control_log::add(advance.client, *execution, "cancel", Some(&reason), None, Vec::new(), advance.now)?;
        }
        called_executions::cancel(advance, locked, false)?;
    }
    Ok(())
}
