//! Timeouts and delays that have elapsed: of tasks, of calls, and of whole executions. Executions that still have to
//! notify others are due in the same way.

use crate::engine::advance::{Advance, read_runs};
use crate::engine::due::{TickScope, end, lock_runs};
use crate::engine::report_rounds::report_own;
use crate::engine::settle::settle;
use crate::engine::{called_executions, internal_tasks, waiting_executions};
use crate::error::Error;
use crate::pg::id;
use crate::pg::rows::numbers;
use crate::pg::statements;
use crate::queue::hints;
use conductor::engine::status::{Reach, Status};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use serde_json::json;
use std::collections::BTreeMap;

/// Continues tasks whose delay, retry delay or time limit has elapsed. Returns the number of tasks.
pub fn wake_tasks(look: &TickScope) -> Result<i32, Error> {
    let TickScope { client, now, .. } = look;
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
    // A child that does the work of a late task can be stopped only if nobody else has locked it.
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
            None => format!("exceeded its timeout of {seconds} s"),
            Some(signal) => match rows.get::<i32>(5)? {
                None => format!("timed out after {seconds} s waiting for signal `{signal}`"),
                Some(heartbeat) => {
                    format!("timed out after {heartbeat} s without a heartbeat, waiting for signal `{signal}`")
                }
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
    called_executions::cancel_free(&mut advance, children)?;
    settle(&mut advance, None)?;
    Ok(())
}

/// Continues executions that have exceeded their workflow's time limit, or that still have to notify others that they
/// ended or stopped. Returns the number of executions.
pub fn end_due_executions(look: &TickScope) -> Result<i32, Error> {
    let TickScope { client, now, .. } = look;
    let mut rows = statements::run(client, include_str!("../../queries/find_due_runs.sql"), &look.arguments())?;
    let (mut executions, mut waiting) = (Vec::new(), Vec::new());
    while rows.next().is_some() {
        let list = if rows.get::<bool>(2)? == Some(true) { &mut waiting } else { &mut executions };
        list.extend(rows.get::<i64>(1)?);
    }
    let mut done = 0;
    // First, while they still wait: the others may cancel them.
    if !waiting.is_empty() {
        let mut advance = Advance::new(client, *now, BTreeMap::new());
        done += waiting_executions::recheck_waiting(&mut advance, waiting)?;
        settle(&mut advance, None)?;
    }
    for execution in executions {
        done += i32::from(due(client, execution, *now)?);
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
        let reports = called_executions::ends(&mut advance, vec![execution])?;
        report_own(&mut advance, reports)?;
    } else if advance.execution(run).is_some_and(|execution| execution.status != Status::Running) {
        if stop != Reach::Nothing {
            called_executions::cancel_children(&mut advance, &[(execution, stop == Reach::Everything)])?;
        }
        advance.apply(run, |conductor| conductor.withdraw_again())?;
    } else {
        advance.apply(run, |conductor| conductor.time_out())?;
    }
    settle(&mut advance, None)?;
    let still = statements::run(client, include_str!("../../queries/is_due_run.sql"), &[run.into()])?.first();
    Ok(still.is_empty())
}
