//! Whether there are hooks, cached by the session until one changes.
//!
//! Whoever changes a hook notifies all sessions at commit (`workflow.forget_hooks` in `sql/hook.sql`), with
//! PostgreSQL's own relcache invalidation message.

use crate::cache::table_cache::TableCache;
use crate::error::Error;
use crate::pg::relation;
use crate::pg::statements;
use crate::pg::transaction::has_old_snapshot;
use pgrx::spi::SpiClient;
use std::cell::RefCell;

thread_local! {
    /// Whether the table has rows.
    static KNOWN: RefCell<TableCache<bool>> = const { RefCell::new(TableCache::new()) };
}

/// Subscribes the process to changes.
pub fn listen() {
    relation::on_change(|table| KNOWN.with_borrow_mut(|known| known.clear_after_change(table)));
}

/// Whether there are any hooks.
pub fn exist(client: &SpiClient) -> Result<bool, Error> {
    let table = relation::find(c"hook");
    let (known, changes) = KNOWN.with_borrow(|known| (known.get(table).copied(), known.changes()));
    if let Some(exist) = known {
        return Ok(exist);
    }
    let row = statements::run(client, include_str!("../../queries/has_hooks.sql"), &[])?.first();
    let exist = row.get::<bool>(1)? == Some(true);
    // What an old snapshot shows may be long out of date.
    if !has_old_snapshot() {
        KNOWN.with_borrow_mut(|known| known.set(table, exist, changes));
    }
    Ok(exist)
}
