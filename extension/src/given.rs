//! What this session was given: which workflow execution each task belongs to, so that its report need not look for it.
//!
//! That never changes as long as the task is there, and whoever reports has mostly claimed in the same session. Where not, or
//! where the memory was full, the tasks' rows say it.

use crate::relation;
use crate::write::Handed;
use pgrx::pg_sys::Oid;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

/// So many tasks are remembered: as many as a claim gives.
const MOST: usize = 10_000;

#[derive(Default)]
struct Given {
    /// The table of the tasks: it has another number after the extension was dropped and made again, and ids begin anew.
    table: Option<Oid>,
    runs: HashMap<i64, i64>,
}

thread_local! {
    static GIVEN: RefCell<Given> = RefCell::default();
}

/// Remembers what is given now.
pub fn note(tasks: &[Handed]) {
    let table = Some(relation::find(c"workflow_task_execution"));
    GIVEN.with_borrow_mut(|given| {
        if given.table != table || given.runs.len() + tasks.len() > MOST {
            *given = Given { table, runs: HashMap::new() };
        }
        given.runs.extend(tasks.iter().map(|task| (task.task, task.workflow_execution)));
    });
}

/// The workflow executions of tasks that are being reported, and so are forgotten; none where one of them is not known.
pub fn take(tasks: &[i64]) -> Option<BTreeSet<i64>> {
    let table = Some(relation::find(c"workflow_task_execution"));
    GIVEN.with_borrow_mut(|given| {
        let runs: Vec<Option<i64>> = tasks.iter().map(|task| given.runs.remove(task)).collect();
        if given.table == table { runs.into_iter().collect() } else { None }
    })
}
