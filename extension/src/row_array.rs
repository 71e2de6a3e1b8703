//! Rows handed to a statement as one array of a table's row type, or of another composite type: one argument, whatever the
//! columns. (An array for each column costs a small statement more than all else it does.)
#![allow(unsafe_code)]

use crate::error::Error;
use crate::relation;
use pgrx::PgTupleDesc;
use pgrx::datum::{DatumWithOid, IntoDatum};
use pgrx::fcinfo::direct_function_call_as_datum;
use pgrx::pg_sys::{self, Datum, Oid};
use std::ffi::{CStr, CString};

/// The value of a column.
pub enum Value {
    /// Of the column's own type; none: NULL.
    Datum(Option<Datum>),
    /// A label of the column's enum.
    Label(&'static str),
}

/// A value of the type that the column has.
pub fn value(value: impl IntoDatum) -> Value {
    Value::Datum(value.into_datum())
}

/// An array of `workflow.<name>`, an element for each of `rows`. All name the same columns; the others are NULL.
pub fn array<R, const N: usize>(
    name: &CStr,
    rows: &[R],
    columns: impl Fn(&R) -> [(&'static str, Value); N],
) -> Result<DatumWithOid<'static>, Error> {
    // SAFETY: the row type is looked up by its name and held until its last use. That each datum is of the type of the
    // column it is named for is for the caller to see to, as with every value that goes to SQL.
    unsafe {
        let row_type = pg_sys::get_rel_type_id(relation::find(name));
        let descriptor = PgTupleDesc::from_pg(pg_sys::lookup_rowtype_tupdesc(row_type, -1));
        let mut places: Vec<(usize, Oid)> = Vec::new();
        let mut elements = Vec::with_capacity(rows.len());
        let mut labels = Labels::default();
        for row in rows {
            let columns = columns(row);
            if places.is_empty() {
                let named = columns.iter().enumerate();
                places =
                    named.map(|(guess, (column, _))| place(&descriptor, column, guess)).collect::<Result<_, _>>()?;
            }
            let (mut values, mut nulls) = (vec![Datum::from(0); descriptor.len()], vec![true; descriptor.len()]);
            for ((_, value), (place, column_type)) in columns.into_iter().zip(places.iter().copied()) {
                let datum = match value {
                    Value::Datum(datum) => datum,
                    Value::Label(label) => labels.value(label, column_type),
                };
                nulls[place] = datum.is_none();
                values[place] = datum.unwrap_or(Datum::from(0));
            }
            let tuple = pg_sys::heap_form_tuple(descriptor.as_ptr(), values.as_mut_ptr(), nulls.as_mut_ptr());
            elements.push(pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data));
        }
        let count = elements.len() as i32;
        let array = pg_sys::construct_array(elements.as_mut_ptr(), count, row_type, -1, false, b'd' as _);
        Ok(DatumWithOid::new(Datum::from(array), pg_sys::get_array_type(row_type)))
    }
}

/// Where a column is, and its type. Where columns are named in their order, the guess is right.
fn place(descriptor: &PgTupleDesc, column: &str, guess: usize) -> Result<(usize, Oid), Error> {
    let named = |attribute: &pg_sys::FormData_pg_attribute| {
        // SAFETY: a name ends with a zero byte.
        let name = unsafe { CStr::from_ptr(attribute.attname.data.as_ptr()) };
        name.to_bytes() == column.as_bytes()
    };
    let is_there = descriptor.get(guess).is_some_and(named);
    let place = if is_there { Some(guess) } else { descriptor.iter().position(named) };
    let found = place.and_then(|place| Some((place, descriptor.get(place)?.atttypid)));
    found.ok_or_else(|| {
        let message = format!("a table of schema workflow has no column {column}");
        Error::refused(
            "WF619",
            message,
            "bring the schema to the library's version: ALTER EXTENSION pg_workflow UPDATE",
        )
    })
}

/// The labels that were looked up last: in most columns the same.
#[derive(Default)]
struct Labels(Vec<(&'static str, Oid, Option<Datum>)>);

impl Labels {
    fn value(&mut self, label: &'static str, enum_type: Oid) -> Option<Datum> {
        let known = self.0.iter().find(|(known, of, _)| *known == label && *of == enum_type);
        match known {
            Some((_, _, value)) => *value,
            None => {
                let value = enum_value(label, enum_type);
                self.0.push((label, enum_type, value));
                value
            }
        }
    }
}

fn enum_value(label: &str, enum_type: Oid) -> Option<Datum> {
    let label = CString::new(label).ok()?;
    let arguments = [Some(Datum::from(label.as_ptr())), Some(Datum::from(enum_type))];
    // SAFETY: the arguments are what the function takes. An unknown label is an error of its own.
    unsafe { direct_function_call_as_datum(pg_sys::enum_in, &arguments) }
}
