//! Reading rows: those returned by a statement, or the elements of an array of rows.
#![allow(unsafe_code)]

use crate::error::Error;
use crate::pg::list::reject_multidimensional;
use pgrx::PgTupleDesc;
use pgrx::datum::{AnyElement, FromDatum, IntoDatum};
use pgrx::direct_function_call;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys::{self, Datum};
use std::ffi::CStr;
use std::ptr;

/// Rows, each of which is deformed once when it becomes current.
pub struct Rows<'conn> {
    /// Description of the columns; `None` if there are none.
    descriptor: Option<PgTupleDesc<'conn>>,
    rows: Source,
    count: usize,
    /// Number of rows that have been visited.
    turns: usize,
    values: Vec<Datum>,
    nulls: Vec<bool>,
}

enum Source {
    /// Rows returned by a statement.
    Statement(*mut pg_sys::HeapTuple),
    /// Elements of an array; a null one is a row of nulls.
    Array(*mut Datum, *mut bool),
}

impl<'conn> Rows<'conn> {
    /// Returns the rows of the statement that has just run. Without RETURNING, these are the rows that it wrote,
    /// without columns.
    pub fn of_last_statement() -> Rows<'conn> {
        // SAFETY: SPI sets both after each statement, and the table lives as long as the connection: 'conn.
        unsafe {
            match pg_sys::SPI_tuptable.as_ref() {
                None => Rows::new(None, Source::Statement(ptr::null_mut()), pg_sys::SPI_processed as usize),
                Some(table) => Rows::new(
                    Some(PgTupleDesc::from_pg_unchecked(table.tupdesc)),
                    Source::Statement(table.vals),
                    pg_sys::SPI_processed as usize,
                ),
            }
        }
    }

    /// Returns the elements of an array of a row type.
    pub fn of_array(array: AnyElement) -> Rows<'conn> {
        let (mut elements, mut nulls, mut count) = (ptr::null_mut(), ptr::null_mut(), 0);
        // SAFETY: the functions that call this are declared with such an array, and its elements live as long as the
        // call.
        unsafe {
            let row_type = pg_sys::get_element_type(array.oid());
            let array: *mut pg_sys::ArrayType = pg_sys::pg_detoast_datum(array.datum().cast_mut_ptr()).cast();
            reject_multidimensional((*array).ndim);
            let (length, by_value, alignment) = (-1, false, b'd' as _);
            pg_sys::deconstruct_array(
                array,
                row_type,
                length,
                by_value,
                alignment,
                &mut elements,
                &mut nulls,
                &mut count,
            );
            let descriptor = PgTupleDesc::from_pg(pg_sys::lookup_rowtype_tupdesc(row_type, -1));
            Rows::new(Some(descriptor), Source::Array(elements, nulls), count as usize)
        }
    }

    fn new(descriptor: Option<PgTupleDesc<'conn>>, rows: Source, count: usize) -> Rows<'conn> {
        let columns = descriptor.as_ref().map_or(0, PgTupleDesc::len);
        let (values, nulls) = (vec![Datum::from(0); columns], vec![true; columns]);
        Rows { descriptor, rows, count, turns: 0, values, nulls }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Moves to the first row.
    pub fn first(mut self) -> Self {
        self.turns = 0;
        self.next();
        self
    }

    /// Returns the value of a column, counted from 1, which lives as long as the transaction. `None` if it is NULL or
    /// there is no row.
    pub fn get<T: FromDatum + IntoDatum>(&self, column: usize) -> Result<Option<T>, Error> {
        let Some((value, column_type)) = self.at(column) else { return Ok(None) };
        // SAFETY: the value is of the column's type.
        let value = unsafe {
            T::try_from_datum_in_memory_context(PgMemoryContexts::TopTransactionContext, value, false, column_type)
        };
        value.map_err(|error| Error::Spi(pgrx::spi::Error::DatumError(error)))
    }

    /// Returns the label of an enum column. `None` if it is NULL or there is no row.
    pub fn label(&self, column: usize) -> Option<String> {
        let (value, _) = self.at(column)?;
        // SAFETY: the value is of an enum type.
        let label = unsafe { direct_function_call::<&CStr>(pg_sys::enum_out, &[Some(value)]) };
        label.map(|label| label.to_string_lossy().into_owned())
    }

    fn at(&self, column: usize) -> Option<(Datum, pg_sys::Oid)> {
        let is_there = self.turns >= 1 && self.turns <= self.count && !self.nulls[column - 1];
        is_there.then(|| Some((self.values[column - 1], self.descriptor.as_ref()?.get(column - 1)?.atttypid)))?
    }
}

impl Iterator for Rows<'_> {
    type Item = ();

    /// Moves to the next row, initially to the first.
    fn next(&mut self) -> Option<()> {
        let (place, descriptor) = (self.turns, self.descriptor.as_ref()?.as_ptr());
        self.turns = self.count.min(self.turns) + 1;
        if place >= self.count {
            return None;
        }
        // SAFETY: there are that many rows, and both lists have room for one value per column.
        unsafe {
            let mut tuple = pg_sys::HeapTupleData::default();
            let row = match self.rows {
                Source::Statement(rows) => *rows.add(place),
                Source::Array(_, nulls) if *nulls.add(place) => {
                    self.nulls.fill(true);
                    return Some(());
                }
                Source::Array(elements, _) => {
                    tuple.t_data = pg_sys::pg_detoast_datum((*elements.add(place)).cast_mut_ptr()).cast();
                    tuple.t_len = pgrx::varsize_any(tuple.t_data.cast()) as u32;
                    &raw mut tuple
                }
            };
            pg_sys::heap_deform_tuple(row, descriptor, self.values.as_mut_ptr(), self.nulls.as_mut_ptr());
        }
        Some(())
    }
}

/// Returns one column of all rows.
pub fn numbers(mut rows: Rows, ordinal: usize) -> Result<Vec<i64>, Error> {
    let mut numbers = Vec::with_capacity(rows.len());
    while rows.next().is_some() {
        numbers.extend(rows.get::<i64>(ordinal)?);
    }
    Ok(numbers)
}
