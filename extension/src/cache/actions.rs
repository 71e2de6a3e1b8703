//! Facts about actions that new tasks need, cached by the session until an action changes: whether it is a workflow,
//! and its limits.
//!
//! Whoever changes an action notifies all sessions at commit (`workflow.forget_actions` in `sql/action.sql`), with
//! PostgreSQL's own relcache invalidation message. They process it when their next statement begins, at the latest.

use crate::cache::table_cache::TableCache;
use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::pg::relation;
use crate::pg::statements;
use crate::pg::transaction::has_old_snapshot;
use crate::settings;
use conductor::engine::action_limits::{self, ActionLimits};
use conductor::json::from_text;
use pgrx::spi::SpiClient;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// Maximum number of cached actions.
const MOST: usize = 10_000;

/// Known facts about an action.
#[derive(Clone, Default)]
pub struct Facts {
    /// Whether it is a workflow.
    pub is_workflow: bool,
    /// Limits that apply to its tasks.
    pub limits: Option<Rc<ActionLimits>>,
}

thread_local! {
    /// Facts by ref.
    static KNOWN: RefCell<TableCache<HashMap<String, Facts>>> = const { RefCell::new(TableCache::new()) };
}

/// Subscribes the process to changes.
pub fn listen() {
    relation::on_change(|table| KNOWN.with_borrow_mut(|known| known.clear_after_change(table)));
}

/// Returns the facts about these actions.
pub fn facts(client: &SpiClient, actions: BTreeSet<&str>) -> Result<BTreeMap<String, Facts>, Error> {
    let table = relation::find(c"action");
    let mut facts = BTreeMap::new();
    let (unknown, changes) = KNOWN.with_borrow_mut(|known| {
        let (mut unknown, changes) = (Vec::new(), known.changes());
        let known = known.rows(table, MOST);
        for action in actions {
            match known.get(action) {
                Some(known) => _ = facts.insert(action.to_owned(), known.clone()),
                None => unknown.push(action.to_owned()),
            }
        }
        (unknown, changes)
    });
    if unknown.is_empty() {
        return Ok(facts);
    }
    let mut found: BTreeMap<String, Facts> = unknown.iter().map(|action| (action.clone(), Facts::default())).collect();
    let mut rows = statements::run(client, include_str!("../../queries/list_action_facts.sql"), &[unknown.into()])?;
    while rows.next().is_some() {
        let action = rows.get::<String>(1)?.unwrap_or_default();
        let limits = rows.get::<Jsonb>(3)?.and_then(compile).map(Rc::new);
        found.insert(action, Facts { is_workflow: rows.get::<bool>(2)? == Some(true), limits });
    }
    // What an old snapshot shows may be long out of date.
    if !has_old_snapshot() {
        let rows = found.iter().map(|(action, facts)| (action.clone(), facts.clone()));
        KNOWN.with_borrow_mut(|known| known.add(rows, changes));
    }
    facts.extend(found);
    Ok(facts)
}

/// Compiles the limits of an action. Invalid limits, which someone has written into the table manually, are ignored.
fn compile(limits: Jsonb) -> Option<ActionLimits> {
    let uses = action_limits::read(&from_text(&limits.text()).ok()?).ok()?;
    ActionLimits::compile(&uses, settings::bounds()).ok()
}
