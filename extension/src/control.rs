//! What people do to an execution: pause, resume, cancel, rerun.

use crate::advance::{Advance, ItemReports, read_runs};
use crate::error::Error;
use crate::plans;
use crate::report::context;
use crate::run::Run;
use conductor::conductor::Conductor;
use conductor::control::Rerun;
use conductor::definition::CancellationPolicy;
use conductor::scope::Facts;
use conductor::state::{Status, TaskKey};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

/// A task that was named for a rerun.
struct Named {
    task: String,
    route: u32,
    reset_items: bool,
}

/// An execution under lock, and whether it is over.
fn lock<'c, 'conn>(
    client: &'c SpiClient<'conn>,
    now: TimestampWithTimeZone,
    execution: i64,
) -> Result<(Advance<'c, 'conn>, i64, bool), Error> {
    let rows = || plans::run(client, include_str!("../queries/lock_run.sql"), &[execution.into()]);
    let runs = read_runs(client, rows()?)?;
    let found = rows()?.first();
    if found.is_empty() {
        let message = format!("there is no workflow execution for execution {execution}");
        return Err(Error::refused("WF616", message, "give the id that workflow_start gave"));
    }
    let over = found.get::<bool>(9)?.unwrap_or_default();
    let id = *runs.keys().next().ok_or_else(|| {
        let message = format!("execution {execution} is driven from outside");
        Error::refused("WF618", message, "use workflow_update_workflow_execution")
    })?;
    Ok((Advance::new(client, now, runs), id, over))
}

fn wrong_state(execution: i64, wanted: &str, is: &str, hint: &str) -> Error {
    Error::refused("WF611", format!("execution {execution} cannot be {wanted}: it is {is}"), hint)
}

/// Pauses, resumes, cancels or lets time out; gives the workflow's status then.
fn control(client: &SpiClient, execution: i64, what: &str, now: TimestampWithTimeZone) -> Result<&'static str, Error> {
    let (mut advance, id, over) = lock(client, now, execution)?;
    let Some((status, paused)) = advance.execution(id).map(|run| (run.status, run.paused)) else { return Ok("") };
    let cancelled = matches!(status, Status::Canceling | Status::Cancelled);
    let event: fn(&mut Conductor) = match what {
        "pause" if over || status != Status::Running => {
            return Err(wrong_state(execution, "paused", status.name(), "pause what is running"));
        }
        "pause" => |conductor| conductor.pause(),
        "resume" if !paused => {
            return Err(wrong_state(execution, "resumed", "not paused", "resume what is paused"));
        }
        "resume" => |conductor| conductor.resume(),
        "cancel" if cancelled => return Ok(status.name()),
        "cancel" if over => {
            return Err(wrong_state(execution, "cancelled", status.name(), "cancel what has not ended"));
        }
        "cancel" => |conductor| conductor.cancel(),
        _ if over => return Ok(status.name()),
        _ => |conductor| conductor.time_out(),
    };
    advance.conduct(id, Facts::default(), &ItemReports::new(), event)?;
    advance.settle(None)?;
    Ok(advance.execution(id).map_or("", |execution| execution.status.name()))
}

fn rerun(
    client: &SpiClient,
    execution: i64,
    named: &[Named],
    now: TimestampWithTimeZone,
) -> Result<&'static str, Error> {
    let (mut advance, id, over) = lock(client, now, execution)?;
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
        });
    }
    Ok(tasks)
}

/// `workflow.control` in `sql/control.sql`.
#[pg_extern(sql = false)]
fn workflow_control(execution: i64, what: &str, now: TimestampWithTimeZone) -> Result<String, ErrorReport> {
    Ok(Spi::connect(|client| control(client, execution, what, now))?.to_owned())
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

/// `workflow.cancels_running` in `sql/control.sql`: does cancelling this execution end what runs?
#[pg_extern(sql = false)]
fn workflow_cancels_running(execution: i64) -> Result<bool, ErrorReport> {
    let policy = Spi::connect(|client| {
        let runs =
            read_runs(client, plans::run(client, include_str!("../queries/lock_run.sql"), &[execution.into()])?)?;
        Ok::<_, Error>(runs.values().any(|run| run.graph.cancellation_policy == CancellationPolicy::CancelRunning))
    })?;
    Ok(policy)
}
