//! Where a worker that goes anywhere looks first: in the part where it was given all it asked for twice in a row, for a second.
//!
//! To ask which parts have something costs as much as a small claim does otherwise. After the second, or when there was less than
//! was wanted, it is asked, so that a part that is always full does not starve the others.

use crate::pg::relation;
use crate::queue::asking::Asking;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;
use std::cell::RefCell;

/// In microseconds.
const A_WHILE: i64 = 1_000_000;

struct Last {
    /// The table of tasks: it has another number after the extension was dropped and made again.
    table: Oid,
    actions: Option<Vec<String>>,
    part: i32,
    /// In microseconds.
    since: i64,
    /// The claim before was given all it asked for, too.
    again: bool,
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// The part to look at first, where there is one.
pub fn known(asking: &Asking, now: TimestampWithTimeZone) -> Option<i32> {
    let (table, now) = (table(), now.into_inner());
    LAST.with_borrow(|last| {
        let last = last.as_ref()?;
        let is_fresh = (last.since..last.since + A_WHILE).contains(&now);
        (last.again && is_fresh && last.table == table && last.actions == asking.actions).then_some(last.part)
    })
}

/// Remembers where a worker was given all it asked for.
pub fn note(asking: &Asking, part: i32, now: TimestampWithTimeZone) {
    let (table, actions, since) = (table(), asking.actions.clone(), now.into_inner());
    LAST.with_borrow_mut(|last| *last = Some(Last { table, actions, part, since, again: last.is_some() }));
}

/// There was less than was asked for.
pub fn forget() {
    LAST.set(None);
}

fn table() -> Oid {
    relation::find(c"workflow_task_execution")
}
