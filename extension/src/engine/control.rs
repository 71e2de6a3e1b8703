//! What people do to an execution that goes on: pause, resume, cancel.

use crate::argument;
use crate::engine::advance::{Advance, read_runs};
use crate::engine::finish;
use crate::engine::propagation;
use crate::engine::sub_workflows;
use crate::error::Error;
use crate::pg::clock;
use crate::pg::statements;
use conductor::state::Status;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// An execution under lock, with those that called it and those that it called.
pub struct Family<'c, 'conn> {
    /// All of them, to be advanced.
    pub advance: Advance<'c, 'conn>,
    /// Its workflow execution.
    pub id: i64,
    /// It has ended.
    over: bool,
    /// The workflow executions that it is called through, the nearest first.
    pub ancestors: Vec<i64>,
    /// Those that it calls and that go on, the nearest first; not all, where they are too many for one call.
    descendants: Vec<i64>,
    /// Those of them, and itself, that may have called others that are left to workflow_tick.
    unvisited: Vec<i64>,
}

/// Locks from above to below, which is the one order there is: an execution that is locked calls no new ones.
pub fn lock<'c, 'conn>(
    client: &'c SpiClient<'conn>,
    now: TimestampWithTimeZone,
    execution: i64,
) -> Result<Family<'c, 'conn>, Error> {
    let mut rows = statements::run(client, include_str!("../../queries/lock_ancestors.sql"), &[execution.into()])?;
    let (mut id, mut ancestors) = (None, Vec::new());
    while rows.next().is_some() {
        match rows.get::<i64>(2)? == Some(execution) {
            true => id = rows.get::<i64>(1)?,
            false => ancestors.extend(rows.get::<i64>(1)?),
        }
    }
    ancestors.reverse();
    let ended = statements::run(client, include_str!("../../queries/has_ended.sql"), &[execution.into()])?.first();
    let id = match (id, ended.is_empty()) {
        (Some(id), _) => id,
        (None, true) => {
            let message = format!("there is no workflow execution for execution {execution}");
            return Err(Error::refused("WF616", message, "give the id that workflow_start gave"));
        }
        (None, false) => {
            let message = format!("execution {execution} is driven from outside");
            return Err(Error::refused("WF618", message, "use workflow_update_workflow_execution"));
        }
    };
    let (descendants, unvisited) = lock_descendants(client, id, execution)?;
    let mut advance = Advance::new(client, now, BTreeMap::new());
    advance.load([&[id], &ancestors[..], &descendants[..]].concat())?;
    Ok(Family { advance, id, over: ended.get::<bool>(1)?.unwrap_or_default(), ancestors, descendants, unvisited })
}

/// Locks what an execution calls, level by level, until there are too many for one call. Gives them, and those whose own calls
/// were not all locked.
fn lock_descendants(client: &SpiClient, id: i64, execution: i64) -> Result<(Vec<i64>, Vec<i64>), Error> {
    let (mut descendants, mut level, mut executions) = (Vec::new(), vec![id], vec![execution]);
    while !executions.is_empty() {
        let left = propagation::MOST - descendants.len();
        let arguments = [executions.into(), (left as i64).into()];
        let mut rows = statements::run(client, include_str!("../../queries/lock_children.sql"), &arguments)?;
        let mut next = Vec::new();
        executions = Vec::new();
        while rows.next().is_some() {
            next.extend(rows.get::<i64>(1)?);
            executions.extend(rows.get::<i64>(2)?);
        }
        descendants.extend(&next);
        if next.len() == left {
            return Ok((descendants, [level, next].concat()));
        }
        level = next;
    }
    Ok((descendants, Vec::new()))
}

fn wrong_state(execution: i64, wanted: &str, is: &str, hint: &str) -> Error {
    Error::refused("WF611", format!("execution {execution} cannot be {wanted}: it is {is}"), hint)
}

/// Pauses, resumes or cancels; gives the workflow's status then.
fn control(
    client: &SpiClient,
    execution: i64,
    what: &str,
    reason: Option<&str>,
    now: TimestampWithTimeZone,
) -> Result<&'static str, Error> {
    let mut family = lock(client, now, execution)?;
    let Some((status, paused)) = family.state() else { return Ok("") };
    let is = |what: &str, hint: &str, is: &str| Err(wrong_state(execution, what, is, hint));
    match what {
        "pause" if family.over || status != Status::Running => {
            return is("paused", "pause what is running", status.name());
        }
        "pause" => {
            let paused = family.pause(reason)?;
            log(client, execution, what, reason, None, paused, now)?;
        }
        "resume" if !paused => return is("resumed", "resume what is paused", "not paused"),
        "resume" => {
            let resumed = family.resume()?;
            log(client, execution, what, reason, None, resumed, now)?;
        }
        _ if matches!(status, Status::Canceling | Status::Cancelled) => {}
        _ if family.over => return is("cancelled", "cancel what has not ended", status.name()),
        _ => {
            // It comes first: those that the cancel reaches are told by the one that it reached before.
            if status == Status::Running {
                log(client, execution, what, reason, None, Vec::new(), now)?;
            }
            family.advance.tell(family.id, |conductor| conductor.cancel())?;
            family.advance.settle(None)?;
        }
    }
    Ok(family.state().map_or("", |(status, _)| status.name()))
}

impl Family<'_, '_> {
    fn state(&self) -> Option<(Status, bool)> {
        self.advance.execution(self.id).map(|execution| (execution.status, execution.paused))
    }

    /// It and what it calls pauses; and so does what calls it, where nothing else is going on there. Gives all that has heard.
    fn pause(&mut self, reason: Option<&str>) -> Result<Vec<i64>, Error> {
        let mut paused = [&[self.id], &self.descendants[..]].concat();
        for run in &paused {
            self.advance.tell(*run, |conductor| conductor.pause())?;
        }
        self.advance.settle(None)?;
        for ancestor in &self.ancestors {
            let query = include_str!("../../queries/only_paused_children.sql");
            let rows = statements::run(self.advance.client, query, &[(*ancestor).into()])?.first();
            if rows.get::<bool>(1)? != Some(true) {
                break;
            }
            self.advance.tell(*ancestor, |conductor| conductor.pause())?;
            self.advance.settle(None)?;
            paused.push(*ancestor);
        }
        let arguments = [paused.clone().into(), reason.into(), self.advance.now.into()];
        statements::run(self.advance.client, include_str!("../../queries/explain_pause.sql"), &arguments)?;
        propagation::note(&self.advance, &paused, &self.unvisited)?;
        Ok(paused)
    }

    /// It, what it calls and what calls it goes on. Gives all that has heard.
    fn resume(&mut self) -> Result<Vec<i64>, Error> {
        let resumed = [&self.ancestors[..], &[self.id], &self.descendants[..]].concat();
        for run in &resumed {
            self.advance.tell(*run, |conductor| conductor.resume())?;
        }
        self.advance.settle(None)?;
        propagation::note(&self.advance, &resumed, &self.unvisited)?;
        Ok(resumed)
    }
}

/// What time has made due of an execution: its time limit is over, or it has something to tell its parent or its
/// children. True where something was done about it.
pub fn due(client: &SpiClient, execution: i64, now: TimestampWithTimeZone) -> Result<bool, Error> {
    let runs = read_runs(
        client,
        statements::run(client, include_str!("../../queries/load_due_run.sql"), &[execution.into()])?,
    )?;
    let Some(run) = runs.keys().next().copied() else { return Ok(false) };
    let mut advance = Advance::new(client, now, runs);
    let status = advance.execution(run).map_or(Status::Running, |execution| execution.status);
    let over = statements::run(client, include_str!("../../queries/has_ended.sql"), &[execution.into()])?.first();
    statements::run(client, include_str!("../../queries/forget_due_run.sql"), &[run.into()])?;
    if over.get::<bool>(1)? == Some(true) {
        let reports = sub_workflows::ends(&mut advance, vec![execution])?;
        finish::report_own(&mut advance, reports)?;
    } else if sub_workflows::stops_children(status) {
        sub_workflows::cancel_children(&mut advance, &[execution])?;
    } else {
        advance.tell(run, |conductor| conductor.time_out())?;
    }
    advance.settle(None)?;
    let still = statements::run(client, include_str!("../../queries/is_due_run.sql"), &[run.into()])?.first();
    Ok(still.is_empty())
}

/// Does what a function of the API was called for; returns the status as the enum has it.
fn controlled(execution: Option<i64>, what: &str, reason: Option<&str>) -> Result<Option<pg_sys::Oid>, Error> {
    let execution = execution.ok_or_else(|| Error::missing("execution_id"))?;
    argument::check_reason(reason)?;
    let now = clock::now()?;
    Spi::connect(|client| {
        let status = control(client, execution, what, reason, now)?;
        if what == "cancel" && reason.is_some() {
            statements::run(
                client,
                include_str!("../../queries/explain_cancel.sql"),
                &[execution.into(), reason.into()],
            )?;
        }
        status_value(client, status)
    })
}

/// Logs what somebody did to an execution that is locked, and to those that it reached from there.
pub fn log(
    client: &SpiClient,
    execution: i64,
    what: &str,
    message: Option<&str>,
    detail: Option<String>,
    reached: Vec<i64>,
    now: TimestampWithTimeZone,
) -> Result<(), Error> {
    let arguments = [execution.into(), what.into(), message.into(), detail.into(), now.into(), reached.into()];
    statements::run(client, include_str!("../../queries/log_control.sql"), &arguments)?;
    Ok(())
}

/// Returns the value of the enum `workflow.execution_status` with this label: the number of its row.
pub fn status_value(client: &SpiClient, label: &str) -> Result<Option<pg_sys::Oid>, Error> {
    statements::run(client, include_str!("../../queries/find_status.sql"), &[label.into()])?.first().get(1)
}

/// `workflow_pause` in `sql/control.sql`.
#[pg_extern(sql = false)]
fn workflow_pause(execution: Option<i64>, reason: Option<&str>) -> Result<Option<pg_sys::Oid>, ErrorReport> {
    Ok(controlled(execution, "pause", reason)?)
}

/// `workflow_resume` in `sql/control.sql`.
#[pg_extern(sql = false)]
fn workflow_resume(execution: Option<i64>, reason: Option<&str>) -> Result<Option<pg_sys::Oid>, ErrorReport> {
    Ok(controlled(execution, "resume", reason)?)
}

/// `workflow_cancel` in `sql/control.sql`.
#[pg_extern(sql = false)]
fn workflow_cancel(execution: Option<i64>, reason: Option<&str>) -> Result<Option<pg_sys::Oid>, ErrorReport> {
    Ok(controlled(execution, "cancel", reason)?)
}
