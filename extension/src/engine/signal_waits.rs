//! Tasks that begin to wait for a signal; one that arrived before is kept for them.

use crate::engine::advance::Advance;
use crate::engine::own_report::OwnReport;
use crate::engine::signal_payload::{payload_value, violation};
use crate::error::Error;
use crate::pg::statements;
use conductor::engine::status::TaskEnd;
use conductor::graph::NodeId;

/// A task that starts waiting, with its execution and node if the payload must satisfy a schema.
pub type Wait = (i64, Option<(i64, NodeId)>);

/// Makes tasks wait for their signals; those whose signals have already arrived end immediately.
pub fn begin(advance: &Advance, tasks: Vec<Wait>) -> Result<Vec<OwnReport>, Error> {
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
