//! Branch-local variables: who sees what, and how branches' changes meet again.
//!
//! While there is one branch, its variables are `workflow_execution.variables`. When several live, each carries the
//! numbers of the changes it has seen ([`Context`]); what it sees is the base with those laid over it in order. A join
//! sees its branches' changes in order of arrival, each once: the last one to change a variable wins.

use crate::expression::Data;
use crate::state::{Context, Delta, State};
use minijinja::value::{Enumerator, Object, Value};
use std::sync::Arc;

/// Variables and their new values, in order.
pub type Changes = Vec<(String, Data)>;

/// A map with changes over it.
#[derive(Debug)]
struct Overlay {
    base: Data,
    changes: Changes,
}

impl Object for Overlay {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        match self.changes.iter().rev().find(|(changed, _)| changed == name) {
            Some((_, value)) => Some(value.clone()),
            None => self.base.get_item(key).ok().filter(|value| !value.is_undefined()),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let merged = overlaid(&self.base, &self.changes);
        Enumerator::Values(merged.try_iter().map(Iterator::collect).unwrap_or_default())
    }
}

/// No variables.
pub fn empty() -> Data {
    Value::from_pairs(Changes::new())
}

/// A map seen through changes, without copying it.
pub fn seen_through(base: &Data, changes: &Changes) -> Data {
    if changes.is_empty() {
        base.clone()
    } else {
        Value::from_object(Overlay { base: base.clone(), changes: changes.clone() })
    }
}

/// A map with changes made to it: plain data.
pub fn overlaid(base: &Data, changes: &Changes) -> Data {
    let mut entries: Changes = Vec::new();
    for key in base.try_iter().into_iter().flatten() {
        if let (Some(name), Ok(value)) = (key.as_str(), base.get_item(&key)) {
            entries.push((name.to_owned(), value));
        }
    }
    put(&mut entries, changes);
    Value::from_pairs(entries)
}

/// Lays changes over changes.
pub fn put(entries: &mut Changes, changes: &Changes) {
    for (name, value) in changes {
        match entries.iter_mut().find(|(known, _)| known == name) {
            Some(entry) => entry.1 = value.clone(),
            None => entries.push((name.clone(), value.clone())),
        }
    }
}

/// Adds what another branch has seen, each change once, in order.
pub fn join(context: &mut Context, other: &[u32]) {
    for id in other {
        if !context.contains(id) {
            context.push(*id);
        }
    }
}

impl State {
    /// What a branch sees. A change that is gone has become part of the base.
    pub fn variables(&self, variables: &Data, context: &[u32]) -> Data {
        let Some(base) = &self.base else { return variables.clone() };
        let mut changes = Changes::new();
        for delta in context.iter().filter_map(|id| self.deltas.iter().find(|delta| delta.id == *id)) {
            put(&mut changes, &delta.vars);
        }
        if changes.is_empty() { base.clone() } else { overlaid(base, &changes) }
    }

    /// Notes that more than one may now build on the newest change of a context.
    pub fn share(&mut self, context: &[u32]) {
        if let Some(delta) = context.last().and_then(|last| self.deltas.iter_mut().find(|delta| delta.id == *last)) {
            delta.own = false;
        }
    }

    /// The context after one more change, while several branches live. `variables` are those before it.
    pub fn publish(&mut self, variables: &Data, context: &[u32], changes: &Changes) -> Context {
        let mut context = context.to_vec();
        if self.base.is_none() {
            self.base = Some(variables.clone());
        }
        let newest = context.last().copied();
        match self.deltas.iter_mut().find(|delta| Some(delta.id) == newest && delta.own) {
            Some(delta) => put(&mut delta.vars, changes),
            None => {
                let id = self.deltas.iter().map(|delta| delta.id).max().unwrap_or(0) + 1;
                self.deltas.push(Delta { id, vars: changes.clone(), own: true });
                context.push(id);
            }
        }
        context
    }

    /// Forgets the branches: what the last of them saw becomes the variables.
    pub fn collapse(&mut self) {
        self.base = None;
        self.deltas.clear();
    }
}
