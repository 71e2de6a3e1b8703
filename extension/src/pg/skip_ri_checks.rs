//! Inserting rows whose foreign keys are known to hold.
//!
//! PostgreSQL looks up what a new row refers to, and locks it, row by row. Where the rows referred to are locked or were inserted
//! by this very transaction, that finds nothing new: it is 15 % of the instructions of a step. The check is a trigger, which a
//! session that replicates does not run, and so the insert runs as if it replicated. Nothing else may notice: a table that has
//! anything of a user's is inserted into as always.
#![allow(unsafe_code)]

use crate::pg::relation;
use crate::pg::users_code;
use pgrx::pg_sys::{self, Oid};
use std::ffi::CStr;

/// Runs a statement that inserts into a table of schema `workflow`. Its rows refer to none but rows of these tables that the
/// transaction has locked or inserted.
pub fn known_to_hold<T>(table: &'static CStr, referred: &[&'static CStr], insert: impl FnOnce() -> T) -> T {
    let _role = may_skip_checks(table, referred).then(Role::of_replica);
    insert()
}

/// Whether nothing happens at a new row but the checks of foreign keys to these tables.
fn may_skip_checks(table: &'static CStr, referred: &[&'static CStr]) -> bool {
    let at_insert = users_code::at_insert(relation::find(table));
    let is_known = |key: &Oid| referred.iter().any(|name| relation::find(name) == *key);
    !at_insert.users_code && at_insert.referred.iter().all(is_known)
}

/// The session's replication role, for one statement. As a variable: to set the setting would throw away every plan of the
/// session, because rules depend on it, and these tables have none.
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
