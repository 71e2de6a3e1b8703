//! Lower bounds on the planner's row estimates, in effect while our plans are made
//! ([`statements`](crate::pg::statements), which also switches off scans of whole tables).
//!
//! Autovacuum may analyze a table whose rows have just been deleted but not removed: many pages, hardly any rows. Until
//! it runs again, the planner believes that the table stays nearly empty, however many rows are added, and that reading
//! all of it costs no more than finding a row by its key.
#![allow(unsafe_code)]

use pgrx::pg_sys::{self, Oid};
use pgrx::{PgList, pg_guard};
use std::cell::Cell;

/// Minimum number of rows per page.
const MIN_ROWS: f64 = 4.0;

thread_local! {
    /// The hook that was in place before.
    static BEFORE: Cell<pg_sys::get_relation_info_hook_type> = const { Cell::new(None) };

    /// Number of plans being made: while making one, the planner may call a function of ours that needs another.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Guard that keeps the bounds in effect until it is dropped.
pub struct AtLeast(());

impl AtLeast {
    pub fn few_rows_per_page() -> AtLeast {
        if DEPTH.replace(DEPTH.get() + 1) == 0 {
            // SAFETY: a session has one thread.
            unsafe {
                BEFORE.set(pg_sys::get_relation_info_hook);
                pg_sys::get_relation_info_hook = Some(raise_estimate);
            }
        }
        AtLeast(())
    }
}

impl Drop for AtLeast {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            // SAFETY: a session has one thread.
            unsafe { pg_sys::get_relation_info_hook = BEFORE.take() };
        }
    }
}

/// Raises the estimates for a table, and for those of its indexes that have an entry for each row.
#[pg_guard]
unsafe extern "C-unwind" fn raise_estimate(
    planner: *mut pg_sys::PlannerInfo,
    table: Oid,
    is_parent: bool,
    info: *mut pg_sys::RelOptInfo,
) {
    // SAFETY: the planner passes its own structures, which are complete when it calls this.
    unsafe {
        if let Some(before) = BEFORE.get() {
            before(planner, table, is_parent, info);
        }
        let Some(info) = info.as_mut() else { return };
        let least = f64::from(info.pages) * MIN_ROWS;
        if info.tuples < least {
            info.tuples = least;
            for index in PgList::<pg_sys::IndexOptInfo>::from_pg(info.indexlist).iter_ptr() {
                if (*index).indpred.is_null() {
                    (*index).tuples = least;
                }
            }
        }
    }
}
