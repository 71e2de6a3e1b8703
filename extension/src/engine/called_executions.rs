//! Executions that call each other: ends propagate up, stops propagate down. Neither waits for a lock; executions that
//! are busy now are left to the next tick.

use crate::engine::advance::Advance;
use crate::engine::own_report::OwnReport;
use crate::engine::propagation;
use crate::error::Error;
use crate::pg::rows::numbers;
use crate::pg::statements;
use crate::settings;
use crate::store::{TaskRows, column, not_needed};
use conductor::engine::status::TaskEnd;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the reports for the tasks that called executions that have now ended.
pub fn ends(advance: &mut Advance, executions: Vec<i64>) -> Result<Vec<OwnReport>, Error> {
    let mut reports = Vec::new();
    if executions.is_empty() {
        return Ok(reports);
    }
    let arguments = [executions.into()];
    let mut rows = statements::run(advance.client, include_str!("../../queries/try_lock_parents.sql"), &arguments)?;
    let (mut busy, mut cancelled) = (Vec::new(), BTreeMap::new());
    while rows.next().is_some() {
        let execution = rows.get::<i64>(1)?.unwrap_or_default();
        let Some(caller) = rows.get::<i64>(3)? else {
            busy.push(execution);
            continue;
        };
        let status = rows.get::<String>(4)?.unwrap_or_default();
        let task = rows.get::<i64>(2)?.unwrap_or_default();
        if let Some(phase) = rows.get::<String>(11)? {
            reports.push(undone(task, execution, &phase));
            continue;
        }
        let time_limit = rows.get::<i32>(8)?;
        let end = match time_limit {
            Some(_) => TaskEnd::Timeout,
            None => TaskEnd::parse(&status).unwrap_or(TaskEnd::Failed),
        };
        let error = (end != TaskEnd::Completed).then(|| {
            let message = rows.get::<String>(6)?.filter(|message| !message.is_empty());
            let message = message.unwrap_or_else(|| format!("execution {execution} ended as {status}"));
            let mut error = match time_limit {
                Some(seconds) => {
                    let message = format!("exceeded its timeout of {seconds} s");
                    json!({"type": "timeout", "message": message, "execution": execution})
                }
                None => json!({"type": "workflow", "message": message, "execution": execution}),
            };
            if let Some(cause) = rows.get::<String>(9)?.as_deref().and_then(cause_below) {
                error["cause"] = cause;
            }
            Ok::<_, Error>(error.to_string())
        });
        let is_needless = rows.get::<bool>(12)? == Some(true);
        // The caller continues without it.
        if end == TaskEnd::Cancelled && !is_needless {
            cancelled.entry(caller).or_insert(rows.get::<i64>(7)?.unwrap_or_default());
        }
        let (result, undoable) = (rows.get::<String>(5)?, rows.get::<bool>(10)?);
        let error = if is_needless && end == TaskEnd::Cancelled { Some(not_needed()) } else { error.transpose()? };
        reports.push(OwnReport { task, end, result, error, undoable });
    }
    postpone(advance, busy)?;
    // Callers of executions that were cancelled are cancelled, too.
    log_reached(advance, "cancel", cancelled.into_iter().collect())?;
    Ok(reports)
}

/// Returns the report for a task that makes an execution undo itself, given how far that has got.
pub fn undone(task: i64, execution: i64, phase: &str) -> OwnReport {
    let is_done = phase == "done";
    let error = (!is_done).then(|| {
        let message = format!("execution {execution} could not undo all of its completed tasks");
        json!({"type": "workflow", "message": message, "execution": execution}).to_string()
    });
    let end = if is_done { TaskEnd::Completed } else { TaskEnd::Failed };
    OwnReport { task, end, result: None, error, undoable: None }
}

/// Returns the cause of a call's error: the underlying failure, taken from the first error of the called execution.
fn cause_below(first: &str) -> Option<Value> {
    let Ok(Value::Object(mut cause)) = conductor::json::from_text::<Value>(first) else { return None };
    cause.remove("time");
    if let Some(below) = cause.get_mut("error").and_then(Value::as_object_mut).and_then(|error| error.remove("cause")) {
        cause.insert("cause".to_owned(), below);
    }
    Some(Value::Object(cause))
}

/// Cancels the children of executions that have stopped. If the flag is true, this includes children called by tasks
/// that close them.
pub fn cancel_children(advance: &mut Advance, stopped: &[(i64, bool)]) -> Result<(), Error> {
    for forced in [false, true] {
        let executions: Vec<i64> = stopped.iter().filter(|(_, by)| *by == forced).map(|(id, _)| *id).collect();
        if !executions.is_empty() {
            cancel_children_of(advance, &executions, forced)?;
        }
    }
    Ok(())
}

fn cancel_children_of(advance: &mut Advance, executions: &[i64], forced: bool) -> Result<(), Error> {
    let most = advance.family_left;
    let arguments = [executions.to_vec().into(), (most as i64).into(), forced.into()];
    let mut rows = statements::run(advance.client, include_str!("../../queries/try_lock_children.sql"), &arguments)?;
    if rows.len() >= most {
        propagation::leave(advance, executions)?;
    }
    advance.family_left -= rows.len();
    let (mut free, mut busy) = (Vec::new(), BTreeSet::new());
    while rows.next().is_some() {
        match rows.get::<i64>(3)? {
            Some(run) => free.push((run, rows.get::<i64>(4)?.unwrap_or_default())),
            None => drop(busy.insert(rows.get::<i64>(2)?.unwrap_or_default())),
        }
    }
    postpone(advance, busy.into_iter().collect())?;
    let reached = free.iter().map(|(run, caller)| (*run, *caller)).collect();
    cancel(advance, free.into_iter().map(|(run, _)| run).collect(), forced)?;
    log_reached(advance, "cancel", reached)
}

/// Cancels those executions that nobody else has locked.
pub fn cancel_free(advance: &mut Advance, executions: Vec<i64>) -> Result<(), Error> {
    let rows = statements::run(advance.client, include_str!("../../queries/try_lock_runs.sql"), &[executions.into()])?;
    let runs = numbers(rows, 1)?;
    cancel(advance, runs, false)
}

/// Cancels locked executions, forcibly if `forced`.
pub fn cancel(advance: &mut Advance, runs: Vec<i64>, forced: bool) -> Result<(), Error> {
    if !runs.is_empty() {
        advance.load(runs.clone())?;
        for run in runs {
            advance.apply(run, |conductor| match forced {
                true => conductor.force_cancel(),
                false => conductor.cancel_called(),
            })?;
        }
    }
    Ok(())
}

/// Voids the running work of workers for executions, reporting it as `cancelled`. If the flag is true, this includes
/// the tasks that close them.
pub fn void(advance: &Advance, runs: Vec<(i64, bool)>) -> Result<Vec<OwnReport>, Error> {
    let mut reports = Vec::new();
    if !runs.is_empty() {
        let (runs, everything): (Vec<i64>, Vec<bool>) = runs.into_iter().unzip();
        let arguments = [runs.into(), advance.now.into(), everything.into()];
        let mut rows = statements::run(advance.client, include_str!("../../queries/void_tasks.sql"), &arguments)?;
        while rows.next().is_some() {
            let task = rows.get::<i64>(1)?.unwrap_or_default();
            reports.push(OwnReport { task, end: TaskEnd::Cancelled, result: None, error: None, undoable: None });
        }
        reports.sort_by_key(|report| report.task);
    }
    Ok(reports)
}

/// Stops running tasks that are no longer needed: reports those that workers hold as `cancelled`, and schedules the
/// cancel of executions that calls have started. Tasks that are reported later in this call are left to their reports.
pub fn void_rest(advance: &Advance, rest: &[(i64, TaskRows)]) -> Result<Vec<OwnReport>, Error> {
    let mut reports = Vec::new();
    if !rest.is_empty() {
        let arguments = [
            column(rest, |(run, _)| *run),
            column(rest, |(_, task)| task.task_name.clone()),
            column(rest, |(_, task)| task.route as i32),
            column(rest, |(_, task)| task.visit.map(|visit| visit as i32)),
            advance.now.into(),
            not_needed().into(),
            column(rest, |(_, task)| task.running),
            advance.unprocessed.clone().into(),
        ];
        let mut rows = statements::run(advance.client, include_str!("../../queries/void_rest.sql"), &arguments)?;
        while rows.next().is_some() {
            let task = rows.get::<i64>(1)?.unwrap_or_default();
            let error = Some(not_needed());
            reports.push(OwnReport { task, end: TaskEnd::Cancelled, result: None, error, undoable: None });
        }
        reports.sort_by_key(|report| report.task);
    }
    Ok(reports)
}

/// Logs that an operation on some workflow executions (the second of each pair) has reached others (the first).
pub fn log_reached(advance: &Advance, kind: &str, reached: Vec<(i64, i64)>) -> Result<(), Error> {
    if !reached.is_empty() {
        let (reached, sources): (Vec<i64>, Vec<i64>) = reached.into_iter().unzip();
        let node = i64::from(settings::node()) << 40;
        let arguments = [reached.into(), sources.into(), kind.into(), node.into(), advance.now.into()];
        statements::run(advance.client, include_str!("../../queries/log_reached.sql"), &arguments)?;
    }
    Ok(())
}

fn postpone(advance: &Advance, executions: Vec<i64>) -> Result<(), Error> {
    if !executions.is_empty() {
        let arguments = [executions.into(), advance.now.into()];
        statements::run(advance.client, include_str!("../../queries/postpone_runs.sql"), &arguments)?;
    }
    Ok(())
}
