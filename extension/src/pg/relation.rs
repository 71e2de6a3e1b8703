//! Tables, indexes and sequences of the schema `workflow`, by name. The session remembers their numbers until PostgreSQL says that
//! one of them is not what it was.
#![allow(unsafe_code)]

use pgrx::pg_guard;
use pgrx::pg_sys::{self, Datum, Oid};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};

thread_local! {
    /// By where the name is: a constant stays in its place, and to compare the names themselves would take longer than all else.
    static KNOWN: RefCell<BTreeMap<*const c_char, Oid>> = const { RefCell::new(BTreeMap::new()) };

    /// Who else wants to hear of changes.
    static LISTENERS: RefCell<Vec<fn(Oid)>> = const { RefCell::new(Vec::new()) };
}

/// Calls a function whenever a table changes, with the table's OID; an invalid one means any table. It must not look anything up.
pub fn on_change(listener: fn(Oid)) {
    LISTENERS.with_borrow_mut(|listeners| listeners.push(listener));
}

/// Makes the process hear of changes.
pub fn listen() {
    // SAFETY: a callback as PostgreSQL wants it, registered once where the library is loaded.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), Datum::from(0)) }
}

/// Something has changed in a table, or, where there is no number, anywhere.
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

/// The OID of the schema `workflow`; invalid if there is none.
pub fn schema() -> Oid {
    // SAFETY: a look-up by a constant name.
    unsafe { pg_sys::get_namespace_oid(c"workflow".as_ptr(), true) }
}

/// Whether a table has no page. One that has had rows stays as large until it is vacuumed.
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

/// The number of one. It has another after the extension was dropped and made again.
pub fn find(name: &'static CStr) -> Oid {
    if let Some(number) = KNOWN.with_borrow(|known| known.get(&name.as_ptr()).copied()) {
        return number;
    }
    // SAFETY: look-ups by constant names. Nothing is borrowed meanwhile: they may make us hear of changes.
    let number =
        unsafe { pg_sys::get_relname_relid(name.as_ptr(), pg_sys::get_namespace_oid(c"workflow".as_ptr(), false)) };
    if number != Oid::INVALID {
        KNOWN.with_borrow_mut(|known| known.insert(name.as_ptr(), number));
    }
    number
}
