//! Tables, indexes and sequences of the schema `workflow`, by name.
#![allow(unsafe_code)]

use pgrx::pg_sys::{self, Oid};
use std::ffi::CStr;

/// The number of one. It has another after the extension was dropped and made again.
pub fn find(name: &CStr) -> Oid {
    // SAFETY: look-ups by constant names.
    unsafe { pg_sys::get_relname_relid(name.as_ptr(), pg_sys::get_namespace_oid(c"workflow".as_ptr(), false)) }
}
