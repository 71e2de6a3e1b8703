//! Passing on to children that what calls them was paused, resumed or stopped.
//!
//! One call reaches so many executions, the nearest first. Those whose children it could not visit keep a note of that
//! (`propagate_after`), and workflow_tick visits the children in the order of their ids. What they are to hear is not part of
//! the note: they become what their caller is when they are visited, so that a resume overtakes a pause that is under way. A child
//! that somebody else has locked is visited again, and so are those behind it; to hear the same twice changes nothing.

use crate::engine::advance::Advance;
use crate::error::Error;
use crate::pg::statements;

/// Leaves all children of executions that are locked to workflow_tick.
pub fn leave(advance: &Advance, executions: &[i64]) -> Result<(), Error> {
    statements::run(advance.client, include_str!("../../queries/leave_children.sql"), &[executions.to_vec().into()])?;
    Ok(())
}

/// Notes of workflow executions that have heard, and are locked, which of them have children that are left to workflow_tick.
pub fn note(advance: &Advance, heard: &[i64], unvisited: &[i64]) -> Result<(), Error> {
    set(advance, heard.iter().map(|run| (*run, unvisited.contains(run).then_some(0))).collect())
}

pub fn set(advance: &Advance, runs: Vec<(i64, Option<i64>)>) -> Result<(), Error> {
    let (runs, after): (Vec<i64>, Vec<Option<i64>>) = runs.into_iter().unzip();
    statements::run(advance.client, include_str!("../../queries/set_propagation.sql"), &[runs.into(), after.into()])?;
    Ok(())
}
