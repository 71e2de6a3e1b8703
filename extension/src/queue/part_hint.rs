//! Decides where a worker that is not limited to parts looks first: for one second, in the part where, twice in a row,
//! it got all it asked for.
//!
//! Finding out which parts have queued tasks costs as much as the rest of a small claim. This happens once the second
//! has passed or there was less than requested, so that a part that is always full does not starve the others.

use crate::pg::relation;
use crate::queue::asking::Asking;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;
use std::cell::RefCell;

/// How long a hint is valid, in microseconds.
const LIFETIME: i64 = 1_000_000;

struct Last {
    /// OID of the table of tasks, which changes if the extension is dropped and recreated.
    table: Oid,
    actions: Option<Vec<String>>,
    part: i32,
    /// When the hint was stored, in microseconds.
    since: i64,
    /// Whether the previous claim, too, got all it asked for.
    again: bool,
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// Returns the part to look at first, if there is one.
pub fn known(asking: &Asking, now: TimestampWithTimeZone) -> Option<i32> {
    let (table, now) = (table(), now.into_inner());
    LAST.with_borrow(|last| {
        let last = last.as_ref()?;
        let is_fresh = (last.since..last.since + LIFETIME).contains(&now);
        (last.again && is_fresh && last.table == table && last.actions == asking.actions).then_some(last.part)
    })
}

/// Remembers the part where a worker got all it asked for.
pub fn note(asking: &Asking, part: i32, now: TimestampWithTimeZone) {
    let (table, actions, since) = (table(), asking.actions.clone(), now.into_inner());
    LAST.with_borrow_mut(|last| *last = Some(Last { table, actions, part, since, again: last.is_some() }));
}

/// Forgets the hint, because there was less than requested.
pub fn forget() {
    LAST.set(None);
}

fn table() -> Oid {
    relation::find(c"workflow_task_execution")
}
