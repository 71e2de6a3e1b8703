//! Tasks given to this session: where each task belongs, so that its report need not look this up, and how many tasks
//! each lease has, to know when all of them have been reported.
//!
//! The former never changes as long as the task exists, and a report usually comes from the session that made the
//! claim. If it does not, or if the cache was full, the tasks' rows are read. The latter is a guess: a heartbeat from
//! another session can split a lease.

use crate::pg::id;
use crate::pg::relation;
use crate::store::{Handed, Leases};
use pgrx::pg_sys::Oid;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// Maximum number of cached tasks, and of cached leases: as many as one claim can return.
const MOST: usize = 10_000;

/// Where a task belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its workflow execution.
    pub run: i64,
    /// Whether its success is final: neither a repetition nor a retry follows.
    pub is_final: bool,
}

#[derive(Default)]
struct Given {
    /// OID of the table of tasks, which changes if the extension is dropped and recreated, whereupon ids start over.
    table: Option<Oid>,
    places: HashMap<i64, Place>,
    /// Size of each lease, by part and token.
    leases: HashMap<(i32, i64), usize>,
}

thread_local! {
    static GIVEN: RefCell<Given> = RefCell::default();
}

/// Remembers tasks that are being given out.
pub fn note(tasks: &[Handed]) {
    let table = Some(relation::find(c"workflow_task_execution"));
    GIVEN.with_borrow_mut(|given| {
        if given.table != table || given.places.len().max(given.leases.len()) + tasks.len() > MOST {
            *given = Given { table, ..Given::default() };
        }
        let place = |task: &Handed| Place { run: task.execution, is_final: task.is_final };
        given.places.extend(tasks.iter().map(|task| (task.task, place(task))));
        for task in tasks {
            *given.leases.entry((id::part(task.task), task.lease)).or_default() += 1;
        }
    });
}

/// Returns where the reported tasks belong, and forgets them; `None` if one of them is not known.
pub fn take(tasks: &[i64]) -> Option<Vec<Place>> {
    let table = Some(relation::find(c"workflow_task_execution"));
    GIVEN.with_borrow_mut(|given| {
        let places: Vec<Option<Place>> = tasks.iter().map(|task| given.places.remove(task)).collect();
        if given.table == table { places.into_iter().collect() } else { None }
    })
}

/// Returns, for each part, a lease whose tasks have all been reported, as far as is known. Forgets all leases named.
pub fn take_whole(reported: &Leases) -> BTreeMap<i32, i64> {
    GIVEN.with_borrow_mut(|given| {
        let is_whole = |(lease, tasks): &(&(i32, i64), &Vec<i64>)| given.leases.remove(lease) == Some(tasks.len());
        reported.iter().filter(is_whole).map(|(lease, _)| *lease).collect()
    })
}

/// Forgets a lease. To be called when the tasks of a part with this token turn out to be in more than one lease.
pub fn forget_lease(lease: (i32, i64)) {
    GIVEN.with_borrow_mut(|given| given.leases.remove(&lease));
}
