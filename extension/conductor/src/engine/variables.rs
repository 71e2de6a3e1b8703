//! Branch-local variables: who sees what, and how branches' changes meet again.
//!
//! While there is one branch, its variables are `workflow_execution.variables`. When several live, each carries the
//! numbers of the changes it has seen ([`Context`]); what it sees is the base with those laid over it in order. A join
//! sees its branches' changes in order of arrival, each once: the last one to change a variable wins.

use crate::engine::state::{Context, Delta, State};
use crate::expression::Data;
use crate::interrupt::{self, Checked};
use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, Value};
use std::io;
use std::sync::Arc;

/// Variables and their new values, in order.
pub type Changes = IndexMap<String, Data>;

/// A map with changes over it.
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

/// Is it a map seen through changes?
pub(crate) fn is_overlay(value: &Data) -> bool {
    value.downcast_object_ref::<Overlay>().is_some()
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
    let mut entries = Changes::new();
    for key in interrupt::checked(base.try_iter().into_iter().flatten()) {
        if let (Some(name), Ok(value)) = (key.as_str(), base.get_item(&key)) {
            entries.insert(name.to_owned(), value);
        }
    }
    put(&mut entries, changes);
    Value::from_pairs(entries)
}

/// Lays changes over changes.
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

/// Bytes of variables, as JSON text.
pub fn size(entries: &Changes) -> u64 {
    entries.iter().map(|(name, value)| size_of(name, value)).sum()
}

/// Bytes of one variable, as JSON text.
pub fn size_of(name: &str, value: &Data) -> u64 {
    // Quotes, colon and comma.
    bytes(value) + name.len() as u64 + 4
}

/// Bytes of a value, as JSON text.
pub fn bytes(value: &Data) -> u64 {
    let mut counter = Checked::new(Counter(0));
    // Counting fails as little as writing to memory does.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.into_inner().0
}

/// Bytes of a map of variables.
fn size_of_all(variables: &Data) -> u64 {
    let keys = variables.try_iter().into_iter().flatten();
    keys.map(|key| size_of(key.as_str().unwrap_or_default(), &variables.get_item(&key).unwrap_or_default())).sum()
}

/// Takes any number of bytes and keeps none.
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
    /// What a branch sees. A change that is gone has become part of the base.
    pub fn variables(&self, variables: &Data, context: &[u32]) -> Data {
        let Some(base) = &self.base else { return variables.clone() };
        let mut changes = Changes::new();
        for delta in context.iter().filter_map(|id| self.delta(*id)) {
            put(&mut changes, &self.deltas[delta].vars);
        }
        seen_through(base, &changes)
    }

    /// Notes that more than one may now build on the newest change of a context.
    pub fn share(&mut self, context: &[u32]) {
        if let Some(delta) = context.last().and_then(|last| self.delta(*last)) {
            self.deltas[delta].own = false;
        }
    }

    /// The context after one more change, while several branches live. `variables` are those before it.
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

    /// The variables after one more change of the only branch there is, which sees `variables`.
    pub fn publish_alone(&mut self, variables: &Data, changes: &Changes) -> Data {
        self.bytes = self.bytes_after(variables, changes);
        // The branches are forgotten: what the last of them saw is the variables.
        self.base = None;
        self.deltas.clear();
        overlaid(variables, changes)
    }

    /// Bytes of all variables, should the only branch there is publish `changes`.
    pub fn bytes_after(&self, variables: &Data, changes: &Changes) -> u64 {
        // After branches, what each has replaced no longer counts.
        let before = if self.base.is_some() { size_of_all(variables) } else { self.bytes };
        let replaced = changes.iter().filter_map(|(name, _)| Some(size_of(name, &known(variables, name)?)));
        (before + size(changes)).saturating_sub(replaced.sum())
    }

    /// Bytes of all variables, should one of several branches publish `changes`.
    pub fn bytes_beside(&self, context: &[u32], changes: &Changes) -> u64 {
        let replaced = self.own_delta(context).map_or(0, |delta| replaced(&self.deltas[delta].vars, changes));
        (self.bytes + size(changes)).saturating_sub(replaced)
    }

    /// Where a delta is: they are numbered in order.
    fn delta(&self, id: u32) -> Option<usize> {
        self.deltas.binary_search_by_key(&id, |delta| delta.id).ok()
    }

    /// The delta that only the branch of this context sees.
    fn own_delta(&self, context: &[u32]) -> Option<usize> {
        context.last().and_then(|last| self.delta(*last)).filter(|delta| self.deltas[*delta].own)
    }
}

fn known(variables: &Data, name: &str) -> Option<Data> {
    variables.get_item(&Value::from(name)).ok().filter(|value| !value.is_undefined())
}

/// Bytes of those entries that changes take the place of.
fn replaced(entries: &Changes, changes: &Changes) -> u64 {
    let gone = entries.iter().filter(|(name, _)| changes.contains_key(*name));
    gone.map(|(name, value)| size_of(name, value)).sum()
}
