//! Functions of PostgreSQL itself that are called directly, without SQL.
#![allow(unsafe_code)]

use pgrx::datum::{Interval, IntoDatum};
use pgrx::direct_function_call;
use pgrx::fcinfo::direct_function_call_as_datum;
use pgrx::pg_sys;
use std::ffi::CStr;

/// Returns the SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Option<Vec<u8>> {
    // SAFETY: the argument is a bytea, and so is the result.
    unsafe { direct_function_call(pg_sys::sha256_bytea, &[bytes.into_datum()]) }
}

/// Returns an interval as text, as PostgreSQL formats it.
pub fn interval_text(interval: Interval) -> String {
    // SAFETY: the argument is an interval, and the result is a C string.
    let text = unsafe { direct_function_call::<&CStr>(pg_sys::interval_out, &[interval.into_datum()]) };
    text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Adds a notification to the transaction. The payload must have fewer than 8000 bytes.
pub fn notify(channel: &str, payload: String) {
    // SAFETY: both arguments are texts, which are copied.
    unsafe { direct_function_call_as_datum(pg_sys::pg_notify, &[channel.into_datum(), payload.into_datum()]) };
}
