//! The server process that runs this code.
#![allow(unsafe_code)]

use pgrx::pg_sys;

/// Prepares the process when the library is loaded. Must be called after all settings with our prefix have been
/// defined.
pub fn prepare() {
    // SAFETY: the argument is a NUL-terminated constant, and _PG_init is where this may be called.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"pg_workflow".as_ptr()) }
    // With RUST_BACKTRACE set in the server's environment, every error would have a Rust backtrace in its detail.
    // SAFETY: a backend has one thread, and nothing reads the environment at this time.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") }
}
