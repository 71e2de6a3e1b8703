//! Admitting tasks that wait for a key of a limit: they return to the queue in order.

use crate::error::Error;
use crate::limits::concurrency;
use crate::limits::take::{Rule, check_soon};
use crate::pg::clock::{after, at, seconds};
use crate::pg::id;
use crate::pg::relation;
use crate::pg::statements;
use crate::pg::transaction;
use crate::queue::hints;
use conductor::engine::rate::Rate;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// Maximum number of tasks per action that one check of a key admits.
const MAX_ADMITTED: usize = 1000;

/// Bounds, in seconds, on the time until a key with waiting tasks is checked again. Within these bounds, that time is
/// as long as the tasks have already been waiting.
const MIN_CHECK_DELAY: f64 = 1.0;
const MAX_CHECK_DELAY: f64 = 60.0;

/// Frees the slots of tasks that are no longer running, and admits tasks that wait for them. If fewer are waiting than
/// may start, the key has to be checked soon: until then, new tasks are sent to wait there, too. The same applies if
/// there is a rate, which only a check of the key can enforce.
pub fn free_slots(client: &SpiClient, now: TimestampWithTimeZone, tasks: Vec<i64>) -> Result<(), Error> {
    let arguments = [tasks.into(), now.into()];
    let mut freed = statements::run(client, include_str!("../../queries/free_slots.sql"), &arguments)?;
    let (mut room, mut rated) = (Vec::new(), Vec::new());
    while freed.next().is_some() {
        let number = |column| Ok::<_, Error>(freed.get::<i64>(column)?.unwrap_or_default());
        match freed.get::<bool>(4)? == Some(true) {
            true => rated.push(number(1)?),
            false => room.push(Room {
                key: number(1)?,
                count: number(2)?,
                of_executions: freed.get::<bool>(3)? == Some(true),
            }),
        }
    }
    let admitted = admit_all(client, now, &room)?;
    let idle = room.iter().filter(|room| admitted.get(&room.key).copied().unwrap_or_default() < room.count);
    check_soon(client, now, idle.map(|room| room.key).chain(rated).collect())
}

/// Passes slots on: they were freed for these tasks, which have left the queue without starting, and go to the tasks
/// behind them.
pub fn pass_up_slots(client: &SpiClient, tasks: Vec<i64>) -> Result<(), Error> {
    if !tasks.is_empty() && crate::limits::are_in_use() {
        statements::run(client, include_str!("../../queries/pass_up_slots.sql"), &[tasks.into()])?;
    }
    Ok(())
}

/// Checks up to `max_keys` due keys, unless someone else has locked them. Returns the number of keys checked.
pub fn check_keys(client: &SpiClient, now: TimestampWithTimeZone, max_keys: i32) -> Result<i32, Error> {
    if !relation::is_empty(c"limit_wakeup") {
        let arguments = [max_keys.into(), now.into()];
        statements::run(client, include_str!("../../queries/take_limit_wakeups.sql"), &arguments)?;
    }
    let arguments = [max_keys.into(), now.into()];
    let mut rows = statements::run(client, include_str!("../../queries/find_due_limit_keys.sql"), &arguments)?;
    let mut keys = Vec::new();
    while rows.next().is_some() {
        let rule = Rule::read(&rows, 5)?;
        let next_at = rule.possible(rows.get::<i64>(3)?.unwrap_or(i64::MIN), now);
        let held_until = rows.get::<TimestampWithTimeZone>(9)?;
        let free = rows.get::<i64>(2)?.unwrap_or_default().max(0) as usize;
        let updated = rows.get::<TimestampWithTimeZone>(11)?.unwrap_or(now);
        let room = rule.admissible(next_at, now, updated, free.min(MAX_ADMITTED));
        keys.push(DueKey {
            id: rows.get::<i64>(1)?.unwrap_or_default(),
            count: if held_until.is_some() { 0 } else { room },
            next_at,
            opens_at: held_until.or_else(|| rule.opens_at(next_at)),
            // Since the last check, tasks have begun.
            follows_at: rule.next_admission(now).filter(|_| at(next_at) > updated),
            of_executions: rows.get::<bool>(10)? == Some(true),
            waiting_since: rows.get::<TimestampWithTimeZone>(4)?.unwrap_or(now),
        });
    }
    if keys.is_empty() {
        return Ok(0);
    }
    let open = keys.iter().filter(|key| key.count > 0);
    let room = |key: &DueKey| Room { key: key.id, count: key.count as i64, of_executions: key.of_executions };
    admit_all(client, now, &open.map(room).collect::<Vec<_>>())?;
    let arguments = [
        keys.iter().map(|key| key.id).collect::<Vec<_>>().into(),
        keys.iter().map(|key| key.next_check(now)).collect::<Vec<_>>().into(),
        now.into(),
        after(now, MIN_CHECK_DELAY).into(),
        transaction::next_number().into(),
        keys.iter().map(|key| at(key.next_at)).collect::<Vec<_>>().into(),
    ];
    statements::run(client, include_str!("../../queries/settle_limit_keys.sql"), &arguments)?;
    Ok(keys.len() as i32)
}

/// Returns the time until the next check of a key, if any is scheduled.
pub fn next_check(client: &SpiClient, now: TimestampWithTimeZone) -> Result<Option<Interval>, Error> {
    let first = statements::run(client, include_str!("../../queries/find_next_check.sql"), &[now.into()])?.first();
    first.get::<Interval>(1)
}

/// A key for which tasks may wait.
struct DueKey {
    id: i64,
    /// Number of tasks that may start.
    count: usize,
    /// Theoretical arrival time of the next one.
    next_at: i64,
    /// When the next one may start, if only time stands in the way.
    opens_at: Option<TimestampWithTimeZone>,
    /// When another task may follow if some are beginning at the rate now.
    follows_at: Option<TimestampWithTimeZone>,
    /// Whether executions rather than tasks wait for it.
    of_executions: bool,
    waiting_since: TimestampWithTimeZone,
}

impl DueKey {
    /// Returns when to check again if tasks are still waiting then. Even if it is known when the key opens, it is
    /// checked earlier: someone may be ending a hold or changing the limit right now, without seeing that tasks are
    /// waiting.
    fn next_check(&self, now: TimestampWithTimeZone) -> TimestampWithTimeZone {
        let opens_at = self.opens_at.filter(|time| *time > now);
        if opens_at.is_none() && self.count == MAX_ADMITTED {
            return now;
        }
        let waited = seconds(self.waiting_since, now);
        let latest = after(now, waited.clamp(MIN_CHECK_DELAY, MAX_CHECK_DELAY));
        opens_at.or(self.follows_at).filter(|time| *time < latest).unwrap_or(latest)
    }
}

/// How many of those waiting for a key may start.
struct Room {
    key: i64,
    count: i64,
    /// Whether executions rather than tasks wait for it.
    of_executions: bool,
}

/// Admits tasks and executions that wait for keys. Returns the number admitted, by key.
fn admit_all(client: &SpiClient, now: TimestampWithTimeZone, room: &[Room]) -> Result<BTreeMap<i64, i64>, Error> {
    let (runs, tasks): (Vec<&Room>, Vec<&Room>) = room.iter().partition(|room| room.of_executions);
    let split = |rooms: Vec<&Room>| rooms.into_iter().map(|room| (room.key, room.count)).unzip();
    let (keys, counts) = split(tasks);
    let mut admitted = admit(client, now, keys, counts)?;
    let (keys, counts) = split(runs);
    admitted.extend(concurrency::admit(client, now, keys, counts)?);
    Ok(admitted)
}

/// Puts up to `counts` tasks of each action that wait for each key back into the queue. Returns the number of tasks, by
/// key.
fn admit(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    keys: Vec<i64>,
    counts: Vec<i64>,
) -> Result<BTreeMap<i64, i64>, Error> {
    let mut admitted = BTreeMap::new();
    if !keys.is_empty() {
        let arguments = [keys.into(), counts.into(), now.into()];
        let mut tasks = statements::run(client, include_str!("../../queries/admit_tasks.sql"), &arguments)?;
        while tasks.next().is_some() {
            *admitted.entry(tasks.get::<i64>(1)?.unwrap_or_default()).or_default() += 1;
            if let Some(action) = tasks.get::<String>(3)? {
                hints::note(id::part(tasks.get::<i64>(2)?.unwrap_or_default()), &action);
            }
        }
    }
    Ok(admitted)
}

impl Rule {
    /// Returns how many tasks the rate allows to start now, at most `most`.
    pub fn allowed(&self, next_at: i64, now: TimestampWithTimeZone, most: usize) -> usize {
        self.rate.map_or(most, |rate| rate.allowed(next_at, now.into_inner(), most))
    }

    /// Returns how many waiting tasks to put into the queue now, at most `most`: those that the rate allows to start,
    /// but no more than have become possible since the key was last checked or used.
    fn admissible(&self, next_at: i64, now: TimestampWithTimeZone, since: TimestampWithTimeZone, most: usize) -> usize {
        let passed = |rate: Rate| rate.passed(now.into_inner().saturating_sub(since.into_inner()));
        self.allowed(next_at, now, self.rate.map_or(most, |rate| most.min(passed(rate).max(1))))
    }

    /// Returns when another task may follow one that starts now; `None` if there is no rate.
    pub fn next_admission(&self, now: TimestampWithTimeZone) -> Option<TimestampWithTimeZone> {
        self.rate.map(|rate| at(rate.after(i64::MIN, now.into_inner(), 1)))
    }

    /// Returns a theoretical arrival time, or the latest one that the rate can have produced if that is earlier.
    pub fn possible(&self, next_at: i64, now: TimestampWithTimeZone) -> i64 {
        self.rate.map_or(next_at, |rate| next_at.min(rate.latest(now.into_inner())))
    }

    /// Returns when the rate allows the next task to start; `None` if there is no rate.
    pub fn opens_at(&self, next_at: i64) -> Option<TimestampWithTimeZone> {
        self.rate.map(|rate| at(rate.opens_at(next_at)))
    }
}
