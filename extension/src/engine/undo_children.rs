//! Undoing calls: the called executions undo what they have completed.

use crate::engine::advance::Advance;
use crate::engine::called_executions::{log_reached, undone};
use crate::engine::calls::link;
use crate::engine::own_report::OwnReport;
use crate::engine::postponed::postpone;
use crate::engine::rerun;
use crate::error::Error;
use crate::limits::assign;
use crate::pg::statements;
use conductor::engine::state::Phase;
use std::collections::HashSet;

/// A task that undoes a call.
pub struct UndoneCall {
    /// Id of the task.
    pub task: i64,
    /// Its workflow execution.
    pub run: i64,
    /// Call that it undoes.
    pub of: i64,
    /// Execution that was called.
    pub child: i64,
}

/// Makes the called executions undo themselves; those that someone else has locked are left to the next tick. Returns
/// the reports for executions that have nothing to undo.
pub fn begin(advance: &mut Advance, calls: Vec<UndoneCall>) -> Result<Vec<OwnReport>, Error> {
    let mut reports = Vec::new();
    if calls.is_empty() {
        return Ok(reports);
    }
    let children: Vec<i64> = calls.iter().map(|call| call.child).collect();
    let mut rows =
        statements::run(advance.client, include_str!("../../queries/try_lock_runs.sql"), &[children.into()])?;
    let mut free = HashSet::new();
    while rows.next().is_some() {
        free.extend(rows.get::<i64>(1)?);
    }
    advance.load(free.iter().copied().collect())?;
    let (calls, busy): (Vec<_>, Vec<_>) = calls.into_iter().partition(|call| free.contains(&call.child));
    postpone(advance.client, advance.now, busy.iter().map(|call| call.task).collect())?;
    assign::reassign(advance.client, &calls.iter().map(|call| (call.child, call.run)).collect::<Vec<_>>())?;
    let (mut going, mut reached) = (Vec::new(), Vec::new());
    for call in calls {
        match undo(advance, call.child)? {
            true => {
                reached.push((call.child, call.run));
                going.push(call);
            }
            false => {
                let state = advance.execution(call.child).and_then(|execution| execution.state.undo.as_ref());
                let is_open = state.is_some_and(|undo| undo.phase != Phase::Done);
                reports.push(undone(call.task, call.child, if is_open { "failed" } else { "done" }));
            }
        }
    }
    let owners: Vec<i64> = going.iter().map(|call| call.of).collect();
    let (tasks, children): (Vec<i64>, Vec<i64>) = going.iter().map(|call| (call.task, call.child)).unzip();
    let arguments = [owners.into(), advance.now.into(), tasks.clone().into()];
    statements::run(advance.client, include_str!("../../queries/hand_children_over.sql"), &arguments)?;
    link(advance, tasks, children)?;
    log_reached(advance, "undo", reached)?;
    Ok(reports)
}

/// Makes an execution undo itself or continue doing so. Returns whether there is anything to undo.
fn undo(advance: &mut Advance, child: i64) -> Result<bool, Error> {
    let Some(run) = advance.runs.get(&child) else { return Ok(false) };
    if !run.before.resumes_undo() {
        let begun = advance.conduct(child, Default::default(), &Default::default(), |conductor| conductor.undo())?;
        return Ok(begun.unwrap_or_default());
    }
    let known = rerun::ended_tasks(advance.client, &[run])?.remove(&child).unwrap_or_default();
    let tasks = rerun::failed(run, &known);
    Ok(rerun::conduct(advance, child, &tasks)?.is_ok())
}
