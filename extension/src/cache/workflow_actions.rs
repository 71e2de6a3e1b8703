//! Which actions are workflows, cached by the session until an action changes.
//!
//! Whoever changes an action notifies all sessions at commit (`workflow.forget_actions` in `sql/action.sql`), with
//! PostgreSQL's own relcache invalidation message. They process it when their next statement begins, at the latest.
#![allow(unsafe_code)]

use crate::error::Error;
use crate::pg::relation;
use crate::pg::statements;
use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

/// Maximum number of cached actions.
const MOST: usize = 10_000;

#[derive(Default)]
struct Known {
    /// OID of the table of actions, which changes if the extension is dropped and recreated.
    table: Option<Oid>,
    /// Whether an action is a workflow, by ref.
    actions: HashMap<String, bool>,
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
                known.actions.clear();
                known.changes += 1;
            }
        });
    });
}

/// Returns those of these actions that are workflows.
pub fn among<'a>(client: &SpiClient, actions: BTreeSet<&'a str>) -> Result<BTreeSet<&'a str>, Error> {
    let table = Some(relation::find(c"action"));
    let (unknown, changes) = KNOWN.with_borrow_mut(|known| {
        if known.table != table || known.actions.len() > MOST {
            *known = Known { table, actions: HashMap::new(), changes: known.changes };
        }
        let unknown: Vec<&str> =
            actions.iter().filter(|action| !known.actions.contains_key(**action)).copied().collect();
        (unknown, known.changes)
    });
    let mut found = BTreeSet::new();
    if !unknown.is_empty() {
        let rows =
            statements::run(client, include_str!("../../queries/list_workflows.sql"), &[unknown.clone().into()])?
                .first();
        found.extend(rows.get::<Vec<String>>(1)?.unwrap_or_default());
    }
    Ok(KNOWN.with_borrow_mut(|known| {
        let is_workflow = |action: &str| found.contains(action) || known.actions.get(action) == Some(&true);
        let workflows = actions.into_iter().filter(|action| is_workflow(action)).collect();
        // Changes made in the meantime may not have been seen. What an old snapshot shows may have changed long ago.
        if known.changes == changes && !has_old_snapshot() {
            known.actions.extend(unknown.into_iter().map(|action| (action.to_owned(), found.contains(action))));
        }
        workflows
    }))
}

/// Whether all statements of the transaction share one snapshot.
fn has_old_snapshot() -> bool {
    // SAFETY: a session has one thread.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// `workflow.forget_actions` in `sql/action.sql`: a trigger whose return value is ignored.
#[pg_extern(sql = false)]
fn workflow_forget_actions() {
    // SAFETY: the table exists: it is the one that has changed.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation::find(c"action")) }
}
