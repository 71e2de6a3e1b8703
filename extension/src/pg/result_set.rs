//! Rows of a function that returns a table. They are returned all at once, so that the settings that the function
//! applies while it runs are applied only once.
#![allow(unsafe_code)]

use pgrx::datum::IntoDatum;
use pgrx::pg_sys::{self, Datum};

/// A table returned by a function.
pub struct RowSet(*mut pg_sys::ReturnSetInfo);

impl RowSet {
    /// Returns the result of the called function, which must be declared to return a table.
    pub fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> RowSet {
        // SAFETY: the server has filled in the call's frame. If the caller does not accept a table, or the function
        // does not return one, PostgreSQL raises an error.
        unsafe {
            pg_sys::InitMaterializedSRF(fcinfo, pg_sys::MAT_SRF_USE_EXPECTED_DESC);
            RowSet((*fcinfo).resultinfo.cast())
        }
    }

    /// Adds a row with one value per column, in order, each of the column's type.
    pub fn push<const N: usize>(&mut self, row: [Option<Datum>; N]) {
        let mut nulls = row.map(|value| value.is_none());
        let mut values = row.map(|value| value.unwrap_or(Datum::from(0)));
        // SAFETY: the table and its columns live as long as the call, and the row is copied. The caller must pass a
        // value for each column.
        unsafe {
            let RowSet(info) = *self;
            debug_assert_eq!((*(*info).setDesc).natts as usize, N);
            pg_sys::tuplestore_putvalues((*info).setResult, (*info).setDesc, values.as_mut_ptr(), nulls.as_mut_ptr());
        }
    }
}

/// Returns a value of a row.
pub fn column(value: impl IntoDatum) -> Option<Datum> {
    value.into_datum()
}
