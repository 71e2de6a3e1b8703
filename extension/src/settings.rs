//! The settings, all named `pg_workflow.…`.

use pgrx::prelude::*;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::ffi::CString;

static NODE: GucSetting<i32> = GucSetting::<i32>::new(0);
static TEST_NOW: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Which server of several makes the ids, 0 to 255.
pub fn node() -> i32 {
    NODE.get()
}

/// The time that tests have set.
pub fn test_now() -> Option<String> {
    TEST_NOW.get().and_then(|text| text.into_string().ok()).filter(|text| !text.is_empty())
}

/// Makes the settings known to the server.
pub fn register() {
    GucRegistry::define_int_guc(
        c"pg_workflow.node",
        c"Which server of several makes the ids.",
        c"Goes into bits 40 to 47 of every id, so that ids made on different servers never meet.",
        &NODE,
        0,
        255,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"pg_workflow.test_now",
        c"The time that the functions go by, for tests.",
        c"A timestamp with time zone; empty = the clock.",
        &TEST_NOW,
        GucContext::Suset,
        GucFlags::default(),
    );
    unsafe_mark_reserved();
}

#[allow(unsafe_code)]
fn unsafe_mark_reserved() {
    // SAFETY: the argument is a NUL-terminated constant, and _PG_init is where this may be called.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"pg_workflow".as_ptr()) }
}
