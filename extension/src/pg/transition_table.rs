//! Rows passed to a statement as a relation, of a table's row type or of another composite type. The statement refers
//! to it as `rows`.
//!
//! This is how PostgreSQL passes to a trigger the rows that a statement has changed. Passing one array per column would
//! cost a small statement more than everything else it does, and an array of rows would be assembled only to be taken
//! apart again.
#![allow(unsafe_code)]

use crate::error::Error;
use crate::pg::relation;
use crate::pg::rows::Rows;
use crate::pg::statements;
use conductor::code::Code;
use pgrx::PgTupleDesc;
use pgrx::datum::{DatumWithOid, IntoDatum};
use pgrx::fcinfo::direct_function_call_as_datum;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::spi::SpiClient;
use std::ffi::{CStr, CString};

/// Name of the relation in statements.
const NAME: &CStr = c"rows";

/// Number of rows that the planner expects. If it expects few, it looks up what belongs to each row by key, however
/// small the tables are at planning time; this is the right plan for any number of rows.
const EXPECTED: f64 = 1.0;

/// Rows for one statement.
pub struct RowRelation {
    descriptor: PgTupleDesc<'static>,
    rows: *mut pg_sys::Tuplestorestate,
}

/// The value of a column.
pub enum Value {
    /// A value, or `None` for NULL, with its type, which must be the column's.
    Datum(Option<Datum>, fn() -> Oid),
    /// A label of the column's enum type.
    Label(&'static str),
}

/// Returns a value with its type.
pub fn value<T: IntoDatum>(value: T) -> Value {
    Value::Datum(value.into_datum(), T::type_oid)
}

impl RowRelation {
    /// Builds rows of type `workflow.<name>`, one for each of `rows`. All of them set the same columns; the others are
    /// NULL.
    pub fn new<R, const N: usize>(
        name: &'static CStr,
        rows: &[R],
        columns: impl Fn(&R) -> [(&'static str, Value); N],
    ) -> Result<RowRelation, Error> {
        // SAFETY: the row type is looked up by name and held until its last use. Each datum is of its column's type:
        // this is checked for the first row, and the other rows have values of the same types.
        unsafe {
            let row_type = pg_sys::get_rel_type_id(relation::find(name));
            let descriptor = PgTupleDesc::from_pg(pg_sys::lookup_rowtype_tupdesc(row_type, -1));
            let store = pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem);
            let mut places: Vec<(usize, Oid)> = Vec::new();
            let mut labels = Labels::default();
            let (mut values, mut nulls) = (vec![Datum::from(0); descriptor.len()], vec![true; descriptor.len()]);
            for row in rows {
                let columns = columns(row);
                if places.is_empty() {
                    for (column, value) in &columns {
                        let next = places.last().map_or(0, |(place, _)| place + 1);
                        places.push(place(&descriptor, column, value, next)?);
                    }
                }
                for ((_, value), (place, column_type)) in columns.into_iter().zip(places.iter().copied()) {
                    let datum = match value {
                        Value::Datum(datum, _) => datum,
                        Value::Label(label) => labels.value(label, column_type),
                    };
                    nulls[place] = datum.is_none();
                    values[place] = datum.unwrap_or(Datum::from(0));
                }
                pg_sys::tuplestore_putvalues(store, descriptor.as_ptr(), values.as_mut_ptr(), nulls.as_mut_ptr());
            }
            Ok(RowRelation { descriptor, rows: store })
        }
    }

    /// Runs a statement that uses these rows.
    pub fn run<'conn>(
        self,
        client: &SpiClient<'conn>,
        sql: &'static str,
        arguments: &[DatumWithOid],
    ) -> Result<Rows<'conn>, Error> {
        let mut relation = pg_sys::EphemeralNamedRelationData {
            md: pg_sys::EphemeralNamedRelationMetadataData {
                name: NAME.as_ptr().cast_mut(),
                reliddesc: Oid::INVALID,
                tupdesc: self.descriptor.as_ptr(),
                enrtype: pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE,
                enrtuples: EXPECTED,
            },
            reldata: self.rows.cast(),
        };
        // SAFETY: SPI knows the relation only while the statement runs. An error closes that SPI connection, and frees
        // the rows as well.
        unsafe {
            pg_sys::SPI_register_relation(&raw mut relation);
            let result = statements::run(client, sql, arguments);
            pg_sys::SPI_unregister_relation(NAME.as_ptr());
            pg_sys::tuplestore_end(self.rows);
            result
        }
    }
}

/// Returns the position of a column and its type. It is looked for from `start` on: if columns are given in table order,
/// the next one is there, or soon after.
fn place(descriptor: &PgTupleDesc, column: &str, value: &Value, start: usize) -> Result<(usize, Oid), Error> {
    let named = |attribute: &pg_sys::FormData_pg_attribute| {
        // SAFETY: a name ends with a zero byte.
        let name = unsafe { CStr::from_ptr(attribute.attname.data.as_ptr()) };
        name.to_bytes() == column.as_bytes()
    };
    let fits = |of: Oid| match value {
        Value::Datum(_, value_type) => value_type() == of,
        Value::Label(_) => true,
    };
    let mut places = (start..descriptor.len()).chain(0..start.min(descriptor.len()));
    let place = places.find(|place| descriptor.get(*place).is_some_and(named));
    let found = place.and_then(|place| Some((place, descriptor.get(place)?.atttypid)));
    found.filter(|(_, of)| fits(*of)).ok_or_else(|| {
        let message = format!("a table of schema workflow has no column {column} of the expected type");
        Error::refused(
            Code::UNUSABLE,
            message,
            "Update the schema to the library's version with ALTER EXTENSION pg_workflow UPDATE.",
        )
    })
}

/// The most recently looked up labels, as most columns have the same label in all rows.
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
    // SAFETY: the arguments are those that the function takes. An unknown label raises an error.
    unsafe { direct_function_call_as_datum(pg_sys::enum_in, &arguments) }
}
