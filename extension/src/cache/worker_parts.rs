//! Parts that roles are bound to, cached by the session until a binding, a role or a membership changes.

use crate::cache::table_cache::TableCache;
use crate::error::Error;
use crate::pg::relation;
use crate::pg::role;
use crate::pg::statements;
use crate::pg::transaction::has_old_snapshot;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;

/// Parts to which a role is bound, in order; `None` if it is not bound.
type Parts = Option<Vec<i32>>;

/// Maximum number of cached roles.
const MOST: usize = 10_000;

thread_local! {
    /// Parts by role.
    static KNOWN: RefCell<TableCache<HashMap<Oid, Parts>>> = const { RefCell::new(TableCache::new()) };
}

/// Subscribes the process to changes.
pub fn listen() {
    relation::on_change(|table| KNOWN.with_borrow_mut(|known| known.clear_after_change(table)));
    role::on_change(|| KNOWN.with_borrow_mut(TableCache::clear));
}

/// Returns the parts to which a role is bound, directly or through a role whose privileges it has.
pub fn of_role(role: Oid, owner: Oid) -> Result<Parts, Error> {
    if role == owner || role::is_superuser(role) {
        return Ok(None);
    }
    // A binding thus takes effect with the first call after its commit, even in the middle of a transaction. Nothing is
    // borrowed meanwhile, because what it processes may clear the cache.
    relation::accept_changes();
    let table = relation::find(c"worker_parts");
    let (known, changes) =
        KNOWN.with_borrow_mut(|known| (known.rows(table, MOST).get(&role).cloned(), known.changes()));
    if let Some(parts) = known {
        return Ok(parts);
    }
    let parts = Spi::connect(|client| {
        let row = statements::run(client, include_str!("../../queries/find_worker_parts.sql"), &[role.into()])?.first();
        row.get::<Vec<i32>>(1)
    })?;
    // What an old snapshot shows may be long out of date.
    if !has_old_snapshot() {
        KNOWN.with_borrow_mut(|known| known.add([(role, parts.clone())], changes));
    }
    Ok(parts)
}
