//! The rows of a function that returns a table: given all at once, so that what the function sets while it runs is set once.
#![allow(unsafe_code)]

use pgrx::datum::IntoDatum;
use pgrx::pg_sys::{self, Datum};

/// The table that a function returns.
pub struct RowSet(*mut pg_sys::ReturnSetInfo);

impl RowSet {
    /// Of the function that is called so; it is declared to return a table.
    pub fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> RowSet {
        // SAFETY: the server has filled in the call's frame. Where the caller takes no table, or the function returns none,
        // this is an error of PostgreSQL's.
        unsafe {
            pg_sys::InitMaterializedSRF(fcinfo, pg_sys::MAT_SRF_USE_EXPECTED_DESC);
            RowSet((*fcinfo).resultinfo.cast())
        }
    }

    /// Adds a row: a value a column, in order, each of the column's type.
    pub fn push<const N: usize>(&mut self, row: [Option<Datum>; N]) {
        let mut nulls = row.map(|value| value.is_none());
        let mut values = row.map(|value| value.unwrap_or(Datum::from(0)));
        // SAFETY: the table and its columns live as long as the call, and the row is copied. That there is a value for each
        // column is for the caller to see to.
        unsafe {
            let RowSet(info) = *self;
            debug_assert_eq!((*(*info).setDesc).natts as usize, N);
            pg_sys::tuplestore_putvalues((*info).setResult, (*info).setDesc, values.as_mut_ptr(), nulls.as_mut_ptr());
        }
    }
}

/// A value of a row.
pub fn column(value: impl IntoDatum) -> Option<Datum> {
    value.into_datum()
}
