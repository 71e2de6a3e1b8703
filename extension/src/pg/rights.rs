//! Temporarily working with the privileges of another role.
#![allow(unsafe_code)]

use pgrx::pg_sys::{self, Oid};

/// The privileges of another role, in effect until this value is dropped, which also happens on an error.
pub struct Rights {
    before: (Oid, i32),
}

impl Rights {
    /// Assumes the privileges of a role for statements of ours that run no user code.
    pub fn of(role: Oid) -> Rights {
        Rights::take(role, pg_sys::SECURITY_LOCAL_USERID_CHANGE)
    }

    /// Assumes the privileges of a role in such a way that nothing that runs can regain the previous ones or leave
    /// anything behind that would run with them: no SET ROLE, no deferred trigger, no temporary table, no cursor WITH
    /// HOLD.
    pub fn only_of(role: Oid) -> Rights {
        Rights::take(role, pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION)
    }

    fn take(role: Oid, context: u32) -> Rights {
        let mut before = (Oid::INVALID, 0);
        // SAFETY: a session has one thread, and both places can be written to.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut before.0, &mut before.1);
            pg_sys::SetUserIdAndSecContext(role, before.1 | context as i32);
        }
        Rights { before }
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        // SAFETY: restores the values from when this was created.
        unsafe { pg_sys::SetUserIdAndSecContext(self.before.0, self.before.1) }
    }
}
