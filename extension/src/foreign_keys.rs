//! Foreign keys that need no look: what they refer to is in this transaction's hands, or they don't change.
//!
//! PostgreSQL looks up what a new row refers to, and locks it, row by row. Where the rows referred to are locked or inserted by
//! this very transaction, that finds nothing new. And of a row that changes it compares every key, of this table and to it, with
//! what it was. Everybody else's rows are checked as always.
#![allow(unsafe_code)]

use crate::relation;
use pgrx::pg_sys::{self, Oid};
use std::ffi::CStr;

/// What is tied by foreign keys to tables that grow with work.
const RELATED: [&CStr; 7] = [
    c"action",
    c"event",
    c"execution",
    c"signal",
    c"workflow_definition",
    c"workflow_execution",
    c"workflow_task_execution",
];

/// Runs a statement that inserts into a table of schema `workflow`. Its rows refer to none but rows of these tables that the
/// transaction has locked or inserted. Where something else happens at each new row, a user's own trigger or foreign key, all
/// that happens as always.
pub fn known_to_hold<T>(table: &'static CStr, referred: &[&'static CStr], insert: impl FnOnce() -> T) -> T {
    unchecked(has_only(table, referred, pg_sys::TRIGGER_TYPE_INSERT), insert)
}

/// Runs a statement that writes these tables of schema `workflow`, but no column of a foreign key from or to one of them. Where
/// something else happens at a row, it happens as always.
pub fn untouched<T>(tables: &[&'static CStr], write: impl FnOnce() -> T) -> T {
    let events = pg_sys::TRIGGER_TYPE_INSERT | pg_sys::TRIGGER_TYPE_UPDATE;
    unchecked(tables.iter().all(|table| has_only(table, &RELATED, events)), write)
}

fn unchecked<T>(may_be: bool, statement: impl FnOnce() -> T) -> T {
    let _role = may_be.then(Role::of_replica);
    statement()
}

/// Is all that happens at a row then the check of foreign keys from or to these?
fn has_only(table: &'static CStr, others: &[&'static CStr], events: u32) -> bool {
    let others: Vec<Oid> = others.iter().map(|name| relation::find(name)).collect();
    let is_one = |trigger: &pg_sys::Trigger| trigger.tgisinternal && others.contains(&trigger.tgconstrrelid);
    // SAFETY: the relation is open while its triggers are read; its lock is kept, so that it gets no others.
    unsafe {
        let table = pg_sys::table_open(relation::find(table), pg_sys::RowExclusiveLock as _);
        let triggers = (*table)
            .trigdesc
            .as_ref()
            .map_or(&[][..], |all| std::slice::from_raw_parts(all.triggers, all.numtriggers as usize));
        let of_events = |trigger: &&pg_sys::Trigger| trigger.tgtype as u32 & events != 0;
        let has_only = triggers.iter().filter(of_events).all(is_one);
        pg_sys::table_close(table, pg_sys::NoLock as _);
        has_only
    }
}

/// What the session's triggers take it for. A replica's rows were checked where they came from. The setting of the same name
/// would throw away every plan of the session, because rules depend on it, too: these tables have none.
struct Role(i32);

impl Role {
    fn of_replica() -> Role {
        // SAFETY: a session has one thread, and the drop, which an error runs as well, puts it back.
        unsafe {
            let before = pg_sys::SessionReplicationRole;
            pg_sys::SessionReplicationRole = pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32;
            Role(before)
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { pg_sys::SessionReplicationRole = self.0 };
    }
}
