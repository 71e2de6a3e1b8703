//! Roles: names, the current one, and the owners of functions.
#![allow(unsafe_code)]

use pgrx::pg_guard;
use pgrx::pg_sys::{self, Datum, Oid};
use std::cell::RefCell;
use std::ffi::{CStr, c_int};

thread_local! {
    /// Functions to be called when a role or a membership changes.
    static LISTENERS: RefCell<Vec<fn()>> = const { RefCell::new(Vec::new()) };
}

/// Returns the role whose privileges are in effect.
pub fn current() -> Oid {
    // SAFETY: read-only.
    unsafe { pg_sys::GetUserId() }
}

/// Whether a role still exists.
pub fn exists(role: Oid) -> bool {
    // SAFETY: only looks up the name.
    !unsafe { pg_sys::GetUserNameFromId(role, true) }.is_null()
}

/// Whether a role is a superuser.
pub fn is_superuser(role: Oid) -> bool {
    // SAFETY: a look-up.
    unsafe { pg_sys::superuser_arg(role) }
}

/// Returns the name of a role, or its OID if it no longer exists.
pub fn name_of(role: Oid) -> String {
    // SAFETY: the name is a C string in the current memory context, or null if the role no longer exists.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        if name.is_null() { role.to_u32().to_string() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}

/// Returns the owner of the called function, which is the owner of the extension.
pub fn owner_of_function(fcinfo: pg_sys::FunctionCallInfo) -> Oid {
    // SAFETY: PostgreSQL has filled in the call's frame, and the catalog row of a running function exists.
    unsafe {
        let function = (*(*fcinfo).flinfo).fn_oid;
        let row = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::PROCOID as c_int, function.into());
        assert!(!row.is_null(), "a function that runs is in pg_proc");
        let owner = (*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_proc>()).proowner;
        pg_sys::ReleaseSysCache(row);
        owner
    }
}

/// Registers a function to be called whenever a role or a membership changes. It must not perform look-ups.
pub fn on_change(listener: fn()) {
    LISTENERS.with_borrow_mut(|listeners| listeners.push(listener));
}

/// Subscribes the process to changes.
pub fn listen() {
    // SAFETY: a callback with the signature that PostgreSQL requires, registered once when the library is loaded.
    unsafe {
        for cache in [pg_sys::SysCacheIdentifier::AUTHMEMROLEMEM, pg_sys::SysCacheIdentifier::AUTHOID] {
            pg_sys::CacheRegisterSyscacheCallback(cache as c_int, Some(report_change), Datum::from(0));
        }
    }
}

/// Handles a change of a role or a membership.
#[pg_guard]
unsafe extern "C-unwind" fn report_change(_argument: Datum, _cache: c_int, _hash: u32) {
    LISTENERS.with_borrow(|listeners| listeners.iter().for_each(|listener| listener()));
}
