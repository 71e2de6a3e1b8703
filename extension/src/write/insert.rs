//! Inserting tasks: ready for anybody, or leased already to the worker that asks.

use super::batch::{Batch, FreshTask};
use crate::claim::Asking;
use crate::error::Error;
use crate::hand_over::Front;
use crate::jsonb::Jsonb;
use crate::row_array::{self, Value, value};
use crate::{id, plans};
use conductor::changes::Start;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, HashSet};

/// A task handed to the worker that asked, as `workflow_claim` would give it.
pub struct Handed {
    /// Its id.
    pub task: i64,
    /// The token its report must carry.
    pub lease: i64,
    /// Its workflow execution.
    pub workflow_execution: i64,
    /// Its name.
    pub task_name: String,
    /// Which item.
    pub task_index: Option<i32>,
    /// What to do.
    pub action: Option<String>,
    /// With what.
    pub input: Option<Jsonb>,
    /// How often it was claimed.
    pub attempt: i32,
}

/// A task with its id and its input, about to be a row.
struct NewRow<'t> {
    id: i64,
    task: &'t FreshTask,
    input: Option<Jsonb>,
    /// The token, where it is handed over.
    lease: Option<i64>,
}

impl Batch {
    /// Inserts tasks; notes those that the engine goes on with, and hands over what it may.
    pub(super) fn insert(
        &mut self,
        client: &SpiClient,
        now: TimestampWithTimeZone,
        tasks: &mut [FreshTask],
        asking: Option<&mut Asking>,
        handed: &mut Vec<Handed>,
    ) -> Result<(), Error> {
        if tasks.is_empty() {
            return Ok(());
        }
        if let Some(asking) = asking {
            hand_over(client, now, tasks, asking)?;
        }
        let mut tokens: BTreeMap<i32, i64> = BTreeMap::new();
        let ids = id::Sequence::find(c"workflow_task_execution_id_seq");
        let rows = tasks.iter().map(|task| new_row(task, ids, &mut tokens)).collect::<Result<Vec<_>, _>>()?;
        let array = row_array::array(c"workflow_task_execution", &rows, |row| columns(row, now))?;
        let mut inserted = plans::run(client, include_str!("../../queries/insert_tasks.sql"), &[array])?;
        let mut calls = HashSet::new();
        while inserted.next().is_some() {
            if inserted.get::<bool>(2)? == Some(true) {
                calls.extend(inserted.get::<i64>(1)?);
            }
        }
        let mut calling = Vec::new();
        for NewRow { id, task, input, lease } in rows {
            let begins = matches!(task.start, "ready" | "leased");
            if begins && calls.contains(&id) {
                calling.push(id);
            } else if begins && task.task.action.is_none() {
                self.written.own.push(id);
            } else if let Some(lease) = lease {
                handed.push(Handed {
                    task: id,
                    lease,
                    workflow_execution: task.run,
                    task_name: task.task_name.clone(),
                    task_index: task.task.index.map(|index| index as i32),
                    action: task.task.action.clone(),
                    input,
                    attempt: 1,
                });
            }
        }
        if !calling.is_empty() {
            plans::run(client, include_str!("../../queries/begin_calls.sql"), &[calling.clone().into()])?;
            self.written.own.extend(calling);
        }
        Ok(())
    }
}

/// With an id, and with the token of its part where it is handed over.
fn new_row<'t>(task: &'t FreshTask, ids: id::Sequence, tokens: &mut BTreeMap<i32, i64>) -> Result<NewRow<'t>, Error> {
    let part = id::part(task.run);
    let lease = match (task.start, tokens.get(&part)) {
        ("leased", Some(token)) => Some(*token),
        ("leased", None) => {
            let token = id::Sequence::find(c"lease_id_seq").next(part)?;
            tokens.insert(part, token);
            Some(token)
        }
        _ => None,
    };
    let input = task.task.input.as_ref().and_then(Jsonb::new);
    Ok(NewRow { id: ids.next(part)?, task, input, lease })
}

/// Priority moves a task ahead in the queue by as many minutes: one that waits overtakes in time, so none starves.
fn columns(row: &NewRow, now: TimestampWithTimeZone) -> [(&'static str, Value); 27] {
    let NewRow { task: FreshTask { task, .. }, .. } = row;
    let fresh = row.task;
    let is = |start: &str| fresh.start == start;
    let status = match fresh.start {
        "ready" => "scheduled",
        "leased" => "running",
        "skipped" => "completed",
        "delayed" | "held" => "requested",
        ended => ended,
    };
    let over = matches!(task.start, Start::Ended(..));
    let queued = is("ready") && task.action.is_some() && !fresh.paused;
    let due = fresh.delay.or(task.timeout.map(f64::from).filter(|_| is("leased")));
    [
        ("part", value(id::part(row.id))),
        ("id", value(row.id)),
        ("workflow_execution", value(fresh.run)),
        ("task_name", value(fresh.task_name.as_str())),
        ("action_ref", value(task.action.as_deref())),
        ("signal", value(task.signal.as_deref())),
        ("route", value(task.key.route as i32)),
        ("visit", value(task.key.visit as i32)),
        ("task_index", value(task.index.map(|index| index as i32))),
        ("task_batch", value(task.batch.map(|batch| batch as i32))),
        ("status", Value::Label(status)),
        ("skipped", value(is("skipped"))),
        ("held", value(is("held"))),
        ("priority", value(fresh.priority)),
        ("max_retries", value(task.max_retries)),
        ("timeout_seconds", value(task.timeout)),
        ("context", value((!task.context.is_empty()).then(|| numbers(&task.context)))),
        ("input", value(row.input)),
        ("result", value(fresh.result.as_deref().and_then(Jsonb::from_text))),
        ("created", value(now)),
        ("queue_at", value(queued.then(|| after(now, f64::from(fresh.priority) * -60.0)))),
        ("due_at", value(due.map(|seconds| after(now, seconds)))),
        ("lease", value(row.lease)),
        ("attempt", value(i32::from(row.lease.is_some()))),
        ("started_at", value(row.lease.map(|_| now))),
        ("completed_at", value(over.then_some(now))),
        ("duration_ms", value(over.then_some(0_i64))),
    ]
}

fn numbers(context: &[u32]) -> Vec<i32> {
    context.iter().map(|id| *id as i32).collect()
}

/// So many seconds later, as far as time goes.
fn after(now: TimestampWithTimeZone, seconds: f64) -> TimestampWithTimeZone {
    let micros = now.into_inner().saturating_add((seconds * 1e6).round() as i64);
    TimestampWithTimeZone::try_from(micros).unwrap_or_else(|_| TimestampWithTimeZone::positive_infinity())
}

/// Chooses what goes to the worker that asks without passing through the queue.
fn hand_over(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    tasks: &mut [FreshTask],
    asking: &mut Asking,
) -> Result<(), Error> {
    let takes = |task: &FreshTask| task.start == "ready" && !task.paused && asking.takes(&task.task.action);
    let ready: Vec<&mut FreshTask> = tasks.iter_mut().filter(|task| takes(task)).collect();
    if asking.wanted == 0 || ready.is_empty() {
        return Ok(());
    }
    let mut parts = BTreeMap::new();
    for task in &ready {
        let lowest = parts.entry(id::part(task.run)).or_insert(task.priority);
        *lowest = task.priority.min(*lowest);
    }
    let front = Front::look(client, now, asking.actions.as_deref(), parts)?;
    for task in ready {
        let passes = front.goes_before(id::part(task.run), task.priority);
        if asking.wanted > 0 && (!passes || asking.past_others > 0) {
            asking.wanted -= 1;
            asking.past_others -= usize::from(passes);
            task.start = "leased";
        }
    }
    Ok(())
}

/// Lets go of leases whose tasks have all been reported at once, and holds what was handed over. `reported` has the tasks
/// of each lease.
pub fn turn_leases(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    reported: &BTreeMap<i64, Vec<i64>>,
    handed: &[Handed],
    asking: Option<&Asking>,
) -> Result<(), Error> {
    let mut fresh: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for task in handed {
        fresh.entry(task.lease).or_default().push(task.task);
    }
    if reported.is_empty() && fresh.is_empty() {
        return Ok(());
    }
    let gone: Vec<_> = reported.iter().collect();
    let gone = row_array::array(c"lease", &gone, |(lease, tasks)| {
        [("part", value(id::part(**lease))), ("id", value(**lease)), ("tasks", value(sorted(tasks)))]
    })?;
    let fresh: Vec<_> = fresh.iter().zip(asking.into_iter().cycle()).collect();
    let fresh = row_array::array(c"lease", &fresh, |((lease, tasks), asking)| {
        [
            ("part", value(id::part(**lease))),
            ("id", value(**lease)),
            ("worker", value(asking.worker.as_str())),
            ("until", value(asking.until(now))),
            ("tasks", value(sorted(tasks))),
            ("created", value(now)),
        ]
    })?;
    plans::run(client, include_str!("../../queries/turn_leases.sql"), &[gone, fresh])?;
    Ok(())
}

/// As leases have them, so that they can be compared.
fn sorted(tasks: &[i64]) -> Vec<i64> {
    let mut tasks = tasks.to_vec();
    tasks.sort_unstable();
    tasks.dedup();
    tasks
}
