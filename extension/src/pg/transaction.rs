//! The transaction that a call runs in.
#![allow(unsafe_code)]

use pgrx::pg_guard;
use pgrx::pg_sys::{self, XactEvent};
use std::cell::RefCell;
use std::ffi::c_void;

/// Whether all statements of the transaction share one snapshot, so that what they see may be long out of date.
pub fn has_old_snapshot() -> bool {
    // SAFETY: a session has one thread.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Assigns an id to the transaction if it has none yet: from now on, others can see that it is in progress.
pub fn take_number() {
    // SAFETY: a transaction is in progress, and transactions that may write can be assigned an id.
    unsafe { pg_sys::GetCurrentTransactionId() };
}

/// Returns the number that the next transaction will have: all transactions that have one by now have a lower one. A
/// snapshot does not show this, because its upper bound follows the last transaction that has ended.
pub fn next_number() -> i64 {
    // SAFETY: it reads shared memory under a lock.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() };
    next.value as i64
}

/// Whether a transaction other than this one is in progress, by the xmax of a row that it has written or locked.
pub fn is_in_progress_elsewhere(xmax: pg_sys::TransactionId) -> bool {
    // SAFETY: any number is allowed.
    let in_progress =
        unsafe { pg_sys::TransactionIdIsInProgress(xmax) && !pg_sys::TransactionIdIsCurrentTransactionId(xmax) };
    in_progress && !may_be_multixact(xmax.into_inner())
}

/// Whether a row's xmax may be a multixact, which SQL cannot distinguish from a transaction id: whether a multixact
/// with that number exists. The two have separate counters, so what looks like a transaction in progress may be a
/// number that never goes away.
fn may_be_multixact(xmax: u32) -> bool {
    let (mut oldest, mut next) = (pg_sys::MultiXactId::default(), pg_sys::MultiXactId::default());
    // SAFETY: both are written to, and a session has one thread.
    unsafe { pg_sys::ReadMultiXactIdRange(&mut oldest, &mut next) }
    // The numbers wrap around.
    xmax.wrapping_sub(oldest.into_inner()) < next.into_inner().wrapping_sub(oldest.into_inner())
}

/// What happens to a transaction at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is about to commit, and can still write.
    Committing,
    /// It has ended, or has been prepared for two-phase commit.
    Over,
}

thread_local! {
    static LISTENERS: RefCell<Vec<fn(End)>> = const { RefCell::new(Vec::new()) };
}

/// Registers a function to be called at the end of each transaction. One that is prepared is never [`End::Committing`].
pub fn on_end(listener: fn(End)) {
    LISTENERS.with_borrow_mut(|listeners| listeners.push(listener));
}

/// Subscribes the process to the ends of transactions.
pub fn listen() {
    // SAFETY: a callback with the signature that PostgreSQL requires, registered once when the library is loaded.
    unsafe { pg_sys::RegisterXactCallback(Some(report_end), std::ptr::null_mut()) }
}

#[pg_guard]
unsafe extern "C-unwind" fn report_end(event: XactEvent::Type, _argument: *mut c_void) {
    let end = match event {
        XactEvent::XACT_EVENT_PRE_COMMIT => End::Committing,
        XactEvent::XACT_EVENT_COMMIT | XactEvent::XACT_EVENT_ABORT | XactEvent::XACT_EVENT_PREPARE => End::Over,
        _ => return,
    };
    LISTENERS.with_borrow(|listeners| listeners.iter().for_each(|listener| listener(end)));
}
