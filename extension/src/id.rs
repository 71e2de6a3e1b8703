//! Ids that carry their part.

use crate::settings;
use pgrx::direct_function_call;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CStr;

/// `part << 48 | node << 40 | sequence`
#[pg_extern(sql = false)]
fn make_id(part: i32, sequence: i64) -> i64 {
    i64::from(part) << 48 | i64::from(settings::node()) << 40 | sequence
}

/// The part that an id names.
pub fn part(id: i64) -> i32 {
    (id >> 48) as i32
}

/// A new id, from a sequence in schema workflow.
#[allow(unsafe_code)]
pub fn next(sequence: &CStr, part: i32) -> i64 {
    // SAFETY: look-ups by constant names, and a call of nextval with the sequence that they find.
    let sequence = unsafe {
        let schema = pg_sys::get_namespace_oid(c"workflow".as_ptr(), false);
        let sequence = pg_sys::get_relname_relid(sequence.as_ptr(), schema);
        direct_function_call::<i64>(pg_sys::nextval_oid, &[sequence.into_datum()])
    };
    make_id(part, sequence.expect("nextval gives a number"))
}
