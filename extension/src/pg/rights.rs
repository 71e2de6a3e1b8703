//! Working with the rights of another role for a while.
#![allow(unsafe_code)]

use pgrx::pg_sys::{self, Oid};

/// The rights of another role, until this is dropped; an error drops it as well.
pub struct Rights {
    before: (Oid, i32),
}

impl Rights {
    /// Takes the rights of a role for statements of ours that run nothing of a user's.
    pub fn of(role: Oid) -> Rights {
        Rights::take(role, pg_sys::SECURITY_LOCAL_USERID_CHANGE)
    }

    /// Takes the rights of a role so that nothing that it runs can get back those from before, nor leave anything behind that
    /// would run with them: no SET ROLE, no deferred trigger, no temporary table, no cursor WITH HOLD.
    pub fn only_of(role: Oid) -> Rights {
        Rights::take(role, pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION)
    }

    fn take(role: Oid, context: u32) -> Rights {
        let mut before = (Oid::INVALID, 0);
        // SAFETY: a session has one thread; both places are good to write to.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut before.0, &mut before.1);
            pg_sys::SetUserIdAndSecContext(role, before.1 | context as i32);
        }
        Rights { before }
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        // SAFETY: what was in force when this was made.
        unsafe { pg_sys::SetUserIdAndSecContext(self.before.0, self.before.1) }
    }
}
