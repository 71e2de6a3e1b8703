//! Whether there are hooks, cached by the session until one changes.
//!
//! Whoever changes a hook notifies all sessions at commit (`workflow.forget_hooks` in `sql/hook.sql`), with
//! PostgreSQL's own relcache invalidation message.

use crate::error::Error;
use crate::pg::relation;
use crate::pg::statements;
use crate::pg::transaction::has_old_snapshot;
use pgrx::pg_sys::Oid;
use pgrx::spi::SpiClient;
use std::cell::Cell;

thread_local! {
    /// The table's OID, which changes if the extension is dropped and recreated, and whether it has rows.
    static KNOWN: Cell<Option<(Oid, bool)>> = const { Cell::new(None) };
    /// Number of times the cache has been cleared.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// Subscribes the process to changes.
pub fn listen() {
    relation::on_change(|table| {
        if table == Oid::INVALID || KNOWN.get().is_none_or(|(known, _)| known == table) {
            KNOWN.set(None);
            CHANGES.set(CHANGES.get() + 1);
        }
    });
}

/// Whether there are any hooks.
pub fn exist(client: &SpiClient) -> Result<bool, Error> {
    let table = relation::find(c"hook");
    if let Some((_, exist)) = KNOWN.get().filter(|(known, _)| *known == table) {
        return Ok(exist);
    }
    let changes = CHANGES.get();
    let row = statements::run(client, include_str!("../../queries/has_hooks.sql"), &[])?.first();
    let exist = row.get::<bool>(1)? == Some(true);
    // Changes made in the meantime may not have been seen, and what an old snapshot shows may be long out of date.
    if CHANGES.get() == changes && !has_old_snapshot() {
        KNOWN.set(Some((table, exist)));
    }
    Ok(exist)
}
