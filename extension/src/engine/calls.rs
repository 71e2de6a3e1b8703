//! Calls of workflows: starts the called executions, and reruns those that an earlier attempt started.

use crate::engine::advance::Advance;
use crate::engine::own_report::OwnReport;
use crate::engine::postponed::postpone;
use crate::engine::rerun::{self, RepeatedCall};
use crate::engine::{start, startable};
use crate::error::Error;
use crate::limits::take::{LimitKey, adopt, request_recount, take};
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use crate::settings;
use crate::store::starts::Wanted;
use conductor::code::Code;
use conductor::engine::status::TaskEnd;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A task that calls a workflow.
pub struct Call {
    pub task: i64,
    pub run: i64,
    pub workflow: String,
    pub input: Option<Jsonb>,
}

/// Calls whose turn has come.
#[derive(Default)]
pub struct Calls {
    /// Those that start an execution.
    pub new: Vec<Call>,
    /// Those that have kept the execution of an earlier attempt.
    pub again: Vec<(Call, i64)>,
    /// Limits of those that have any.
    pub limited: Vec<(i64, Vec<LimitKey>)>,
}

/// Begins calls, except those that have to wait for a slot. Returns the reports for those that failed or were skipped.
pub fn begin(advance: &mut Advance, calls: Calls) -> Result<Vec<OwnReport>, Error> {
    let Calls { mut new, mut again, limited } = calls;
    let kept_back = take_limits(advance, limited)?;
    new.retain(|call| !kept_back.contains(&call.task));
    again.retain(|(call, _)| !kept_back.contains(&call.task));
    let again = limit(advance, again)?;
    new.extend(call_again(advance, again)?);
    let mut by_workflow: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    for call in new {
        by_workflow.entry(call.workflow.clone()).or_default().push(call);
    }
    let mut reports = Vec::new();
    for (reference, calls) in by_workflow {
        reports.extend(call(advance, &reference, calls)?);
    }
    Ok(reports)
}

/// Takes the slots that calls need. Returns the calls that have to wait for one.
fn take_limits(advance: &Advance, limited: Vec<(i64, Vec<LimitKey>)>) -> Result<BTreeSet<i64>, Error> {
    // Calls that lead to an execution named in a rerun are never postponed: they count, even beyond the limit.
    let (named, others): (Vec<_>, Vec<_>) =
        limited.into_iter().partition(|(task, _)| advance.child_reruns.contains_key(task));
    let named: Vec<(i64, LimitKey)> =
        named.into_iter().flat_map(|(task, limits)| limits.into_iter().map(move |limit| (task, limit))).collect();
    let uncounted = adopt(advance.client, advance.now, &named)?;
    request_recount(advance.client, uncounted)?;
    if others.is_empty() {
        return Ok(BTreeSet::new());
    }
    let begun = take(advance.client, advance.now, &others, &[], &BTreeSet::new())?;
    postpone(advance.client, advance.now, begun.busy.iter().copied().collect())?;
    Ok(begun.waiting.into_iter().chain(begun.busy).collect())
}

/// Returns the calls that keep their children and that this call can still process, including all on the path to an
/// execution named in a rerun. The others are left to the next tick.
fn limit(advance: &mut Advance, again: Vec<(Call, i64)>) -> Result<Vec<(Call, i64)>, Error> {
    let (mut now, mut others): (Vec<_>, Vec<_>) =
        again.into_iter().partition(|(call, _)| advance.child_reruns.contains_key(&call.task));
    let later = others.split_off(others.len().min(advance.family_left));
    advance.family_left -= others.len();
    postpone(advance.client, advance.now, later.into_iter().map(|(call, _)| call.task).collect())?;
    now.extend(others);
    Ok(now)
}

/// Records which child does the work of which task.
pub fn link(advance: &Advance, tasks: Vec<i64>, children: Vec<i64>) -> Result<(), Error> {
    if !tasks.is_empty() {
        let arguments = [tasks.into(), children.into(), advance.now.into()];
        statements::run(advance.client, include_str!("../../queries/link_children.sql"), &arguments)?;
    }
    Ok(())
}

/// Reruns the children of calls that kept them; a child that someone else has locked is left to the next tick. Returns
/// the calls whose children cannot be rerun, which have to start new ones.
fn call_again(advance: &mut Advance, calls: Vec<(Call, i64)>) -> Result<Vec<Call>, Error> {
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    let children: Vec<i64> = calls.iter().map(|(_, child)| *child).collect();
    let mut rows =
        statements::run(advance.client, include_str!("../../queries/try_lock_runs.sql"), &[children.into()])?;
    let mut runs: HashMap<i64, i64> = HashMap::new();
    while rows.next().is_some() {
        runs.insert(rows.get::<i64>(2)?.unwrap_or_default(), rows.get::<i64>(1)?.unwrap_or_default());
    }
    advance.load(runs.values().copied().collect())?;
    let repeated = |(call, child): &(Call, i64)| {
        runs.get(child).map(|child| RepeatedCall { task: call.task, run: call.run, child: *child })
    };
    let repeated: Vec<RepeatedCall> = calls.iter().filter_map(repeated).collect();
    let going = rerun::children(advance, &repeated)?;
    let (mut anew, mut busy, mut linked) = (Vec::new(), Vec::new(), Vec::new());
    for (call, child) in calls {
        match runs.get(&child) {
            None => busy.push(call.task),
            Some(run) if going.contains(run) => linked.push((call.task, child)),
            Some(_) => anew.push(call),
        }
    }
    postpone(advance.client, advance.now, busy)?;
    let (tasks, children) = linked.into_iter().unzip();
    link(advance, tasks, children)?;
    Ok(anew)
}

/// Starts a child execution for each call of one workflow. If a child cannot be started, its task fails.
fn call(advance: &mut Advance, reference: &str, calls: Vec<Call>) -> Result<Vec<OwnReport>, Error> {
    let workflow = match startable::find(advance.client, reference) {
        Ok(workflow) => workflow,
        Err(error) => {
            let why = refusal(error)?;
            return Ok(calls.iter().map(|call| failed(call.task, why.clone())).collect());
        }
    };
    let (mut reports, mut wanted, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    for call in calls {
        let Some(caller) = advance.runs.get(&call.run) else { continue };
        let depth = caller.depth + 1;
        let parameters = match startable::check(&workflow, call.input) {
            _ if depth > settings::bounds().workflow_depth as i32 => Err(too_deep(reference)),
            checked => checked,
        };
        match parameters {
            Ok(parameters) => {
                tasks.push(call.task);
                wanted.push(Wanted {
                    part: (call.run >> 48) as i32,
                    parent: Some(caller.id),
                    parameters,
                    given: parameters,
                    key: None,
                    priority: caller.priority,
                    depth,
                    scheduled_for: None,
                    attributes: None,
                    hook_depth: None,
                    traceparent: caller.traceparent.clone(),
                });
            }
            Err(error) => reports.push(failed(call.task, refusal(error)?)),
        }
    }
    let children = start::begin(advance, &workflow, &wanted, 0.0)?;
    let (mut callers, mut called) = (Vec::new(), Vec::new());
    for (task, child) in tasks.into_iter().zip(children) {
        match child {
            Some(child) => {
                callers.push(task);
                called.push(child);
            }
            None if workflow.fails_when_full() => {
                reports.push(failed(task, refusal(workflow.too_many())?));
            }
            None => {
                reports.push(OwnReport { task, end: TaskEnd::Skipped, result: None, error: None, undoable: None });
            }
        }
    }
    link(advance, callers, called)?;
    Ok(reports)
}

fn too_deep(reference: &str) -> Error {
    let most = settings::bounds().workflow_depth;
    let message = format!("workflow {reference} is called through more than {most} workflows");
    Error::refused(Code::LIMIT_EXCEEDED, message, "Reduce the nesting, or raise pg_workflow.max_workflow_depth.")
}

fn failed(task: i64, why: String) -> OwnReport {
    OwnReport { task, end: TaskEnd::Failed, result: None, error: Some(why), undoable: None }
}

/// Returns why a workflow could not be called, as the error of the task.
fn refusal(error: Error) -> Result<String, Error> {
    match error {
        Error::Refused { code, message, detail, .. } => {
            Ok(serde_json::json!({"type": "workflow", "code": code, "message": message, "detail": detail}).to_string())
        }
        other => Err(other),
    }
}
