//! Running a statement that a user has named with that user's rights, and no others.
#![allow(unsafe_code)]

use pgrx::pg_sys::{self, Oid};
use std::ffi::c_int;

/// Lets the process run as a role until it goes out of scope, as PostgreSQL does for the expressions of an index and for a
/// materialized view: what runs cannot become another role, leave anything to be done later, or change settings for longer.
pub struct AsRole {
    before: Oid,
    context: c_int,
    settings: c_int,
}

impl AsRole {
    /// Switches to the role.
    pub fn begin(role: Oid) -> AsRole {
        let (mut before, mut context) = (Oid::INVALID, 0);
        let restricted = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
        // SAFETY: both arguments are places to write to, and a backend has one thread.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut before, &mut context);
            pg_sys::SetUserIdAndSecContext(role, context | restricted as c_int);
            AsRole { before, context, settings: pg_sys::NewGUCNestLevel() }
        }
    }
}

impl Drop for AsRole {
    /// An error gets here as well, before the abort of the transaction or savepoint, which takes back all settings.
    fn drop(&mut self) {
        // SAFETY: this is what was there before.
        unsafe {
            if !std::thread::panicking() {
                pg_sys::AtEOXact_GUC(false, self.settings);
            }
            pg_sys::SetUserIdAndSecContext(self.before, self.context);
        }
    }
}
