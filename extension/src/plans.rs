//! Statements, planned once a backend and kept.
//!
//! Every statement runs as one that may change data: it then sees what the calls before it wrote, and takes a
//! transaction id only when it really writes.

use crate::error::Error;
use crate::rows::Rows;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::{Oid, PgOid};
use pgrx::spi::{OwnedPreparedStatement, SpiClient};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

#[derive(Clone)]
struct Kept {
    argument_types: Rc<[Oid]>,
    statement: Rc<OwnedPreparedStatement>,
    uses: Rc<Cell<u32>>,
}

/// A plan is made for tables as they are then, and tables grow: it is made anew after 16, 256 and 4096 uses, and so on.
fn is_stale(uses: u32) -> bool {
    matches!(uses, 16 | 256 | 4096)
}

thread_local! {
    static KEPT: RefCell<HashMap<*const u8, Kept>> = RefCell::default();
}

/// Runs a statement.
pub fn run<'conn>(
    client: &SpiClient<'conn>,
    sql: &'static str,
    arguments: &[DatumWithOid],
) -> Result<Rows<'conn>, Error> {
    let types = || arguments.iter().map(|argument| argument.oid());
    // Nothing is borrowed while the statement runs: a trigger of the user's may well call us again.
    let kept = KEPT.with_borrow(|kept| kept.get(&sql.as_ptr()).cloned());
    let statement = match kept {
        // A type of ours has another number after the extension was dropped and made again.
        Some(kept) if kept.argument_types.iter().copied().eq(types()) && !is_stale(kept.uses.get()) => {
            kept.uses.set(kept.uses.get() + 1);
            kept.statement
        }
        kept => {
            let uses = kept.map_or(0, |kept| kept.uses.get() % 4096) + 1;
            let oids: Vec<PgOid> = types().map(PgOid::from).collect();
            let statement = Rc::new(client.prepare_mut(sql, &oids)?.keep());
            let uses = Rc::new(Cell::new(uses));
            let kept = Kept { argument_types: types().collect(), statement: statement.clone(), uses };
            KEPT.with_borrow_mut(|all| all.insert(sql.as_ptr(), kept));
            statement
        }
    };
    client.select(&*statement, None, arguments)?;
    Ok(Rows::of_last_statement())
}
