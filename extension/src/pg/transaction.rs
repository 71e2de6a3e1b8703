//! The transaction that a call runs in.
#![allow(unsafe_code)]

use pgrx::pg_sys;

/// Whether all statements of the transaction share one snapshot, so that what they see may be long out of date.
pub fn has_old_snapshot() -> bool {
    // SAFETY: a session has one thread.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Assigns an id to the transaction if it has none yet: from now on, others can tell that it is in progress.
pub fn take_number() {
    // SAFETY: a transaction is in progress, and transactions that may write can be assigned an id.
    unsafe { pg_sys::GetCurrentTransactionId() };
}

/// Returns the number that the next transaction will have: all that have one by now have a lower one. A snapshot does not tell: its
/// upper bound follows the last transaction that has ended.
pub fn next_number() -> i64 {
    // SAFETY: it reads shared memory under a lock.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() };
    next.value as i64
}
