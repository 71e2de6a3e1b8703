//! Rerunning executions that ended without success, on request.

use crate::argument::{MAX_ELEMENTS, check_count, check_reason};
use crate::engine::advance::Advance;
use crate::engine::called_executions;
use crate::engine::family_lock::Family;
use crate::engine::family_lock::{Patience, lock};
use crate::engine::rerun::hindrance;
use crate::engine::rerun::{ended_tasks, failed, refused, rerun_tasks};
use crate::engine::settle::settle;
use crate::engine::{control, control_log};
use crate::error::Error;
use crate::pg::clock;
use crate::pg::list::List;
use crate::pg::statements;
use crate::store::run::Run;
use conductor::code::Code;
use conductor::engine::rerun::Rerun;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use serde_json::{Value, json};

/// A request for a rerun.
struct Wanted<'a> {
    execution: i64,
    /// Tasks by name and route; if empty, all whose failures were not handled.
    tasks: Vec<(String, u32)>,
    reset_items: bool,
    reason: Option<&'a str>,
    /// JSON for the log: the names in the request.
    detail: String,
}

impl Wanted<'_> {
    /// Whether it differs from what a caller that continues would rerun by itself.
    fn is_specific(&self) -> bool {
        self.reset_items || !self.tasks.is_empty()
    }
}

fn rerun(
    client: &SpiClient,
    wanted: &Wanted,
    now: TimestampWithTimeZone,
    patience: Patience,
) -> Result<&'static str, Error> {
    let Family { mut advance, id, ancestors, .. } = lock(client, now, wanted.execution, patience)?;
    let Some(run) = advance.runs.get(&id) else { return Ok("") };
    if let Some((what, hint)) = hindrance(client, run)? {
        return Err(refused(wanted.execution, &format!("it {what}"), hint));
    }
    let mut tasks = chosen(client, run, wanted)?;
    let mut top = id;
    // The caller has already continued, unless it is being undone as well.
    let undoes_alone = run.before.resumes_undo() && !is_undone_by_caller(&advance, id, ancestors.first())?;
    let ancestors = if undoes_alone { Vec::new() } else { ancestors };
    let mut calls = Vec::new();
    for caller in &ancestors {
        let (task, call) = call_of(&advance, wanted.execution, top, *caller)?;
        advance.child_reruns.insert(task, std::mem::replace(&mut tasks, vec![call]));
        calls.push((task, *caller));
        top = *caller;
    }
    control_log::add(client, wanted.execution, "rerun", wanted.reason, Some(wanted.detail.clone()), Vec::new(), now)?;
    called_executions::log_reached(&advance, "rerun", ancestors.iter().map(|ancestor| (*ancestor, id)).collect())?;
    rerun_tasks(&mut advance, wanted.execution, top, &tasks)?;
    settle(&mut advance, None)?;
    // A call that waits first, for a slot or a delay, reruns whatever has failed by then.
    let waiting = calls.iter().rev().find(|(task, _)| advance.child_reruns.contains_key(task));
    if let Some((_, caller)) = waiting.filter(|_| wanted.is_specific()) {
        let how = if ancestors.first() == Some(caller) { "which called it" } else { "whose calls led to it" };
        let why = format!("execution {caller}, {how}, has to wait before it can continue the call");
        let hint = format!("To rerun what has failed once it continues, SELECT workflow_rerun({caller}).");
        return Err(refused(wanted.execution, &why, &hint));
    }
    Ok(advance.execution(id).map_or("", |execution| execution.status.name()))
}

/// Whether an execution is undoing itself because its caller is being undone.
fn is_undone_by_caller(advance: &Advance, called: i64, caller: Option<&i64>) -> Result<bool, Error> {
    let Some(caller) = caller.and_then(|caller| advance.runs.get(caller)) else { return Ok(false) };
    let call = find_call(advance.client, called, caller)?;
    Ok(call.is_some_and(|(_, call)| caller.graph.node(call.key.node).undoes.is_some()))
}

/// Returns the tasks to start with.
fn chosen(client: &SpiClient, run: &Run, wanted: &Wanted) -> Result<Vec<Rerun>, Error> {
    let known = ended_tasks(client, &[run])?.remove(&run.id).unwrap_or_default();
    let mut tasks = Vec::new();
    if wanted.tasks.is_empty() {
        tasks = failed(run, &known);
    }
    for (name, route) in &wanted.tasks {
        let node = run.graph.find(name);
        let newest = known.iter().rev().find(|task| Some(task.key.node) == node && task.key.route == *route);
        let Some(newest) = newest else {
            let why = format!("task {name} has not run on route {route}");
            return Err(refused(wanted.execution, &why, "Name a task that has run."));
        };
        tasks.push(newest.clone());
    }
    tasks.iter_mut().for_each(|task| task.reset_items = wanted.reset_items);
    if wanted.reset_items {
        let open = statements::run(client, include_str!("../../queries/find_open_undo.sql"), &[run.id.into()])?.first();
        if let Some(child) = open.get::<i64>(1)? {
            let why = format!("execution {child}, which it called, has not undone all of its completed tasks");
            return Err(refused(
                wanted.execution,
                &why,
                &format!("First continue that one: SELECT workflow_rerun({child})."),
            ));
        }
    }
    if let Some(task) = tasks.iter().find(|task| task.runs_undoable()) {
        let why = format!("task {} has completed and has an undo", run.graph.node(task.key.node).name);
        return Err(refused(wanted.execution, &why, "Name tasks that have failed, or start a new execution."));
    }
    Ok(tasks)
}

/// Returns the caller's task whose work the child did, and which is to be rerun with it. Refuses the rerun if that is
/// impossible.
fn call_of(advance: &Advance, execution: i64, child: i64, caller: i64) -> Result<(i64, Rerun), Error> {
    let (Some(child), Some(caller)) = (advance.runs.get(&child), advance.runs.get(&caller)) else {
        return Err(refused(execution, "its caller is driven from outside", "Start a new execution of its workflow."));
    };
    let (called, above) = (child.id, caller.id);
    let Some(call) = find_call(advance.client, called, caller)? else {
        let why = format!("the task of execution {above} that called execution {called} has continued without it");
        return Err(refused(
            execution,
            &why,
            "Use workflow_tree to find the execution that it called last, and rerun that one.",
        ));
    };
    match hindrance(advance.client, caller)? {
        None => Ok(call),
        Some((what, hint)) => {
            Err(refused(execution, &format!("execution {above}, which called execution {called}, {what}"), hint))
        }
    }
}

/// Returns the task whose work an execution did, provided that this is the task's newest run or an undo, and that it
/// has not called another execution.
fn find_call(client: &SpiClient, called: i64, caller: &Run) -> Result<Option<(i64, Rerun)>, Error> {
    let mut rows = statements::run(client, include_str!("../../queries/find_call.sql"), &[called.into()])?;
    if rows.next().is_none() {
        return Ok(None);
    }
    let number = |ordinal| Ok::<Option<u32>, Error>(rows.get::<i32>(ordinal)?.map(|number| number as u32));
    let Some(node) = rows.get::<String>(2)?.and_then(|name| caller.graph.find(&name)) else { return Ok(None) };
    let (route, visit, first) = (number(3)?.unwrap_or_default(), number(4)?.unwrap_or_default(), number(5)?);
    let known = ended_tasks(client, &[caller])?.remove(&caller.id).unwrap_or_default();
    // Each run of an undo undoes something else.
    let is_undo = caller.graph.node(node).undoes.is_some();
    let newest = known
        .into_iter()
        .rfind(|task| task.key.node == node && task.key.route == route && (!is_undo || task.key.visit == visit));
    let task = rows.get::<i64>(1)?.unwrap_or_default();
    Ok(newest.filter(|newest| newest.key.visit == visit).map(|call| (task, Rerun { first, ..call })))
}

/// Builds the request from the arguments, after checking them against each other.
fn wanted(
    execution: i64,
    tasks: Option<Vec<Option<String>>>,
    routes: Option<Vec<Option<i32>>>,
    reset_items: bool,
) -> Result<Wanted<'static>, Error> {
    let hint = "Pass task names, and either no routes or one per task.";
    let mismatch = || Error::refused(Code::INVALID_ARGUMENT, "tasks and routes do not match", hint);
    let mut detail = serde_json::Map::new();
    detail.extend(tasks.as_ref().map(|tasks| ("tasks".to_owned(), json!(tasks))));
    detail.extend(routes.as_ref().map(|routes| ("routes".to_owned(), json!(routes))));
    detail.extend(reset_items.then(|| ("reset_items".to_owned(), json!(true))));
    let names = tasks.unwrap_or_default();
    check_count("tasks", names.len(), MAX_ELEMENTS)?;
    let routes = routes.unwrap_or_else(|| vec![Some(0); names.len()]);
    if routes.len() != names.len() {
        return Err(mismatch());
    }
    let named = names.into_iter().zip(routes).map(|(name, route)| {
        let name =
            name.ok_or_else(|| Error::refused(Code::INVALID_ARGUMENT, "a task is null", "Pass the names of tasks."))?;
        Ok((name, route.ok_or_else(mismatch)?.max(0) as u32))
    });
    let tasks = named.collect::<Result<Vec<_>, Error>>()?;
    Ok(Wanted { execution, tasks, reset_items, reason: None, detail: Value::Object(detail).to_string() })
}

/// `workflow_rerun` in `sql/control.sql`.
#[pg_extern(sql = false)]
fn workflow_rerun(
    execution: Option<i64>,
    tasks: Option<List<String>>,
    reset_items: Option<bool>,
    routes: Option<List<i32>>,
    reason: Option<&str>,
) -> Result<Option<pg_sys::Oid>, ErrorReport> {
    let routes = routes.map(|list| list.0);
    Ok(rerun_named(execution, tasks.map(|list| list.0), reset_items, routes, reason, Patience::Wait)?)
}

/// `workflow.rerun_locked` in `sql/bulk.sql`.
#[pg_extern(sql = false)]
fn workflow_rerun_locked(
    execution: Option<i64>,
    tasks: Option<List<String>>,
    reset_items: Option<bool>,
    reason: Option<&str>,
) -> Result<Option<pg_sys::Oid>, ErrorReport> {
    Ok(rerun_named(execution, tasks.map(|list| list.0), reset_items, None, reason, Patience::SkipCalled)?)
}

/// Reruns an execution from the named tasks, or from its failures. Returns its status as a value of the enum.
fn rerun_named(
    execution: Option<i64>,
    tasks: Option<Vec<Option<String>>>,
    reset_items: Option<bool>,
    routes: Option<Vec<Option<i32>>>,
    reason: Option<&str>,
    patience: Patience,
) -> Result<Option<pg_sys::Oid>, Error> {
    let execution = execution.ok_or_else(|| Error::missing("execution_id"))?;
    let reset_items = reset_items.ok_or_else(|| Error::missing("reset_items"))?;
    check_reason(reason)?;
    let wanted = wanted(execution, tasks, routes, reset_items)?;
    let wanted = Wanted { reason, ..wanted };
    let now = clock::now()?;
    Spi::connect(|client| {
        let status = rerun(client, &wanted, now, patience)?;
        control::status_value(client, status)
    })
}
