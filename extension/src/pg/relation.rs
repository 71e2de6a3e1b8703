//! Tables, indexes and sequences of the schema `workflow`, by name. The session caches their OIDs until PostgreSQL
//! reports that one of them has changed.
#![allow(unsafe_code)]

use pgrx::datum::IntoDatum;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{direct_function_call, pg_guard};
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

/// Processes what other processes have announced.
pub fn accept_changes() {
    // SAFETY: what a look-up does too; no table is open.
    unsafe { pg_sys::AcceptInvalidationMessages() }
}

/// Tells all processes, at commit, that a table has changed.
pub fn announce_change(name: &'static CStr) {
    // SAFETY: an invalidation message with an OID; for a table that does not exist, it has no effect.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(find(name)) }
}

/// Returns how many pages of an index this backend has read and not yet reported to the statistics.
pub fn pages_read(index: Oid) -> i64 {
    // SAFETY: the argument is of the type that the function takes.
    let read = unsafe { direct_function_call::<i64>(pg_sys::pg_stat_get_xact_blocks_fetched, &[index.into_datum()]) };
    read.unwrap_or(0)
}

/// Returns the first column, an int that is never null, of all rows of a table as they are now, even in a transaction
/// with an old snapshot.
pub fn read_numbers(table: Oid) -> Vec<i32> {
    let mut numbers = Vec::new();
    // SAFETY: the table exists and is open while it is scanned. Without a snapshot, a scan takes a fresh one. The first
    // column of a row is where the row's data begin.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let (snapshot, keys) = (std::ptr::null_mut(), std::ptr::null_mut());
        let scan = pg_sys::systable_beginscan(relation, Oid::INVALID, false, snapshot, 0, keys);
        loop {
            let row = pg_sys::systable_getnext(scan);
            if row.is_null() {
                break;
            }
            numbers.push(*pg_sys::GETSTRUCT(row).cast::<i32>());
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    numbers
}

/// Locks a table as a writer does, until the transaction ends, and makes the session process changes to it. Does
/// nothing on a standby, which cannot take this lock.
pub fn lock_as_writer(table: Oid) {
    // SAFETY: the lock of an OID; if the table no longer exists, nobody waits for the lock.
    unsafe {
        if !pg_sys::RecoveryInProgress() {
            pg_sys::LockRelationOid(table, pg_sys::RowExclusiveLock as i32);
        }
    }
}

/// Waits for all transactions that have locked a table as writers do. Does not block other sessions.
pub fn await_writers(table: Oid) {
    // SAFETY: the tag names the table as PostgreSQL's own lock tags do. The wait ends, or is interrupted by an error.
    unsafe {
        let tag = pg_sys::LOCKTAG {
            locktag_field1: pg_sys::MyDatabaseId.to_u32(),
            locktag_field2: table.to_u32(),
            locktag_type: pg_sys::LockTagType::LOCKTAG_RELATION as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
            ..Default::default()
        };
        pg_sys::WaitForLockers(tag, pg_sys::ShareLock as i32, false);
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
