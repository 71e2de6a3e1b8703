//! The transaction that a call runs in.
#![allow(unsafe_code)]

use pgrx::pg_sys;

/// Gives the transaction a number, if it has none yet: from now on, others can tell that it is in progress.
pub fn take_number() {
    // SAFETY: a transaction is in progress, and numbers are available to whatever may write.
    unsafe { pg_sys::GetCurrentTransactionId() };
}
