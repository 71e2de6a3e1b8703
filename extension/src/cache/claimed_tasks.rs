//! What this session was given: where each task belongs, so that its report need not look for it, and how many tasks each lease
//! has, so that it is known when all of them have been reported.
//!
//! The first never changes as long as the task is there, and whoever reports has mostly claimed in the same session. Where not, or
//! where the memory was full, the tasks' rows say it. The second is a guess: a heartbeat from elsewhere can split a lease.

use crate::pg::id;
use crate::pg::relation;
use crate::store::{Handed, Leases};
use pgrx::pg_sys::Oid;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// So many tasks, and so many leases, are remembered: as many as a claim gives.
const MOST: usize = 10_000;

/// Where a task belongs: its workflow execution, and which item it is.
pub type Place = (i64, Option<u32>);

#[derive(Default)]
struct Given {
    /// The table of the tasks: it has another number after the extension was dropped and made again, and ids begin anew.
    table: Option<Oid>,
    places: HashMap<i64, Place>,
    /// The size of each lease, by part and token.
    leases: HashMap<(i32, i64), usize>,
}

thread_local! {
    static GIVEN: RefCell<Given> = RefCell::default();
}

/// Remembers what is given now.
pub fn note(tasks: &[Handed]) {
    let table = Some(relation::find(c"workflow_task_execution"));
    GIVEN.with_borrow_mut(|given| {
        if given.table != table || given.places.len().max(given.leases.len()) + tasks.len() > MOST {
            *given = Given { table, ..Given::default() };
        }
        let place = |task: &Handed| (task.workflow_execution, task.task_index.map(|index| index as u32));
        given.places.extend(tasks.iter().map(|task| (task.task, place(task))));
        for task in tasks {
            *given.leases.entry((id::part(task.task), task.lease)).or_default() += 1;
        }
    });
}

/// Where tasks belong that are being reported, and so are forgotten; none where one of them is not known.
pub fn take(tasks: &[i64]) -> Option<Vec<Place>> {
    let table = Some(relation::find(c"workflow_task_execution"));
    GIVEN.with_borrow_mut(|given| {
        let places: Vec<Option<Place>> = tasks.iter().map(|task| given.places.remove(task)).collect();
        if given.table == table { places.into_iter().collect() } else { None }
    })
}

/// For each part a lease of which all tasks have been reported, as far as that is known. All leases named are forgotten.
pub fn take_whole(reported: &Leases) -> BTreeMap<i32, i64> {
    GIVEN.with_borrow_mut(|given| {
        let is_whole = |(lease, tasks): &(&(i32, i64), &Vec<i64>)| given.leases.remove(lease) == Some(tasks.len());
        reported.iter().filter(is_whole).map(|(lease, _)| *lease).collect()
    })
}

/// The tasks of a part that carry this token turned out to be in more than one lease.
pub fn forget_lease(lease: (i32, i64)) {
    GIVEN.with_borrow_mut(|given| given.leases.remove(&lease));
}
