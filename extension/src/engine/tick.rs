//! Time-driven work: expired leases, delays, time limits, and news that executions still owe each other.
//!
//! Nothing here waits for a lock. Whatever someone else has locked is left to the next tick.

use crate::engine::advance::Advance;
use crate::engine::advance::MAX_REACHED;
use crate::engine::advance::read_runs;
use crate::engine::bulk;
use crate::engine::finish::{finish, take_up_all};
use crate::engine::internal_tasks;
use crate::engine::own_report::Reporter;
use crate::engine::passing_on;
use crate::engine::report::{Outcome, WorkerReport};
use crate::engine::reports;
use crate::engine::reports::report_own;
use crate::engine::retention;
use crate::engine::settle::settle;
use crate::engine::sub_workflows;
use crate::error::Error;
use crate::limits;
use crate::limits::admit::{check_keys, free_slots};
use crate::limits::concurrency;
use crate::limits::holds::delete_spent;
use crate::limits::upkeep;
use crate::pg::caller::Caller;
use crate::pg::clock;
use crate::pg::id;
use crate::pg::jsonb::Jsonb;
use crate::pg::list::List;
use crate::pg::rows::{Rows, numbers};
use crate::pg::statements;
use crate::queue::asking::check_parts;
use crate::queue::hints;
use crate::settings;
use conductor::engine::commands::Reach;
use conductor::engine::rest::is_lost_needlessly;
use conductor::engine::state::{Status, TaskKey};
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Scope of a tick: where to look, and for how many rows.
struct Look<'c, 'conn> {
    client: &'c SpiClient<'conn>,
    now: TimestampWithTimeZone,
    max_rows: i32,
    /// Parts to look in; `None` means everywhere.
    parts: Option<Vec<Option<i32>>>,
    /// Whether to delete executions whose retention has expired; these are found by workflow, not by part.
    deletes: bool,
}

impl Look<'_, '_> {
    /// Returns the arguments of a statement that finds due work. An index can use the lowest and the highest part.
    fn arguments(&self) -> [DatumWithOid<'static>; 5] {
        let (lowest, highest) = id::bounds(&self.parts);
        [self.max_rows.into(), self.now.into(), self.parts.clone().into(), lowest.into(), highest.into()]
    }
}

/// Does what is due, up to `max_rows` of each kind. Returns how much was done.
fn tick(look: &Look) -> Result<i32, Error> {
    let Look { client, now, max_rows, parts, deletes } = look;
    let mut done = take_up_all(client, *now, *max_rows, parts, None)?.reports as i32;
    done += expire_leases(client, *now, *max_rows, parts.clone())?;
    done += upkeep::count_running(client, *now, *max_rows)?;
    if limits::are_in_use() {
        done += check_keys(client, *now, *max_rows)?;
        upkeep::delete_idle_keys(client, *now, *max_rows)?;
    }
    delete_spent(client, *now, *max_rows)?;
    done += wake_tasks(look)?;
    done += passing_on::propagate(client, *now, (*max_rows as usize).min(MAX_REACHED), parts.clone())?;
    done += end_due_executions(look)?;
    done += fire_schedules(look)?;
    done += bulk::step_job(client, *max_rows, *now)?;
    if *deletes {
        done += retention::delete_ended(client, *now, *max_rows)?;
    }
    Ok(done)
}

/// Makes the tasks of up to `max_rows` expired leases claimable again, or ends them as abandoned. Returns the number of
/// tasks.
pub fn expire_leases(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    max_rows: i32,
    parts: Option<Vec<Option<i32>>>,
) -> Result<i32, Error> {
    let look = Look { client, now, max_rows, parts, deletes: false };
    let mut rows = statements::run(client, include_str!("../../queries/find_expired_leases.sql"), &look.arguments())?;
    let (mut parts, mut leases) = (Vec::new(), Vec::new());
    while rows.next().is_some() {
        parts.extend(rows.get::<i32>(1)?);
        leases.extend(rows.get::<i64>(2)?);
    }
    if leases.is_empty() {
        return Ok(0);
    }
    let arguments = || [parts.clone().into(), leases.clone().into()];
    let mut rows = statements::run(client, include_str!("../../queries/load_lost_tasks.sql"), &arguments())?;
    let mut lost = Vec::new();
    while rows.next().is_some() {
        lost.push(LostTask::read(&rows)?);
    }
    let locked = lock_runs(client, lost.iter().map(|task| task.id).collect())?;
    lost.retain(|task| locked.contains(&task.run));
    let mut done = 0;
    if !lost.is_empty() {
        let needless = needless(client, now, &lost)?;
        let lost: Vec<i64> = lost.into_iter().map(|task| task.id).collect();
        let arguments = || [lost.clone().into(), now.into(), settings::max_lost_leases().into()];
        statements::run(client, include_str!("../../queries/log_expired_leases.sql"), &arguments())?;
        let [ids, now_, most] = arguments();
        let arguments = [ids, now_, most, needless.into()];
        let mut counted = statements::run(client, include_str!("../../queries/requeue_tasks.sql"), &arguments)?;
        let mut abandoned = Vec::new();
        if limits::are_in_use() {
            free_slots(client, now, lost)?;
        }
        while counted.next().is_some() {
            done += 1;
            if counted.get::<bool>(2)? == Some(true) {
                if let (Some(task), Some(action)) = (counted.get::<i64>(1)?, counted.get::<String>(5)?) {
                    hints::note(id::part(task), &action);
                }
                continue;
            }
            let (count, worker) = (counted.get::<i32>(3)?.unwrap_or_default(), counted.get::<String>(4)?);
            let message = match &worker {
                Some(worker) => format!("worker {worker} did not finish it in time; {count} leases on it have expired"),
                None => format!("{count} leases on it have expired"),
            };
            let error = json!({"type": "abandoned", "message": message, "worker": worker, "lost_leases": count});
            abandoned.push((counted.get::<i64>(1)?.unwrap_or_default(), "abandoned", Some(error.to_string())));
        }
        abandoned.sort_unstable_by_key(|(task, ..)| *task);
        end(client, now, abandoned.into_iter())?;
    }
    statements::run(client, include_str!("../../queries/delete_spent_leases.sql"), &arguments())?;
    Ok(done)
}

/// A running task whose lease has expired.
struct LostTask {
    id: i64,
    run: i64,
    name: String,
    route: u32,
    visit: u32,
    is_item: bool,
}

impl LostTask {
    /// Reads one from a row of `load_lost_tasks`.
    fn read(row: &Rows) -> Result<LostTask, Error> {
        Ok(LostTask {
            id: row.get::<i64>(1)?.unwrap_or_default(),
            run: row.get::<i64>(3)?.unwrap_or_default(),
            name: row.get::<String>(4)?.unwrap_or_default(),
            route: row.get::<i32>(5)?.unwrap_or_default() as u32,
            visit: row.get::<i32>(6)?.unwrap_or_default() as u32,
            is_item: row.get::<bool>(7)? == Some(true),
        })
    }
}

/// Returns those of the lost tasks, whose executions are locked, that are no longer needed. Most such tasks ended at
/// the moment that they became unnecessary, but a task that was being reported at that moment was skipped, and its
/// report may not have been committed.
fn needless(client: &SpiClient, now: TimestampWithTimeZone, lost: &[LostTask]) -> Result<Vec<i64>, Error> {
    let mut advance = Advance::new(client, now, BTreeMap::new());
    advance.load(lost.iter().map(|task| task.run).collect::<BTreeSet<_>>().into_iter().collect())?;
    let is_needless = |task: &&LostTask| {
        let Some(run) = advance.runs.get(&task.run) else { return false };
        let Some(node) = run.graph.find(&task.name) else { return false };
        let key = TaskKey { node, route: task.route, visit: task.visit };
        is_lost_needlessly(&run.graph, &run.before, key, task.is_item)
    };
    Ok(lost.iter().filter(is_needless).map(|task| task.id).collect())
}

/// Removes stray tasks from the queue of a part, starting at a given position: tasks whose execution was paused or
/// stopped while they were claimed by a transaction that then rolled back. They wait for the end of the pause, or end
/// as `cancelled`. Returns whether there were any.
pub fn put_back_strays(
    client: &SpiClient,
    part: i32,
    actions: Vec<String>,
    now: TimestampWithTimeZone,
    (time, id): (TimestampWithTimeZone, i64),
) -> Result<bool, Error> {
    let arguments = [part.into(), actions.into(), time.into(), id.into()];
    let strays = numbers(statements::run(client, include_str!("../../queries/find_strays.sql"), &arguments)?, 1)?;
    if strays.is_empty() {
        return Ok(false);
    }
    let locked: Vec<i64> = lock_runs(client, strays.clone())?.into_iter().collect();
    let arguments = [part.into(), strays.into(), locked.into(), now.into()];
    let ended = numbers(statements::run(client, include_str!("../../queries/dequeue_strays.sql"), &arguments)?, 1)?;
    end(client, now, ended.into_iter().map(|task| (task, "cancelled", None)))?;
    Ok(true)
}

/// Continues tasks whose delay, retry delay or time limit has elapsed. Returns the number of tasks.
fn wake_tasks(look: &Look) -> Result<i32, Error> {
    let Look { client, now, .. } = look;
    let due =
        numbers(statements::run(client, include_str!("../../queries/find_due_tasks.sql"), &look.arguments())?, 1)?;
    if due.is_empty() {
        return Ok(0);
    }
    let locked: Vec<i64> = lock_runs(client, due.clone())?.into_iter().collect();
    let arguments = [due.clone().into(), locked.clone().into(), (*now).into()];
    let mut rows = statements::run(client, include_str!("../../queries/wake_tasks.sql"), &arguments)?;
    let (mut woken, mut own) = (rows.len() as i32, Vec::new());
    while rows.next().is_some() {
        let task = rows.get::<i64>(1)?;
        own.extend(task.filter(|_| matches!(rows.get::<bool>(2), Ok(Some(true)))));
        if let (Some(task), Some(action)) = (task, rows.get::<String>(3)?) {
            hints::note(id::part(task), &action);
        }
    }
    if !own.is_empty() {
        let mut advance = Advance::new(client, *now, BTreeMap::new());
        advance.load(locked.clone())?;
        let reports = internal_tasks::begin(&mut advance, &own)?;
        report_own(&mut advance, reports)?;
        settle(&mut advance, None)?;
    }
    // To be stopped, a child that does the work of a late task must not be locked either.
    let arguments = [due.clone().into(), (*now).into()];
    let children =
        numbers(statements::run(client, include_str!("../../queries/try_lock_late_children.sql"), &arguments)?, 1)?;
    let arguments = [due.into(), locked.into(), children.into(), (*now).into()];
    let mut rows = statements::run(client, include_str!("../../queries/find_late_tasks.sql"), &arguments)?;
    let (mut late, mut calls) = (Vec::new(), Vec::new());
    while rows.next().is_some() {
        let (task, seconds) = (rows.get::<i64>(1)?.unwrap_or_default(), rows.get::<i32>(2)?.unwrap_or_default());
        if rows.get::<i64>(4)?.is_some() {
            calls.push(task);
            continue;
        }
        let message = match rows.get::<String>(3)? {
            None => format!("the task ran longer than {seconds} seconds"),
            Some(signal) => match rows.get::<i32>(5)? {
                None => format!("no signal {signal} came within {seconds} seconds"),
                Some(heartbeat) => format!("nobody extended the wait for signal {signal} within {heartbeat} seconds"),
            },
        };
        late.push((task, "timeout", Some(json!({"type": "timeout", "message": message}).to_string())));
    }
    woken += (late.len() + calls.len()) as i32;
    stop_late_calls(client, *now, calls)?;
    end(client, *now, late.into_iter())?;
    Ok(woken)
}

/// Cancels the executions called by calls whose time limit has elapsed. Such a call ends once its child has closed.
fn stop_late_calls(client: &SpiClient, now: TimestampWithTimeZone, calls: Vec<i64>) -> Result<(), Error> {
    if calls.is_empty() {
        return Ok(());
    }
    let arguments = [calls.into(), now.into()];
    let marked = statements::run(client, include_str!("../../queries/mark_late_calls.sql"), &arguments)?;
    let children = numbers(marked, 1)?;
    let mut advance = Advance::new(client, now, BTreeMap::new());
    sub_workflows::cancel_free(&mut advance, children)?;
    settle(&mut advance, None)?;
    Ok(())
}

/// Continues executions that have exceeded their workflow's time limit, or that still have to notify others that they
/// ended or stopped. Returns the number of executions.
fn end_due_executions(look: &Look) -> Result<i32, Error> {
    let Look { client, now, .. } = look;
    let mut rows = statements::run(client, include_str!("../../queries/find_due_runs.sql"), &look.arguments())?;
    let (mut executions, mut waiting) = (Vec::new(), Vec::new());
    while rows.next().is_some() {
        let list = if rows.get::<bool>(2)? == Some(true) { &mut waiting } else { &mut executions };
        list.extend(rows.get::<i64>(1)?);
    }
    let mut done = 0;
    for execution in executions {
        done += i32::from(due(client, execution, *now)?);
    }
    if !waiting.is_empty() {
        let mut advance = Advance::new(client, *now, BTreeMap::new());
        done += concurrency::look_again(&mut advance, waiting)?;
        settle(&mut advance, None)?;
    }
    Ok(done)
}

/// Processes what is due for one execution: its time limit has elapsed, or it has to notify its parent or its children.
/// Returns whether this is finished.
fn due(client: &SpiClient, execution: i64, now: TimestampWithTimeZone) -> Result<bool, Error> {
    let runs = read_runs(
        client,
        statements::run(client, include_str!("../../queries/load_due_run.sql"), &[execution.into()])?,
    )?;
    let Some(run) = runs.keys().next().copied() else { return Ok(false) };
    let mut advance = Advance::new(client, now, runs);
    let stop = advance.execution(run).map_or(Reach::Nothing, |execution| execution.stop());
    let over = statements::run(client, include_str!("../../queries/has_ended.sql"), &[execution.into()])?.first();
    statements::run(client, include_str!("../../queries/forget_due_run.sql"), &[run.into()])?;
    if over.get::<bool>(1)? == Some(true) {
        let reports = sub_workflows::ends(&mut advance, vec![execution])?;
        reports::report_own(&mut advance, reports)?;
    } else if advance.execution(run).is_some_and(|execution| execution.status != Status::Running) {
        if stop != Reach::Nothing {
            sub_workflows::cancel_children(&mut advance, &[(execution, stop == Reach::Everything)])?;
        }
        advance.tell(run, |conductor| conductor.withdraw_again())?;
    } else {
        advance.tell(run, |conductor| conductor.time_out())?;
    }
    settle(&mut advance, None)?;
    let still = statements::run(client, include_str!("../../queries/is_due_run.sql"), &[run.into()])?.first();
    Ok(still.is_empty())
}

/// Starts executions whose schedules are due, at most `max_rows`. Returns how many were started.
fn fire_schedules(look: &Look) -> Result<i32, Error> {
    let Look { client, now, max_rows, parts, .. } = look;
    let arguments = [(*max_rows).into(), (*now).into(), parts.clone().into()];
    let due = numbers(statements::run(client, include_str!("../../queries/find_due_schedules.sql"), &arguments)?, 1)?;
    let mut fired = 0;
    for schedule in due {
        let arguments = [schedule.into(), (max_rows - fired).into(), (*now).into()];
        let row = statements::run(client, include_str!("../../queries/fire_schedule.sql"), &arguments)?.first();
        fired += row.get::<i32>(1)?.unwrap_or_default();
        if fired >= *max_rows {
            break;
        }
    }
    Ok(fired)
}

/// Locks the workflow executions of tasks, skipping those that someone else has locked, and returns their ids.
fn lock_runs(client: &SpiClient, tasks: Vec<i64>) -> Result<BTreeSet<i64>, Error> {
    let rows = statements::run(client, include_str!("../../queries/try_lock_task_runs.sql"), &[tasks.into()])?;
    Ok(numbers(rows, 1)?.into_iter().collect())
}

/// Ends tasks through reports of the engine's own, each with how it ended and its error.
fn end(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    tasks: impl Iterator<Item = (i64, &'static str, Option<String>)>,
) -> Result<(), Error> {
    let outcome = |(task, status, error): (i64, &'static str, Option<String>)| {
        let error = error.as_deref().and_then(Jsonb::from_text);
        let (task, status) = (Some(task), Some(status.to_owned()));
        Outcome::of_worker(WorkerReport { task, status, error, ..WorkerReport::default() })
    };
    let outcomes: Vec<Outcome> = tasks.map(outcome).collect();
    if !outcomes.is_empty() {
        finish(client, outcomes, now, Reporter::Engine, None)?;
    }
    Ok(())
}

/// `workflow_tick` in `sql/tick.sql`.
#[pg_extern(sql = false)]
fn workflow_tick(
    max_rows: Option<i32>,
    parts: Option<List<i32>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<i32, ErrorReport> {
    let caller = Caller::of_call(fcinfo)?;
    let max_rows = max_rows.filter(|rows| (1..=10_000).contains(rows)).ok_or_else(|| {
        let given = max_rows.map_or("null".to_owned(), |rows| rows.to_string());
        Error::out_of_range("max_rows is out of range", format!("max_rows is {given}"), "give 1 to 10000")
    })?;
    let parts = caller.parts(check_parts(parts)?)?;
    let deletes = parts.is_none();
    let parts = caller.foreign().restrict(&parts);
    let now = clock::now()?;
    Ok(Spi::connect(|client| tick(&Look { client, now, max_rows, parts, deletes }))?)
}
