//! Statements, planned once a backend and kept.
//!
//! Every statement runs as one that may change data: it then sees what the calls before it wrote, and takes a
//! transaction id only when it really writes.

use crate::error::Error;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::{Oid, PgOid};
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiTupleTable};
use std::cell::RefCell;
use std::collections::HashMap;

struct Kept {
    argument_types: Vec<Oid>,
    statement: OwnedPreparedStatement,
}

thread_local! {
    static KEPT: RefCell<HashMap<*const u8, Kept>> = RefCell::default();
}

/// Runs a statement.
pub fn run<'conn>(
    client: &SpiClient<'conn>,
    sql: &'static str,
    arguments: &[DatumWithOid],
) -> Result<SpiTupleTable<'conn>, Error> {
    KEPT.with_borrow_mut(|kept| {
        let types = arguments.iter().map(|argument| argument.oid());
        // A type of ours has another number after the extension was dropped and made again.
        let current = kept.get(&sql.as_ptr()).is_some_and(|kept| kept.argument_types.iter().copied().eq(types.clone()));
        if !current {
            let argument_types: Vec<Oid> = types.collect();
            let oids: Vec<PgOid> = argument_types.iter().map(|oid| PgOid::from(*oid)).collect();
            let statement = client.prepare_mut(sql, &oids)?.keep();
            kept.insert(sql.as_ptr(), Kept { argument_types, statement });
        }
        match kept.get(&sql.as_ptr()) {
            Some(kept) => Ok(client.select(&kept.statement, None, arguments)?),
            None => Err(pgrx::spi::Error::NoTupleTable.into()),
        }
    })
}
