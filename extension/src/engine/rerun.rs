//! Running on what ended without success. A call runs on through its child; what called it runs on with it.

use crate::argument::{MOST_ELEMENTS, check_count, check_reason};
use crate::engine::advance::{Advance, Reports};
use crate::engine::control::{self, Family};
use crate::engine::run::Run;
use crate::engine::sub_workflows;
use crate::error::Error;
use crate::pg::clock;
use crate::pg::list::List;
use crate::pg::statements;
use conductor::control::Rerun;
use conductor::scope::Facts;
use conductor::state::{Status, TaskKey};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What was asked for.
struct Wanted<'a> {
    execution: i64,
    /// Tasks by name and route; none: all whose failure nothing handled.
    tasks: Vec<(String, u32)>,
    reset_items: bool,
    reason: Option<&'a str>,
    /// JSON, for the log: what was named.
    detail: String,
}

/// A task that calls a workflow again, and the child that did its work before.
pub struct Recall {
    /// The task.
    pub task: i64,
    /// Its workflow execution.
    pub run: i64,
    /// That of the child, which is locked.
    pub child: i64,
}

fn refused(execution: i64, why: &str, hint: &str) -> Error {
    Error::refused("WF612", format!("execution {execution} cannot be rerun: {why}"), hint)
}

/// Only what has ended without success runs on: what is in the way, and what can be done about it.
fn hindrance(run: &Run) -> Option<(&'static str, &'static str)> {
    match run.before.status {
        Status::Completed => Some(("completed", "start its workflow anew, with workflow_start")),
        // One that has its verdict has ended when nothing of it runs any more.
        Status::Failed | Status::Cancelled | Status::Timeout if run.before.state.live == 0 => None,
        _ => Some(("has not ended", "wait for its end (workflow_wait), then try again")),
    }
}

fn rerun(client: &SpiClient, wanted: &Wanted, now: TimestampWithTimeZone) -> Result<&'static str, Error> {
    let Family { mut advance, id, ancestors, .. } = control::lock(client, now, wanted.execution)?;
    let Some(run) = advance.runs.get(&id) else { return Ok("") };
    if let Some((what, hint)) = hindrance(run) {
        return Err(refused(wanted.execution, &format!("it {what}"), hint));
    }
    let mut tasks = chosen(client, run, wanted)?;
    let mut top = id;
    for caller in &ancestors {
        let (task, call) = call_of(&advance, wanted.execution, top, *caller)?;
        advance.run_on.insert(task, std::mem::replace(&mut tasks, vec![call]));
        top = *caller;
    }
    control::log(client, wanted.execution, "rerun", wanted.reason, Some(wanted.detail.clone()), Vec::new(), now)?;
    sub_workflows::log_reached(&advance, "rerun", ancestors.iter().map(|ancestor| (*ancestor, id)).collect())?;
    run_on(&mut advance, wanted.execution, top, &tasks)?;
    advance.settle(None)?;
    Ok(advance.execution(id).map_or("", |execution| execution.status.name()))
}

fn run_on(advance: &mut Advance, execution: i64, run: i64, tasks: &[Rerun]) -> Result<(), Error> {
    match conduct(advance, run, tasks)? {
        Err(why) => Err(refused(execution, &why, "name the tasks to run again")),
        Ok(()) => Ok(()),
    }
}

fn conduct(advance: &mut Advance, run: i64, tasks: &[Rerun]) -> Result<Result<(), String>, Error> {
    let answer = advance.conduct(run, Facts::default(), &Reports::default(), |conductor| conductor.rerun(tasks))?;
    Ok(answer.unwrap_or(Ok(())))
}

/// The tasks to begin with.
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
            return Err(refused(wanted.execution, &why, "name a task that has run"));
        };
        tasks.push(newest.clone());
    }
    tasks.iter_mut().for_each(|task| task.reset_items = wanted.reset_items);
    Ok(tasks)
}

/// The tasks whose failure nothing handled.
fn failed(run: &Run, known: &[Rerun]) -> Vec<Rerun> {
    known.iter().filter(|task| run.before.state.failures.contains(&task.key)).cloned().collect()
}

/// The task of its caller that a child did the work of, to be run again with it; refused where that cannot be.
fn call_of(advance: &Advance, execution: i64, child: i64, caller: i64) -> Result<(i64, Rerun), Error> {
    let (Some(child), Some(caller)) = (advance.runs.get(&child), advance.runs.get(&caller)) else {
        return Err(refused(execution, "what calls it is driven from outside", "start its workflow anew"));
    };
    let (called, above) = (child.execution_id, caller.execution_id);
    let Some(call) = find_call(advance.client, called, caller)? else {
        let why = format!("the task of execution {above} that had called execution {called} has gone on without it");
        return Err(refused(execution, &why, "see workflow_tree for what it called last, and rerun that"));
    };
    match hindrance(caller) {
        None => Ok(call),
        Some((what, hint)) => {
            Err(refused(execution, &format!("execution {above}, which called execution {called}, {what}"), hint))
        }
    }
}

/// The task whose work an execution did, while that is the newest run of that task and has called no other.
fn find_call(client: &SpiClient, called: i64, caller: &Run) -> Result<Option<(i64, Rerun)>, Error> {
    let mut rows = statements::run(client, include_str!("../../queries/find_call.sql"), &[called.into()])?;
    if rows.next().is_none() {
        return Ok(None);
    }
    let number = |ordinal| Ok::<Option<u32>, Error>(rows.get::<i32>(ordinal)?.map(|number| number as u32));
    let Some(node) = rows.get::<String>(2)?.and_then(|name| caller.graph.find(&name)) else { return Ok(None) };
    let (route, visit, first) = (number(3)?.unwrap_or_default(), number(4)?.unwrap_or_default(), number(5)?);
    let known = ended_tasks(client, &[caller])?.remove(&caller.id).unwrap_or_default();
    let newest = known.into_iter().rfind(|task| task.key.node == node && task.key.route == route);
    let task = rows.get::<i64>(1)?.unwrap_or_default();
    Ok(newest.filter(|newest| newest.key.visit == visit).map(|call| (task, Rerun { first, ..call })))
}

/// Children run on for the tasks that call them again: from the tasks chosen for that, or from their failures. Gives those
/// that do; in place of the others new ones are to be called.
pub fn children(advance: &mut Advance, calls: &[Recall]) -> Result<HashSet<i64>, Error> {
    let rerunnable = |call: &&Recall| advance.runs.get(&call.child).is_some_and(|run| hindrance(run).is_none());
    let calls: Vec<&Recall> = calls.iter().filter(rerunnable).collect();
    let runs: Vec<&Run> = calls.iter().filter_map(|call| advance.runs.get(&call.child)).collect();
    let mut known = ended_tasks(advance.client, &runs)?;
    let (mut going, mut reached) = (HashSet::new(), Vec::new());
    for call in calls {
        let Some(run) = advance.runs.get(&call.child) else { continue };
        match advance.run_on.remove(&call.task) {
            Some(tasks) => {
                // It was named, or is on the way to what was: that is in the log already.
                run_on(advance, run.execution_id, call.child, &tasks)?;
                going.insert(call.child);
            }
            None => {
                let tasks = failed(run, &known.remove(&call.child).unwrap_or_default());
                if conduct(advance, call.child, &tasks)?.is_ok() {
                    going.insert(call.child);
                    reached.push((call.child, call.run));
                }
            }
        }
    }
    sub_workflows::log_reached(advance, "rerun", reached)?;
    Ok(going)
}

/// Every run of every task of executions, oldest first.
fn ended_tasks(client: &SpiClient, runs: &[&Run]) -> Result<HashMap<i64, Vec<Rerun>>, Error> {
    let mut tasks: HashMap<i64, Vec<Rerun>> = HashMap::new();
    let graphs: BTreeMap<i64, &Run> = runs.iter().map(|run| (run.id, *run)).collect();
    if graphs.is_empty() {
        return Ok(tasks);
    }
    let ids: Vec<i64> = graphs.keys().copied().collect();
    let mut rows = statements::run(client, include_str!("../../queries/load_ended_tasks.sql"), &[ids.into()])?;
    while rows.next().is_some() {
        let number = |ordinal| Ok::<u32, Error>(rows.get::<i32>(ordinal)?.unwrap_or_default() as u32);
        let id = rows.get::<i64>(8)?.unwrap_or_default();
        let (Some(name), Some(run)) = (rows.get::<String>(1)?, graphs.get(&id)) else { continue };
        let Some(node) = run.graph.find(&name) else { continue };
        let items = (number(5)?, number(6)?);
        tasks.entry(id).or_default().push(Rerun {
            key: TaskKey { node, route: number(2)?, visit: number(3)? },
            context: rows.get::<String>(4)?.map(|text| context(&text)).unwrap_or_default(),
            items: (items.0 > 0).then_some(items),
            reset_items: false,
            first: None,
            ended_at_once: rows.get::<bool>(7)?.unwrap_or_default(),
        });
    }
    Ok(tasks)
}

/// `{1,2}`
fn context(text: &str) -> Vec<u32> {
    text.trim_matches(['{', '}']).split(',').filter_map(|id| id.parse().ok()).collect()
}

/// What to run again, from arguments that have been checked against each other.
fn wanted(
    execution: i64,
    tasks: Option<Vec<Option<String>>>,
    routes: Option<Vec<Option<i32>>>,
    reset_items: bool,
) -> Result<Wanted<'static>, Error> {
    let hint = "give names of tasks, and with them no routes or one for each";
    let mismatch = || Error::refused("WF613", "tasks and routes do not match", hint);
    let mut detail = serde_json::Map::new();
    detail.extend(tasks.as_ref().map(|tasks| ("tasks".to_owned(), json!(tasks))));
    detail.extend(routes.as_ref().map(|routes| ("routes".to_owned(), json!(routes))));
    detail.extend(reset_items.then(|| ("reset_items".to_owned(), json!(true))));
    let names = tasks.unwrap_or_default();
    check_count("tasks", names.len(), MOST_ELEMENTS)?;
    let routes = routes.unwrap_or_else(|| vec![Some(0); names.len()]);
    if routes.len() != names.len() {
        return Err(mismatch());
    }
    let named = names.into_iter().zip(routes).map(|(name, route)| {
        let name = name.ok_or_else(|| Error::refused("WF613", "a task is null", "give names of tasks"))?;
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
    let execution = execution.ok_or_else(|| Error::missing("execution_id"))?;
    let reset_items = reset_items.ok_or_else(|| Error::missing("reset_items"))?;
    check_reason(reason)?;
    let wanted = wanted(execution, tasks.map(|list| list.0), routes.map(|list| list.0), reset_items)?;
    let wanted = Wanted { reason, ..wanted };
    let now = clock::now()?;
    let status = Spi::connect(|client| {
        let status = rerun(client, &wanted, now)?;
        control::status_value(client, status)
    })?;
    Ok(status)
}
