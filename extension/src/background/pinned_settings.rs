//! Pinning the settings of a background worker, out of reach of databases and roles.
//!
//! ALTER DATABASE and ALTER ROLE can change almost every setting for new connections, and database owners may use them;
//! a background worker connects with the privileges of the bootstrap superuser. So every setting that they could change
//! is pinned before the process connects, with a source that takes precedence: to a fixed value if statements depend on
//! it, else to the value in the server's configuration. Nothing that is set for a database or a role ever takes effect,
//! not even while connecting. Reloading the configuration does not affect pinned settings either; the next process
//! starts with the new values.
//!
//! The library's own settings are left alone, as only superusers can set them, even for a database. Those for tests are
//! pinned.
#![allow(unsafe_code)]

use crate::pg::preconditions::SEARCH_PATH;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::pg_sys::{self, GucContext, GucSource};
use std::ffi::{CStr, CString};

/// Values that statements depend on, regardless of the configuration.
const FIXED: &[(&CStr, &CStr)] = &[
    (c"search_path", SEARCH_PATH),
    (c"role", c"none"),
    (c"session_replication_role", c"origin"),
    (c"row_security", c"on"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_deferrable", c"off"),
    (c"statement_timeout", c"0"),
    (c"lock_timeout", c"0"),
    (c"transaction_timeout", c"0"),
    (c"idle_in_transaction_session_timeout", c"0"),
    (c"idle_session_timeout", c"0"),
    (c"array_nulls", c"on"),
    (c"standard_conforming_strings", c"on"),
    (c"transform_null_equals", c"off"),
    (c"extra_float_digits", c"1"),
    (c"bytea_output", c"hex"),
    (c"DateStyle", c"ISO, MDY"),
    (c"IntervalStyle", c"postgres"),
    (c"pg_workflow.test_now", c""),
    (c"pg_workflow.test_seed", c"0"),
];

/// The same for PL/pgSQL, which is loaded later: until then its settings are only placeholders.
const FIXED_LATER: &[(&CStr, &CStr)] = &[
    (c"plpgsql.variable_conflict", c"error"),
    (c"plpgsql.extra_errors", c"none"),
    (c"plpgsql.extra_warnings", c"none"),
    (c"plpgsql.check_asserts", c"on"),
    (c"plpgsql.print_strict_params", c"off"),
];

/// Pins the settings. Must be called before the process connects.
pub fn pin() {
    for name in changeable() {
        let fixed = FIXED.iter().find(|(fixed, _)| fixed.to_bytes().eq_ignore_ascii_case(name.to_bytes()));
        let value = match fixed {
            Some((_, value)) => Some((*value).to_owned()),
            // It has no value before the process connects, which PostgreSQL 17 and later call an empty string.
            None if name.as_c_str() == c"session_authorization" => None,
            None if name.to_bytes().starts_with(b"pg_workflow.") => None,
            None => current(&name),
        };
        if let Some(value) = value {
            set(&name, &value);
        }
    }
    FIXED_LATER.iter().for_each(|(name, value)| set(name, value));
}

/// Undoes a session_authorization that is set for the database: it has no value that could be pinned before connecting.
pub fn take_back_session() {
    BackgroundWorker::transaction(|| {
        // SAFETY: within a transaction; the name is a palloc'ed NUL-terminated string.
        let name = unsafe { CStr::from_ptr(pg_sys::GetUserNameFromId(bootstrap_superuser(), false)) };
        set(c"session_authorization", name);
    });
}

/// Returns the role that exists in every cluster, and that background workers connect as.
pub fn bootstrap_superuser() -> pg_sys::Oid {
    pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID)
}

/// Returns the names of the settings that can be set for databases and roles.
fn changeable() -> Vec<CString> {
    let settings = all();
    let changeable = settings.iter().filter(|setting| {
        // SAFETY: the server's own entries, which live as long as the process.
        matches!(unsafe { (***setting).context }, GucContext::PGC_SUSET | GucContext::PGC_USERSET)
    });
    // SAFETY: as above.
    changeable.map(|setting| unsafe { CStr::from_ptr((**setting).name) }.to_owned()).collect()
}

/// Returns the server's entries of all settings.
fn all() -> Vec<*mut pg_sys::config_generic> {
    // SAFETY: an array of as many pointers as the server says. It is copied, because changing a setting may reallocate
    // it.
    unsafe {
        #[cfg(feature = "pg15")]
        let (list, count) = (pg_sys::get_guc_variables(), pg_sys::GetNumConfigOptions());
        #[cfg(not(feature = "pg15"))]
        let (list, count) = {
            let mut count = 0;
            (pg_sys::get_guc_variables(&mut count), count)
        };
        std::slice::from_raw_parts(list, count as usize).to_vec()
    }
}

/// Returns the current value of a setting; `None` if it has none.
fn current(name: &CStr) -> Option<CString> {
    // SAFETY: the answer is null, or a NUL-terminated string that is valid until the next such call.
    unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        (!value.is_null()).then(|| CStr::from_ptr(value).to_owned())
    }
}

fn set(name: &CStr, value: &CStr) {
    // SAFETY: both are NUL-terminated and copied; the process belongs to us.
    unsafe { pg_sys::SetConfigOption(name.as_ptr(), value.as_ptr(), GucContext::PGC_SUSET, GucSource::PGC_S_OVERRIDE) }
}
