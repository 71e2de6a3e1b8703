//! Tables, indexes and sequences of the schema `workflow`, by name. The session caches their OIDs until PostgreSQL
//! reports that one of them has changed.
#![allow(unsafe_code)]

use pgrx::pg_guard;
use pgrx::pg_sys::{self, Datum, Oid};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};

thread_local! {
    /// OIDs by the address of the name: a constant never moves, and comparing the names themselves would take longer
    /// than everything else.
    static KNOWN: RefCell<BTreeMap<*const c_char, Oid>> = const { RefCell::new(BTreeMap::new()) };

    /// Other functions to be called when something changes.
    static LISTENERS: RefCell<Vec<fn(Oid)>> = const { RefCell::new(Vec::new()) };
}

/// Registers a function to be called with a table's OID whenever that table changes; an invalid OID means any table.
/// The function must not perform look-ups.
pub fn on_change(listener: fn(Oid)) {
    LISTENERS.with_borrow_mut(|listeners| listeners.push(listener));
}

/// Subscribes the process to changes.
pub fn listen() {
    // SAFETY: a callback with the signature that PostgreSQL requires, registered once when the library is loaded.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), Datum::from(0)) }
}

/// Handles a change of a table, or of any table if the OID is invalid.
#[pg_guard]
unsafe extern "C-unwind" fn forget(_argument: Datum, table: Oid) {
    KNOWN.with_borrow_mut(|known| {
        if table == Oid::INVALID {
            known.clear();
        } else {
            known.retain(|_, number| *number != table);
        }
    });
    LISTENERS.with_borrow(|listeners| listeners.iter().for_each(|listener| listener(table)));
}

/// Returns the OID of the schema `workflow`, or an invalid one if there is no such schema.
pub fn schema() -> Oid {
    // SAFETY: a look-up by a constant name.
    unsafe { pg_sys::get_namespace_oid(c"workflow".as_ptr(), true) }
}

/// Whether a table has no pages. A table that has had rows keeps its size until it is vacuumed.
pub fn is_empty(name: &'static CStr) -> bool {
    // SAFETY: the table is open, and locked, while it is measured.
    unsafe {
        let table = pg_sys::try_table_open(find(name), pg_sys::AccessShareLock as i32);
        if table.is_null() {
            return true;
        }
        let blocks = pg_sys::RelationGetNumberOfBlocksInFork(table, pg_sys::ForkNumber::MAIN_FORKNUM);
        pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
        blocks == 0
    }
}

/// Returns the OID of a relation, which changes if the extension is dropped and recreated.
pub fn find(name: &'static CStr) -> Oid {
    if let Some(number) = KNOWN.with_borrow(|known| known.get(&name.as_ptr()).copied()) {
        return number;
    }
    // SAFETY: look-ups by constant names. Nothing is borrowed meanwhile, because they may trigger our callback.
    let number =
        unsafe { pg_sys::get_relname_relid(name.as_ptr(), pg_sys::get_namespace_oid(c"workflow".as_ptr(), false)) };
    if number != Oid::INVALID {
        KNOWN.with_borrow_mut(|known| known.insert(name.as_ptr(), number));
    }
    number
}
