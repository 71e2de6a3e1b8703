//! Running a statement supplied by a user with exactly that user's privileges.
#![allow(unsafe_code)]

use pgrx::pg_sys::{self, Oid};
use std::ffi::c_int;

/// Guard that makes the process run as a role until it is dropped, in the way PostgreSQL does for index expressions and
/// materialized views: the code that runs cannot become another role, leave anything to be executed later, or change
/// settings beyond that time.
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
        // SAFETY: both arguments are valid pointers to write to, and a backend has one thread.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut before, &mut context);
            pg_sys::SetUserIdAndSecContext(role, context | restricted as c_int);
            AsRole { before, context, settings: pg_sys::NewGUCNestLevel() }
        }
    }
}

impl Drop for AsRole {
    /// Also runs when an error is raised, before the transaction or savepoint is aborted, which restores all settings.
    fn drop(&mut self) {
        // SAFETY: restores the previous values.
        unsafe {
            if !std::thread::panicking() {
                pg_sys::AtEOXact_GUC(false, self.settings);
            }
            pg_sys::SetUserIdAndSecContext(self.before, self.context);
        }
    }
}
