//! Notifying children that their callers were paused, resumed or stopped.
//!
//! One call reaches a limited number of executions, the nearest first. Executions whose children it could not visit
//! record this (`propagate_after`), and workflow_tick visits the children in id order. The record does not say what to
//! propagate: when a child is visited, it adopts its caller's current state, so that a resume overtakes a pause that is
//! still being propagated. If someone else has locked a child, it and those after it are visited again; notifying the
//! same child twice changes nothing.

use crate::engine::advance::Advance;
use crate::error::Error;
use crate::pg::statements;

/// Leaves all children of locked executions to workflow_tick.
pub fn leave(advance: &Advance, executions: &[i64]) -> Result<(), Error> {
    statements::run(advance.client, include_str!("../../queries/defer_children.sql"), &[executions.to_vec().into()])?;
    Ok(())
}

/// Records which of the notified workflow executions, which are locked, have children left to workflow_tick.
pub fn note(advance: &Advance, notified: &[i64], unvisited: &[i64]) -> Result<(), Error> {
    set(advance, notified.iter().map(|run| (*run, unvisited.contains(run).then_some(0))).collect())
}

pub fn set(advance: &Advance, runs: Vec<(i64, Option<i64>)>) -> Result<(), Error> {
    let (runs, after): (Vec<i64>, Vec<Option<i64>>) = runs.into_iter().unzip();
    statements::run(advance.client, include_str!("../../queries/set_propagation.sql"), &[runs.into(), after.into()])?;
    Ok(())
}
