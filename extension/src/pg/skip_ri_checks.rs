//! Inserting rows whose foreign keys are known to hold.
//!
//! PostgreSQL looks up and locks the rows that a new row references, one row at a time. If the referenced rows are
//! already locked, or were inserted by the same transaction, this finds nothing new, yet it accounts for 15% of the
//! instructions of a step. The check is a trigger that does not run in a session acting as a replica, so the insert
//! runs as if in such a session. Nothing else may be affected: inserts into tables with any user code attached run as
//! usual.
#![allow(unsafe_code)]

use crate::pg::relation;
use crate::pg::user_code;
use pgrx::pg_sys::{self, Oid};
use std::ffi::CStr;

/// Runs a statement that inserts into a table of schema `workflow`. Its rows must reference only rows of the tables
/// `referred` that the transaction has locked or inserted.
pub fn known_to_hold<T>(table: &'static CStr, referred: &[&'static CStr], insert: impl FnOnce() -> T) -> T {
    let _role = may_skip_checks(table, referred).then(Role::of_replica);
    insert()
}

/// Whether nothing happens on an insert except foreign key checks against these tables.
fn may_skip_checks(table: &'static CStr, referred: &[&'static CStr]) -> bool {
    let at_insert = user_code::at_insert(relation::find(table));
    let is_known = |key: &Oid| referred.iter().any(|name| relation::find(name) == *key);
    !at_insert.user_code && at_insert.referred.iter().all(is_known)
}

/// The session's replication role for one statement. The variable is set directly, because changing the setting would
/// discard all of the session's plans; rules depend on it, but these tables have none.
struct Role(i32);

impl Role {
    fn of_replica() -> Role {
        // SAFETY: a session has one thread, and the drop, which also runs on an error, restores the value.
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
