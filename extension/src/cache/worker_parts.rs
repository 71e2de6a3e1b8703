//! Parts that roles are bound to, cached by the session until a binding, a role or a membership changes.

use crate::error::Error;
use crate::pg::relation;
use crate::pg::role;
use crate::pg::statements;
use crate::pg::transaction::has_old_snapshot;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;

/// Bindings known to the session, by role. Cleared when a binding, a role or a membership changes.
#[derive(Default)]
struct Known {
    /// OID of the table, which changes if the extension is dropped and recreated.
    table: Option<Oid>,
    parts: HashMap<Oid, Option<Vec<i32>>>,
    /// Number of times the cache has been cleared.
    changes: u64,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Subscribes the process to changes.
pub fn listen() {
    relation::on_change(|table| {
        KNOWN.with_borrow_mut(|known| {
            if table == Oid::INVALID || known.table == Some(table) {
                known.parts.clear();
                known.changes += 1;
            }
        });
    });
    role::on_change(|| {
        KNOWN.with_borrow_mut(|known| {
            known.parts.clear();
            known.changes += 1;
        });
    });
}

/// Returns the parts to which a role is bound, directly or through a role whose privileges it has, in order; `None` if
/// it is not bound.
pub fn of_role(role: Oid, owner: Oid) -> Result<Option<Vec<i32>>, Error> {
    if role == owner || role::is_superuser(role) {
        return Ok(None);
    }
    // A binding thus takes effect with the first call after its commit, even in the middle of a transaction. Nothing is
    // borrowed meanwhile, because what it processes may clear the cache.
    relation::accept_changes();
    let table = Some(relation::find(c"worker_parts"));
    let (known, changes) = KNOWN.with_borrow_mut(|known| {
        if known.table != table {
            *known = Known { table, parts: HashMap::new(), changes: known.changes };
        }
        (known.parts.get(&role).cloned(), known.changes)
    });
    if let Some(parts) = known {
        return Ok(parts);
    }
    let parts = Spi::connect(|client| {
        let row = statements::run(client, include_str!("../../queries/find_worker_parts.sql"), &[role.into()])?.first();
        row.get::<Vec<i32>>(1)
    })?;
    KNOWN.with_borrow_mut(|known| {
        // Changes made in the meantime may not have been seen, and what an old snapshot shows may be long out of date.
        if known.changes == changes && !has_old_snapshot() {
            known.parts.insert(role, parts.clone());
        }
    });
    Ok(parts)
}
