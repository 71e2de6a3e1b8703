//! Tasks that no worker executes: those that route after a delay, wait for a signal, or call a workflow.

use crate::engine::advance::Advance;
use crate::engine::own_report::OwnReport;
use crate::engine::rerun::{self, Recall};
use crate::engine::signal::{payload_value, violation};
use crate::engine::undo_children::{self, UndoneCall};
use crate::engine::{start, startable};
use crate::error::Error;
use crate::limits::take::{LimitKey, adopt, read_limits, take};
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use crate::settings;
use crate::store::starts::Wanted;
use conductor::code::Code;
use conductor::engine::state::TaskEnd;
use conductor::graph::NodeId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A task that calls a workflow.
struct Call {
    task: i64,
    run: i64,
    workflow: String,
    input: Option<Jsonb>,
}

/// Continues tasks whose turn has come. Returns the reports for those that ended immediately.
pub fn begin(advance: &mut Advance, tasks: &[i64]) -> Result<Vec<OwnReport>, Error> {
    // Tasks that lead to an execution named in a rerun are never postponed.
    let (named, others): (Vec<i64>, _) =
        tasks.iter().copied().partition(|task| advance.child_reruns.contains_key(task));
    let (now, later) = others.split_at(others.len().min(advance.own_tasks_left));
    advance.own_tasks_left -= now.len();
    postpone(advance, later.to_vec())?;
    let tasks = [&named, now].concat();
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = statements::run(advance.client, include_str!("../../queries/load_own_tasks.sql"), &[tasks.into()])?;
    let (mut reports, mut waiting) = (Vec::new(), Vec::new());
    let (mut calls, mut again, mut undone) = (Vec::new(), Vec::new(), Vec::new());
    let mut limited = Vec::new();
    while rows.next().is_some() {
        let task = rows.get::<i64>(1)?.unwrap_or_default();
        let id = rows.get::<i64>(2)?.unwrap_or_default();
        let Some(run) = advance.runs.get(&id) else { continue };
        if rows.get::<bool>(4)?.unwrap_or_default() {
            let node = rows.get::<String>(9)?.and_then(|name| run.graph.find(&name));
            let has_schema = node.is_some_and(|node| run.graph.node(node).signal_schema.is_some());
            waiting.push((task, node.filter(|_| has_schema).map(|node| (id, node))));
        } else if run.before.paused {
            // The end of the pause makes it due again.
        } else if rows.get::<bool>(3)?.unwrap_or_default() {
            let workflow = rows.get::<String>(5)?.unwrap_or_default();
            let call = Call { task, run: id, workflow, input: rows.get::<Jsonb>(6)? };
            match (rows.get::<i64>(7)?, rows.get::<i64>(8)?) {
                (child, Some(of)) => undone.push(UndoneCall { task, run: id, of, child: child.unwrap_or_default() }),
                (child, None) => {
                    limited.extend(rows.get::<Jsonb>(10)?.map(|limits| (task, read_limits(Some(limits)))));
                    match child {
                        Some(child) => again.push((call, child)),
                        None => calls.push(call),
                    }
                }
            }
        } else {
            reports.push(OwnReport { task, end: TaskEnd::Completed, result: None, error: None, undoable: None });
        }
    }
    let kept_back = take_limits(advance, limited)?;
    calls.retain(|call| !kept_back.contains(&call.task));
    again.retain(|(call, _)| !kept_back.contains(&call.task));
    reports.extend(wait(advance, waiting)?);
    reports.extend(undo_children::begin(advance, undone)?);
    let again = limit(advance, again)?;
    calls.extend(call_again(advance, again)?);
    let mut by_workflow: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    for call in calls {
        by_workflow.entry(call.workflow.clone()).or_default().push(call);
    }
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
    adopt(advance.client, advance.now, &named)?;
    if others.is_empty() {
        return Ok(BTreeSet::new());
    }
    let begun = take(advance.client, advance.now, &others, &[], &BTreeSet::new())?;
    postpone(advance, begun.busy.iter().copied().collect())?;
    Ok(begun.waiting.into_iter().chain(begun.busy).collect())
}

/// Returns the calls that keep their children and that this call can still process, including all on the path to an
/// execution named in a rerun. The others are left to the next tick.
fn limit(advance: &mut Advance, again: Vec<(Call, i64)>) -> Result<Vec<(Call, i64)>, Error> {
    let (mut now, mut others): (Vec<_>, Vec<_>) =
        again.into_iter().partition(|(call, _)| advance.child_reruns.contains_key(&call.task));
    let later = others.split_off(others.len().min(advance.family_left));
    advance.family_left -= others.len();
    postpone(advance, later.into_iter().map(|(call, _)| call.task).collect())?;
    now.extend(others);
    Ok(now)
}

/// Leaves tasks to the next tick.
pub fn postpone(advance: &Advance, tasks: Vec<i64>) -> Result<(), Error> {
    if !tasks.is_empty() {
        let arguments = [tasks.into(), advance.now.into()];
        statements::run(advance.client, include_str!("../../queries/postpone_tasks.sql"), &arguments)?;
    }
    Ok(())
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
    let recall = |(call, child): &(Call, i64)| {
        runs.get(child).map(|child| Recall { task: call.task, run: call.run, child: *child })
    };
    let recalls: Vec<Recall> = calls.iter().filter_map(recall).collect();
    let going = rerun::children(advance, &recalls)?;
    let (mut anew, mut busy, mut linked) = (Vec::new(), Vec::new(), Vec::new());
    for (call, child) in calls {
        match runs.get(&child) {
            None => busy.push(call.task),
            Some(run) if going.contains(run) => linked.push((call.task, child)),
            Some(_) => anew.push(call),
        }
    }
    postpone(advance, busy)?;
    let (tasks, children) = linked.into_iter().unzip();
    link(advance, tasks, children)?;
    Ok(anew)
}

/// A task that starts waiting, with its execution and node if the payload must satisfy a schema.
type Wait = (i64, Option<(i64, NodeId)>);

/// Makes tasks wait for their signals; those whose signals have already arrived end immediately.
fn wait(advance: &Advance, tasks: Vec<Wait>) -> Result<Vec<OwnReport>, Error> {
    let mut reports = Vec::new();
    if tasks.is_empty() {
        return Ok(reports);
    }
    let all: Vec<i64> = tasks.iter().map(|(task, _)| *task).collect();
    let arguments = [all.into(), advance.now.into()];
    statements::run(advance.client, include_str!("../../queries/begin_waits.sql"), &arguments)?;
    for (task, place) in &tasks {
        if let Some((run, node)) = place
            && let Some(report) = take_fitting(advance, *task, *run, *node)?
        {
            reports.push(report);
        }
    }
    let others: Vec<i64> = tasks.iter().filter(|(_, place)| place.is_none()).map(|(task, _)| *task).collect();
    if others.is_empty() {
        return Ok(reports);
    }
    let arguments = [others.into(), advance.now.into()];
    let mut taken = statements::run(advance.client, include_str!("../../queries/take_signals.sql"), &arguments)?;
    while taken.next().is_some() {
        let task = taken.get::<i64>(1)?.unwrap_or_default();
        reports.push(signalled(task, taken.get::<String>(2)?, taken.get::<String>(3)?));
    }
    // Process in order of creation: each report may affect the tasks after it.
    reports.sort_by_key(|report| report.task);
    Ok(reports)
}

/// Takes the oldest kept signal whose payload the task accepts.
fn take_fitting(advance: &Advance, task: i64, run: i64, node: NodeId) -> Result<Option<OwnReport>, Error> {
    let Some(run) = advance.runs.get(&run) else { return Ok(None) };
    let mut kept =
        statements::run(advance.client, include_str!("../../queries/list_kept_signals.sql"), &[task.into()])?;
    while kept.next().is_some() {
        let (payload, error) = (kept.get::<String>(2)?, kept.get::<String>(3)?);
        let fits = || Ok::<_, Error>(violation(run.graph.node(node), &payload_value(payload.as_deref())?).is_none());
        if error.is_some() || fits()? {
            let arguments = [kept.get::<i64>(1)?.into(), task.into(), advance.now.into()];
            statements::run(advance.client, include_str!("../../queries/take_signal.sql"), &arguments)?;
            return Ok(Some(signalled(task, payload, error)));
        }
    }
    Ok(None)
}

/// Returns the report for a task whose signal has arrived.
fn signalled(task: i64, result: Option<String>, error: Option<String>) -> OwnReport {
    let end = if error.is_some() { TaskEnd::Failed } else { TaskEnd::Completed };
    OwnReport { task, end, result, error, undoable: None }
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
            _ if depth > settings::limits().workflow_depth as i32 => Err(too_deep(reference)),
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
    let most = settings::limits().workflow_depth;
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
