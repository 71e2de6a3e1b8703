//! What people do to an execution: pause, resume, cancel, rerun.

use crate::advance::{Advance, ItemReports, read_runs};
use crate::error::Error;
use crate::report::context;
use crate::run::Run;
use crate::{family, finish, plans};
use conductor::control::Rerun;
use conductor::scope::Facts;
use conductor::state::{Status, TaskKey};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// A task that was named for a rerun.
struct Named {
    task: String,
    route: u32,
    reset_items: bool,
}

/// An execution under lock, with those that called it and those that it called.
struct Family<'c, 'conn> {
    advance: Advance<'c, 'conn>,
    /// Its workflow execution.
    id: i64,
    /// It has ended.
    over: bool,
    /// The workflow executions that it is called through, the nearest first.
    ancestors: Vec<i64>,
    /// Those that it calls and that go on, the nearest first.
    descendants: Vec<i64>,
}

/// Locks from above to below, which is the one order there is: an execution that is locked calls no new ones.
fn lock<'c, 'conn>(
    client: &'c SpiClient<'conn>,
    now: TimestampWithTimeZone,
    execution: i64,
) -> Result<Family<'c, 'conn>, Error> {
    let mut rows = plans::run(client, include_str!("../queries/lock_ancestors.sql"), &[execution.into()])?;
    let (mut id, mut ancestors) = (None, Vec::new());
    while rows.next().is_some() {
        match rows.get::<i64>(2)? == Some(execution) {
            true => id = rows.get::<i64>(1)?,
            false => ancestors.extend(rows.get::<i64>(1)?),
        }
    }
    ancestors.reverse();
    let ended = plans::run(client, include_str!("../queries/has_ended.sql"), &[execution.into()])?.first();
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
    let (mut descendants, mut level) = (Vec::new(), vec![execution]);
    while !level.is_empty() {
        let mut rows = plans::run(client, include_str!("../queries/lock_children.sql"), &[level.into()])?;
        level = Vec::new();
        while rows.next().is_some() {
            descendants.extend(rows.get::<i64>(1)?);
            level.extend(rows.get::<i64>(2)?);
        }
    }
    let mut advance = Advance::new(client, now, BTreeMap::new());
    advance.load([&[id], &ancestors[..], &descendants[..]].concat())?;
    Ok(Family { advance, id, over: ended.get::<bool>(1)?.unwrap_or_default(), ancestors, descendants })
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
        "pause" => family.pause(reason)?,
        "resume" if !paused => return is("resumed", "resume what is paused", "not paused"),
        "resume" => family.resume()?,
        _ if matches!(status, Status::Canceling | Status::Cancelled) => {}
        _ if family.over => return is("cancelled", "cancel what has not ended", status.name()),
        _ => {
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

    /// It and what it calls pauses; and so does what calls it, where nothing else is going on there.
    fn pause(&mut self, reason: Option<&str>) -> Result<(), Error> {
        let mut paused = [&[self.id], &self.descendants[..]].concat();
        for run in &paused {
            self.advance.tell(*run, |conductor| conductor.pause())?;
        }
        self.advance.settle(None)?;
        for ancestor in &self.ancestors {
            let query = include_str!("../queries/only_paused_children.sql");
            let rows = plans::run(self.advance.client, query, &[(*ancestor).into()])?.first();
            if rows.get::<bool>(1)? != Some(true) {
                break;
            }
            self.advance.tell(*ancestor, |conductor| conductor.pause())?;
            self.advance.settle(None)?;
            paused.push(*ancestor);
        }
        let arguments = [paused.into(), reason.into(), self.advance.now.into()];
        plans::run(self.advance.client, include_str!("../queries/explain_pause.sql"), &arguments)?;
        Ok(())
    }

    /// It, what it calls and what calls it goes on.
    fn resume(&mut self) -> Result<(), Error> {
        for run in [&self.ancestors[..], &[self.id], &self.descendants[..]].concat() {
            self.advance.tell(run, |conductor| conductor.resume())?;
        }
        self.advance.settle(None)?;
        Ok(())
    }
}

/// What time has made due of an execution: its time limit is over, or it has something to tell its parent or its
/// children. True where something was done about it.
fn due(client: &SpiClient, execution: i64, now: TimestampWithTimeZone) -> Result<bool, Error> {
    let runs =
        read_runs(client, plans::run(client, include_str!("../queries/load_due_run.sql"), &[execution.into()])?)?;
    let Some(run) = runs.keys().next().copied() else { return Ok(false) };
    let mut advance = Advance::new(client, now, runs);
    let status = advance.execution(run).map_or(Status::Running, |execution| execution.status);
    let over = plans::run(client, include_str!("../queries/has_ended.sql"), &[execution.into()])?.first();
    plans::run(client, include_str!("../queries/forget_due_run.sql"), &[run.into()])?;
    if over.get::<bool>(1)? == Some(true) {
        let reports = family::ends(&mut advance, vec![execution])?;
        finish::report_own(&mut advance, reports)?;
    } else if family::stops_children(status) {
        family::cancel_children(&mut advance, &[execution])?;
    } else {
        advance.tell(run, |conductor| conductor.time_out())?;
    }
    advance.settle(None)?;
    let still = plans::run(client, include_str!("../queries/is_due_run.sql"), &[run.into()])?.first();
    Ok(still.is_empty())
}

fn rerun(
    client: &SpiClient,
    execution: i64,
    named: &[Named],
    now: TimestampWithTimeZone,
) -> Result<&'static str, Error> {
    let Family { mut advance, id, over, .. } = lock(client, now, execution)?;
    let refuse = |why: String, hint: &str| {
        Error::refused("WF612", format!("execution {execution} cannot be rerun: {why}"), hint)
    };
    let Some(run) = advance.runs.get(&id) else { return Ok("") };
    if !over || run.before.status == Status::Completed {
        let why = if over { "it completed" } else { "it has not ended" };
        return Err(refuse(why.to_owned(), "rerun what ended without success"));
    }
    let known = ended_tasks(client, run)?;
    let mut tasks = Vec::new();
    if named.is_empty() {
        tasks.extend(known.iter().filter(|task| run.before.state.failures.contains(&task.key)).cloned());
    }
    for wanted in named {
        let node = run.graph.find(&wanted.task);
        let newest = known.iter().rev().find(|task| Some(task.key.node) == node && task.key.route == wanted.route);
        let Some(newest) = newest else {
            let why = format!("task {} has not run on route {}", wanted.task, wanted.route);
            return Err(refuse(why, "name a task that has run"));
        };
        tasks.push(Rerun { reset_items: wanted.reset_items, ..newest.clone() });
    }
    let answer = advance.conduct(id, Facts::default(), &ItemReports::new(), |conductor| conductor.rerun(&tasks))?;
    if let Some(Err(why)) = answer {
        return Err(refuse(why, "name the tasks to run again"));
    }
    advance.settle(None)?;
    Ok(advance.execution(id).map_or("", |execution| execution.status.name()))
}

/// Every run of every task, oldest first.
fn ended_tasks(client: &SpiClient, run: &Run) -> Result<Vec<Rerun>, Error> {
    let mut rows = plans::run(client, include_str!("../queries/load_ended_tasks.sql"), &[run.id.into()])?;
    let mut tasks = Vec::new();
    while rows.next().is_some() {
        let number = |ordinal| Ok::<u32, Error>(rows.get::<i32>(ordinal)?.unwrap_or_default() as u32);
        let Some(node) = rows.get::<String>(1)?.and_then(|name| run.graph.find(&name)) else { continue };
        let items = (number(5)?, number(6)?);
        tasks.push(Rerun {
            key: TaskKey { node, route: number(2)?, visit: number(3)? },
            context: rows.get::<String>(4)?.map(|text| context(&text)).unwrap_or_default(),
            items: (items.0 > 0).then_some(items),
            reset_items: false,
            ended_at_once: rows.get::<bool>(7)?.unwrap_or_default(),
        });
    }
    Ok(tasks)
}

/// `workflow.control` in `sql/control.sql`.
#[pg_extern(sql = false)]
fn workflow_control(
    execution: i64,
    what: &str,
    reason: Option<&str>,
    now: TimestampWithTimeZone,
) -> Result<String, ErrorReport> {
    Ok(Spi::connect(|client| control(client, execution, what, reason, now))?.to_owned())
}

/// `workflow.do_due_run` in `sql/tick.sql`.
#[pg_extern(sql = false)]
fn workflow_do_due_run(execution: i64, now: TimestampWithTimeZone) -> Result<bool, ErrorReport> {
    Ok(Spi::connect(|client| due(client, execution, now))?)
}

/// `workflow.rerun` in `sql/control.sql`.
#[pg_extern(sql = false)]
fn workflow_rerun_tasks(
    execution: i64,
    tasks: Vec<String>,
    routes: Vec<i32>,
    reset_items: Vec<bool>,
    now: TimestampWithTimeZone,
) -> Result<String, ErrorReport> {
    let named = tasks.into_iter().zip(routes).zip(reset_items);
    let named: Vec<Named> =
        named.map(|((task, route), reset_items)| Named { task, route: route.max(0) as u32, reset_items }).collect();
    Ok(Spi::connect(|client| rerun(client, execution, &named, now))?.to_owned())
}
