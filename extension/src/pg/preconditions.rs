//! Preconditions of every statement of the library.
//!
//! Function and operator names in the statements are guaranteed to mean the server's own only if no other schema is
//! searched before, or besides, pg_catalog. Every function of the API sets that path itself; a statement that is
//! reached in any other way is refused. Furthermore, Rust receives text as it is stored, so the database has to use
//! UTF-8.
#![allow(unsafe_code)]

use crate::error::Error;
use conductor::code::Code;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use std::cell::Cell;
use std::ffi::CStr;

/// Value of search_path that every function of the API sets.
pub const SEARCH_PATH: &CStr = c"pg_catalog, pg_temp";

thread_local! {
    /// Whether the encoding has been checked and found to be correct. A process never changes its database.
    static IS_UTF8: Cell<bool> = const { Cell::new(false) };
}

/// Refuses to run a statement if the search_path is open or the database is not UTF-8.
pub fn check() -> Result<(), Error> {
    utf8()?;
    // SAFETY: the variable of the setting search_path, a NUL-terminated string that is never null. A session has one
    // thread.
    if unsafe { CStr::from_ptr(pg_sys::namespace_search_path) } == SEARCH_PATH {
        return Ok(());
    }
    Err(Error::refused(
        Code::WRONG_STATE,
        "an internal statement was run with an unsafe search_path",
        "Call the workflow_… functions in pg_catalog instead.",
    ))
}

/// Refuses to work in a database that is not UTF-8.
pub fn utf8() -> Result<(), Error> {
    if IS_UTF8.get() {
        return Ok(());
    }
    // SAFETY: the encoding is set when the process connects; its name is a constant of the server.
    let (encoding, name) =
        unsafe { (pg_sys::GetDatabaseEncoding(), CStr::from_ptr(pg_sys::GetDatabaseEncodingName())) };
    if encoding != pg_sys::pg_enc::PG_UTF8 as i32 {
        let message = format!("pg_workflow requires a database in UTF8, not {}", name.to_string_lossy());
        return Err(Error::refused(
            Code::WRONG_STATE,
            message,
            "Create a database with ENCODING 'UTF8' and TEMPLATE template0.",
        ));
    }
    IS_UTF8.set(true);
    Ok(())
}

/// Refuses to be loaded into a session of a database that is not UTF-8.
///
/// If libraries are loaded with the server or with each session, one such database must not keep anyone from
/// connecting, and pg_upgrade loads every library in template1. In these cases the first call is refused instead.
pub fn refuse_load() -> Result<(), ErrorReport> {
    // SAFETY: set before any library is loaded. A session has one thread.
    let is_session = unsafe {
        pg_sys::MyDatabaseId != pg_sys::InvalidOid
            && pg_sys::Mode == pg_sys::ProcessingMode::NormalProcessing
            && !pg_sys::IsBinaryUpgrade
    };
    if is_session { Ok(utf8()?) } else { Ok(()) }
}
