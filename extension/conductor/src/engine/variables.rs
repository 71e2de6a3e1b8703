//! Branch-local variables: which branch sees what, and how changes from several branches are merged.
//!
//! While there is only one branch, its variables are `workflow_execution.variables`. When several are alive, each
//! carries the numbers of the changes it has seen ([`Context`]); what it sees is the base with those changes laid over
//! it in order. A join sees its branches' changes in order of arrival, each once: the last one to change a variable
//! wins.

use crate::engine::state::{Context, Delta, State};
use crate::expression::Data;
use crate::interrupt::{self, Checked};
use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, Value};
use std::io;
use std::sync::Arc;

/// Variables and their new values, in order.
pub type Changes = IndexMap<String, Data>;

/// A map with changes laid over it.
#[derive(Debug)]
struct Overlay {
    base: Data,
    changes: Changes,
}

impl Object for Overlay {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        self.changes.get(name).cloned().or_else(|| known(&self.base, name))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let fresh = self.changes.keys().filter(|name| known(&self.base, name).is_none());
        let fresh = fresh.map(|name| Value::from(name.as_str()));
        Enumerator::Values(self.base.try_iter().into_iter().flatten().chain(fresh).collect())
    }
}

/// Whether a value is a map seen through changes.
pub(crate) fn is_overlay(value: &Data) -> bool {
    value.downcast_object_ref::<Overlay>().is_some()
}

/// Returns an empty set of variables.
pub fn empty() -> Data {
    Value::from_pairs(Changes::new())
}

/// Returns a map as seen through changes, without copying it.
pub fn seen_through(base: &Data, changes: &Changes) -> Data {
    if changes.is_empty() {
        base.clone()
    } else {
        Value::from_object(Overlay { base: base.clone(), changes: changes.clone() })
    }
}

/// Returns a map with changes applied to it, as plain data.
pub fn overlaid(base: &Data, changes: &Changes) -> Data {
    let mut entries = Changes::new();
    for key in interrupt::checked(base.try_iter().into_iter().flatten()) {
        if let (Some(name), Ok(value)) = (key.as_str(), base.get_item(&key)) {
            entries.insert(name.to_owned(), value);
        }
    }
    put(&mut entries, changes);
    Value::from_pairs(entries)
}

/// Applies changes on top of changes.
pub fn put(entries: &mut Changes, changes: &Changes) {
    entries.extend(changes.iter().map(|(name, value)| (name.clone(), value.clone())));
}

/// Adds what another branch has seen, each change once, in order.
pub fn join(context: &mut Context, other: &[u32]) {
    for id in other {
        if !context.contains(id) {
            context.push(*id);
        }
    }
}

/// Returns the size of variables as JSON text, in bytes.
pub fn size(entries: &Changes) -> u64 {
    entries.iter().map(|(name, value)| size_of(name, value)).sum()
}

/// Returns the size of one variable as JSON text, in bytes.
pub fn size_of(name: &str, value: &Data) -> u64 {
    // Quotes, colon and comma.
    bytes(value) + name.len() as u64 + 4
}

/// Returns the size of a value as JSON text, in bytes.
pub fn bytes(value: &Data) -> u64 {
    let mut counter = Checked::new(Counter(0));
    // Counting cannot fail, just as writing to memory cannot.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.into_inner().0
}

/// Returns the size of a map of variables, in bytes.
fn size_of_all(variables: &Data) -> u64 {
    let keys = variables.try_iter().into_iter().flatten();
    keys.map(|key| size_of(key.as_str().unwrap_or_default(), &variables.get_item(&key).unwrap_or_default())).sum()
}

/// A writer that counts bytes and keeps none.
struct Counter(u64);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    /// Returns the variables that a branch sees. A change that no longer exists has become part of the base.
    pub fn variables(&self, variables: &Data, context: &[u32]) -> Data {
        let Some(base) = &self.base else { return variables.clone() };
        let mut changes = Changes::new();
        for delta in context.iter().filter_map(|id| self.delta(*id)) {
            put(&mut changes, &self.deltas[delta].vars);
        }
        seen_through(base, &changes)
    }

    /// Notes that more than one branch may now build on the newest change of a context.
    pub fn share(&mut self, context: &[u32]) {
        if let Some(delta) = context.last().and_then(|last| self.delta(*last)) {
            self.deltas[delta].own = false;
        }
    }

    /// Publishes changes while several branches are alive, and returns the new context. `variables` are those before
    /// the change.
    pub fn publish(&mut self, variables: &Data, context: &[u32], changes: &Changes) -> Context {
        let mut context = context.to_vec();
        if self.base.is_none() {
            self.base = Some(variables.clone());
        }
        self.bytes += size(changes);
        match self.own_delta(&context) {
            Some(delta) => {
                self.bytes = self.bytes.saturating_sub(replaced(&self.deltas[delta].vars, changes));
                put(&mut self.deltas[delta].vars, changes);
            }
            None => {
                let id = self.deltas.last().map_or(0, |delta| delta.id) + 1;
                self.deltas.push(Delta { id, vars: changes.clone(), own: true });
                context.push(id);
            }
        }
        context
    }

    /// Publishes changes of the only branch, which sees `variables`, and returns the new variables.
    pub fn publish_alone(&mut self, variables: &Data, changes: &Changes) -> Data {
        self.bytes = self.bytes_after(variables, changes);
        // Forget the branches: what the last of them saw becomes the variables.
        self.base = None;
        self.deltas.clear();
        overlaid(variables, changes)
    }

    /// Returns the bytes of all variables if the only branch publishes `changes`.
    pub fn bytes_after(&self, variables: &Data, changes: &Changes) -> u64 {
        // After branches, overridden values no longer count.
        let before = if self.base.is_some() { size_of_all(variables) } else { self.bytes };
        let replaced = changes.iter().filter_map(|(name, _)| Some(size_of(name, &known(variables, name)?)));
        (before + size(changes)).saturating_sub(replaced.sum())
    }

    /// Returns the bytes of all variables if one of several branches publishes `changes`.
    pub fn bytes_beside(&self, context: &[u32], changes: &Changes) -> u64 {
        let replaced = self.own_delta(context).map_or(0, |delta| replaced(&self.deltas[delta].vars, changes));
        (self.bytes + size(changes)).saturating_sub(replaced)
    }

    /// Returns the position of a delta. Deltas are sorted by number.
    fn delta(&self, id: u32) -> Option<usize> {
        self.deltas.binary_search_by_key(&id, |delta| delta.id).ok()
    }

    /// Returns the delta that only the branch with this context sees.
    fn own_delta(&self, context: &[u32]) -> Option<usize> {
        context.last().and_then(|last| self.delta(*last)).filter(|delta| self.deltas[*delta].own)
    }
}

fn known(variables: &Data, name: &str) -> Option<Data> {
    variables.get_item(&Value::from(name)).ok().filter(|value| !value.is_undefined())
}

/// Returns the bytes of the entries that changes replace.
fn replaced(entries: &Changes, changes: &Changes) -> u64 {
    let gone = entries.iter().filter(|(name, _)| changes.contains_key(*name));
    gone.map(|(name, value)| size_of(name, value)).sum()
}
