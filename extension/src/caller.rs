//! Who calls: the role that the work protocol's functions, which run with their owner's rights, were called by.
#![allow(unsafe_code)]

use pgrx::pg_sys;
use std::ffi::CStr;

/// Returns the name of the calling role: what SET ROLE has set, or the session's own.
pub fn role_name() -> String {
    // SAFETY: a session has one thread. The name is palloc'd, and NULL where the role was dropped while it was in use.
    unsafe {
        let role = pg_sys::GetOuterUserId();
        let name = pg_sys::GetUserNameFromId(role, true);
        if name.is_null() { role.to_u32().to_string() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}
