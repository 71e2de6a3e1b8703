//! Concurrency: how many executions of a workflow run at once, as set by `concurrency` in its definition.
//!
//! An execution takes a slot of the limit `@<ref>` in the same way as a task ([`take`]): the slot holds its negated id
//! from start to end. An execution that finds no free slot waits at the key, with its first tasks due at infinity,
//! until whoever frees a slot or checks the key lets it begin. An execution also waits if it finds others waiting, at
//! the key or for a check: executions begin in the order of their places. Nobody waits for a lock: if someone else has
//! locked a key, a tick checks it again when the execution is due.

use crate::error::Error;
use crate::limits::take::{LimitKey, take};
use crate::pg::clock::after;
use crate::pg::id;
use crate::pg::rows::{Rows, numbers};
use crate::pg::statements;
use crate::queue::hints;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds until a tick rechecks what someone else had locked.
pub const LOOK_AGAIN: f64 = 1.0;

/// Returns the name of the limit that counts the executions of a workflow.
pub fn limit_name(reference: &str) -> String {
    format!("@{reference}")
}

/// An execution that waits to begin.
pub struct Wait {
    /// Id of the execution.
    pub run: i64,
    /// Key at which it waits; `None` if it has to be checked at `look_at`.
    pub key: Option<i64>,
    /// When a tick has to check it.
    pub look_at: TimestampWithTimeZone,
    /// Its position among those waiting.
    pub place: TimestampWithTimeZone,
}

impl Wait {
    /// Returns the wait of an execution until a time.
    pub fn until(run: i64, time: TimestampWithTimeZone) -> Wait {
        Wait { run, key: None, look_at: time, place: time }
    }
}

/// An execution that is to begin under concurrency.
pub struct Entrant {
    /// Id of the execution.
    pub run: i64,
    /// Id of its workflow.
    pub definition: i64,
    /// Limit and key under which it counts.
    pub limit: LimitKey,
    /// Its position among those waiting.
    pub place: TimestampWithTimeZone,
    /// Whether it displaces the oldest if there are too many.
    pub displaces: bool,
}

/// Takes slots for executions, in order of their places. Returns those that have to wait: for a slot, or for others
/// that have waited longer.
pub fn enter(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    mut entrants: Vec<&Entrant>,
) -> Result<BTreeMap<i64, Wait>, Error> {
    if entrants.is_empty() {
        return Ok(BTreeMap::new());
    }
    entrants.sort_by_key(|entrant| (entrant.place, entrant.run));
    let arguments = [
        entrants.iter().map(|entrant| entrant.run).collect::<Vec<_>>().into(),
        entrants.iter().map(|entrant| entrant.definition).collect::<Vec<_>>().into(),
        entrants.iter().map(|entrant| entrant.limit.1.clone()).collect::<Vec<_>>().into(),
        entrants.iter().map(|entrant| entrant.place).collect::<Vec<_>>().into(),
    ];
    let behind = statements::run(client, include_str!("../../queries/list_executions_behind.sql"), &arguments)?;
    let behind = numbers(behind, 1)?.into_iter().map(|run| -run).collect();
    take_slots(client, now, &entrants, &behind)
}

/// Takes slots for executions, in this order. Returns those that have to wait, including those in `behind`, which wait
/// behind others and are given by their negated ids.
fn take_slots(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    entrants: &[&Entrant],
    behind: &BTreeSet<i64>,
) -> Result<BTreeMap<i64, Wait>, Error> {
    let mut waits = BTreeMap::new();
    let wanted: Vec<(i64, Vec<LimitKey>)> =
        entrants.iter().map(|entrant| (-entrant.run, vec![entrant.limit.clone()])).collect();
    let begun = take(client, now, &wanted, &[], behind)?;
    for Entrant { run, limit, place, .. } in entrants {
        if begun.waiting.contains(&-run) || begun.busy.contains(&-run) {
            let key = begun.full.get(limit).copied().filter(|_| begun.waiting.contains(&-run));
            waits.insert(*run, Wait { run: *run, key, look_at: after(now, LOOK_AGAIN), place: *place });
        }
    }
    Ok(waits)
}

/// Takes slots for executions that had ended and now continue. Returns those that have to wait.
pub fn take_slots_again(client: &SpiClient, now: TimestampWithTimeZone, runs: Vec<i64>) -> Result<Vec<Wait>, Error> {
    let entrants = load(client, now, runs, false)?;
    Ok(enter(client, now, entrants.iter().collect())?.into_values().collect())
}

/// Returns the keys under which the callers of executions count toward the limit of a workflow, by caller: the
/// executions that they call share their slot.
pub fn keys_above(
    client: &SpiClient,
    callers: Vec<i64>,
    reference: &str,
) -> Result<BTreeMap<i64, BTreeSet<String>>, Error> {
    let mut above: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    if callers.is_empty() {
        return Ok(above);
    }
    let arguments = [callers.into(), reference.into()];
    let mut rows = statements::run(client, include_str!("../../queries/list_concurrency_above.sql"), &arguments)?;
    while rows.next().is_some() {
        above.entry(rows.get::<i64>(1)?.unwrap_or_default()).or_default().extend(rows.get::<String>(2)?);
    }
    Ok(above)
}

/// Records that executions are waiting.
pub fn note(client: &SpiClient, now: TimestampWithTimeZone, waits: &[Wait]) -> Result<(), Error> {
    let arguments = [
        waits.iter().map(|wait| wait.run).collect::<Vec<_>>().into(),
        waits.iter().map(|wait| wait.key).collect::<Vec<_>>().into(),
        waits.iter().map(|wait| wait.look_at).collect::<Vec<_>>().into(),
        waits.iter().map(|wait| wait.place).collect::<Vec<_>>().into(),
        now.into(),
    ];
    statements::run(client, include_str!("../../queries/wait_to_begin.sql"), &arguments)?;
    Ok(())
}

/// Admits up to `counts` executions for each key, those that have been waiting longest first. Returns the number that
/// began, by key.
pub fn admit(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    keys: Vec<i64>,
    counts: Vec<i64>,
) -> Result<BTreeMap<i64, i64>, Error> {
    let mut admitted = BTreeMap::new();
    if keys.is_empty() {
        return Ok(admitted);
    }
    let arguments = [keys.into(), counts.into(), now.into()];
    let mut rows = statements::run(client, include_str!("../../queries/list_waiting_executions.sql"), &arguments)?;
    let (mut entrants, mut key_of) = (Vec::new(), BTreeMap::new());
    while rows.next().is_some() {
        let entrant = Entrant::read(&rows, now)?;
        key_of.insert(entrant.run, rows.get::<i64>(6)?.unwrap_or_default());
        entrants.push(entrant);
    }
    if entrants.is_empty() {
        return Ok(admitted);
    }
    // They are the first in line.
    let waits = take_slots(client, now, &entrants.iter().collect::<Vec<_>>(), &BTreeSet::new())?;
    key_of.retain(|run, _| !waits.contains_key(run));
    for key in key_of.values() {
        *admitted.entry(*key).or_default() += 1;
    }
    begin(client, now, key_of.into_keys().collect())?;
    Ok(admitted)
}

/// Begins executions that have been waiting.
pub fn begin(client: &SpiClient, now: TimestampWithTimeZone, runs: Vec<i64>) -> Result<(), Error> {
    if runs.is_empty() {
        return Ok(());
    }
    let arguments = [runs.into(), now.into()];
    let mut tasks = statements::run(client, include_str!("../../queries/begin_executions.sql"), &arguments)?;
    while tasks.next().is_some() {
        if let (Some(task), Some(action)) = (tasks.get::<i64>(1)?, tasks.get::<String>(2)?) {
            hints::note(id::part(task), &action);
        }
    }
    Ok(())
}

impl Entrant {
    /// Reads an execution from the first five columns of a row: its id, workflow, limit, key and place, which is `now`
    /// if the execution is not waiting yet.
    pub fn read(row: &Rows, now: TimestampWithTimeZone) -> Result<Entrant, Error> {
        let text = |column| Ok::<_, Error>(row.get::<String>(column)?.unwrap_or_default());
        Ok(Entrant {
            run: row.get::<i64>(1)?.unwrap_or_default(),
            definition: row.get::<i64>(2)?.unwrap_or_default(),
            limit: (text(3)?, text(4)?),
            place: row.get::<TimestampWithTimeZone>(5)?.unwrap_or(now),
            displaces: false,
        })
    }
}

/// Loads those of the executions that are subject to concurrency, or only those of them that wait.
pub fn load(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    runs: Vec<i64>,
    only_waiting: bool,
) -> Result<Vec<Entrant>, Error> {
    let mut entrants = Vec::new();
    let arguments = [runs.into(), only_waiting.into()];
    let mut rows = statements::run(client, include_str!("../../queries/load_concurrency_keys.sql"), &arguments)?;
    while rows.next().is_some() {
        let displaces = rows.get::<bool>(6)? == Some(true);
        entrants.push(Entrant { displaces, ..Entrant::read(&rows, now)? });
    }
    Ok(entrants)
}
