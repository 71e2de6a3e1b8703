//! Rerunning executions that ended without success. A call is rerun through its child, and the caller of a rerun
//! execution is rerun with it.

use crate::engine::advance::Advance;
use crate::engine::called_executions;
use crate::engine::run::Reports;
use crate::error::Error;
use crate::pg::statements;
use crate::store::run::Run;
use conductor::code::Code;
use conductor::engine::facts::Facts;
use conductor::engine::rerun::Rerun;
use conductor::engine::state::{Phase, TaskKey};
use conductor::engine::status::Status;
use conductor::language::definition::RerunRule;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A task that calls a workflow again, with the child that did its work before.
pub struct RepeatedCall {
    /// Id of the task.
    pub task: i64,
    /// Its workflow execution.
    pub run: i64,
    /// Workflow execution of the child, which is locked.
    pub child: i64,
}

pub fn refused(execution: i64, why: &str, hint: &str) -> Error {
    Error::refused(Code::NOT_RERUNNABLE, format!("execution {execution} cannot be rerun: {why}"), hint)
}

/// Returns why an execution cannot be rerun, with a hint, or `None` if it can: it must have ended without success, and
/// its workflow must permit it.
pub fn hindrance(client: &SpiClient, run: &Run) -> Result<Option<(&'static str, &'static str)>, Error> {
    if let Some(reason) = status_hindrance(run) {
        return Ok(Some(reason));
    }
    match run.before.state.undo.as_ref().map(|undo| undo.phase) {
        Some(Phase::Done) => {
            let why = "has undone its completed tasks";
            return Ok(Some((why, "Start a new execution with workflow_start.")));
        }
        // The workflow's rule governs forward execution only. Here undoing is still incomplete, so a rerun is allowed.
        _ if run.before.resumes_undo() => return Ok(None),
        _ => {}
    }
    Ok(match run.graph.rerun {
        RerunRule::Always => None,
        RerunRule::NotAfterClosing if !has_closed(client, run)? => None,
        RerunRule::NotAfterClosing => Some((
            "belongs to a workflow with rerun: not_after_closing, and tasks that close it have begun",
            "Start a new execution with workflow_start.",
        )),
        RerunRule::Never => {
            Some(("belongs to a workflow with rerun: never", "Start a new execution with workflow_start."))
        }
    })
}

fn has_closed(client: &SpiClient, run: &Run) -> Result<bool, Error> {
    let row = statements::run(client, include_str!("../../queries/has_closed.sql"), &[run.id.into()])?.first();
    Ok(row.get::<bool>(1)? == Some(true))
}

/// Returns why an execution cannot be rerun because of its status, with a hint.
fn status_hindrance(run: &Run) -> Option<(&'static str, &'static str)> {
    match run.before.status {
        // Whoever merely follows the hint must not do the same work twice.
        Status::Completed => Some((
            "has completed",
            "Nothing is left to do. To do it once more, start a new execution with workflow_start.",
        )),
        // An execution with a verdict has ended once none of its tasks is running.
        Status::Failed | Status::Cancelled | Status::Timeout if run.before.state.live == 0 => None,
        _ => Some(("has not ended", "Wait until it has ended (workflow_wait), then try again.")),
    }
}

pub fn rerun_tasks(advance: &mut Advance, execution: i64, run: i64, tasks: &[Rerun]) -> Result<(), Error> {
    let hint = match advance.runs.get(&run).is_some_and(|run| run.before.resumes_undo()) {
        true => "Name no tasks, or only undos that have failed.",
        false => "Name the tasks to rerun.",
    };
    match conduct(advance, run, tasks)? {
        Err(why) => Err(refused(execution, &why, hint)),
        Ok(()) => Ok(()),
    }
}

pub fn conduct(advance: &mut Advance, run: i64, tasks: &[Rerun]) -> Result<Result<(), String>, Error> {
    let answer = advance.conduct(run, Facts::default(), &Reports::default(), |conductor| conductor.rerun(tasks))?;
    Ok(answer.unwrap_or(Ok(())))
}

/// Returns the tasks whose failures were not handled; if the execution continues undoing, only the undos among them.
pub fn failed(run: &Run, known: &[Rerun]) -> Vec<Rerun> {
    let resumes_undo = run.before.resumes_undo();
    let is_next = |key: &TaskKey| !resumes_undo || run.graph.node(key.node).undoes.is_some();
    let failed = known.iter().filter(|task| run.before.state.failures.contains(&task.key) && is_next(&task.key));
    failed.cloned().collect()
}

/// Reruns children for the tasks that call them again, either from the tasks selected for this or from their failures.
/// Returns the children that are rerun; the other tasks have to call new ones.
pub fn children(advance: &mut Advance, calls: &[RepeatedCall]) -> Result<HashSet<i64>, Error> {
    let mut rerunnable = Vec::new();
    for call in calls {
        if let Some(run) = advance.runs.get(&call.child)
            && hindrance(advance.client, run)?.is_none()
        {
            rerunnable.push(call);
        }
    }
    let calls = rerunnable;
    let runs: Vec<&Run> = calls.iter().filter_map(|call| advance.runs.get(&call.child)).collect();
    let mut known = ended_tasks(advance.client, &runs)?;
    let (mut going, mut reached) = (HashSet::new(), Vec::new());
    for call in calls {
        let Some(run) = advance.runs.get(&call.child) else { continue };
        match advance.child_reruns.remove(&call.task) {
            Some(tasks) => {
                // It was named explicitly, or is on the path to a named execution, so it is already in the log.
                rerun_tasks(advance, run.id, call.child, &tasks)?;
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
    called_executions::log_reached(advance, "rerun", reached)?;
    Ok(going)
}

/// Returns every run of every task of these executions, oldest first.
pub fn ended_tasks(client: &SpiClient, runs: &[&Run]) -> Result<HashMap<i64, Vec<Rerun>>, Error> {
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
            closing: rows.get::<bool>(9)?.unwrap_or_default(),
            order: rows.get::<i64>(10)?.unwrap_or_default(),
            undoable: rows.get::<bool>(11)?.unwrap_or_default(),
        });
    }
    Ok(tasks)
}

/// Parses an array literal such as `{1,2}`.
fn context(text: &str) -> Vec<u32> {
    text.trim_matches(['{', '}']).split(',').filter_map(|id| id.parse::<i32>().ok()).map(|id| id as u32).collect()
}
