//! What branches have published, as far as it was loaded, and the contexts that see it. How a branch publishes is in
//! `branches.rs`.

use crate::engine::state::{Context, State};
use crate::engine::variables::Changes;
use crate::expression::Data;
use crate::interrupt;
use std::collections::{BTreeMap, BTreeSet};

/// Bit that marks the last change of a context: nobody else sees it, so the context's holder may add to it.
pub(crate) const OWN: u32 = 1 << 31;

/// One entry of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A variable and its value.
    Variable(String, Data),
    /// What a branch that arrived at a join saw.
    Sees(Context),
}

/// An entry to store.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// The change.
    pub change: u32,
    /// Its place in the order of publishing.
    pub place: u32,
    /// What it holds.
    pub entry: Entry,
}

/// The changes that were loaded.
#[derive(Debug, Clone, Default)]
pub struct KnownChanges {
    /// By change and place.
    entries: BTreeMap<u32, BTreeMap<u32, Entry>>,
    /// The changes all of whose entries are known.
    whole: BTreeSet<u32>,
    /// Whether all existing changes are known, so that one that is not among them has become part of the variables.
    all: bool,
}

impl KnownChanges {
    /// Returns an empty set that is about to receive all changes.
    pub fn all() -> KnownChanges {
        KnownChanges { all: true, ..KnownChanges::default() }
    }

    /// Notes that all entries of a change are known, or will be added.
    pub fn know(&mut self, change: u32) {
        self.whole.insert(change);
    }

    /// Adds an entry.
    pub fn add(&mut self, change: u32, place: u32, entry: Entry) {
        self.entries.entry(change).or_default().insert(place, entry);
    }

    /// Removes an entry.
    pub fn remove(&mut self, change: u32, place: u32) {
        if let Some(entries) = self.entries.get_mut(&change) {
            entries.remove(&place);
        }
    }

    /// Returns the variables that all branches have published, in order.
    pub fn published(&self) -> Changes {
        let mut all: Vec<(u32, &String, &Data)> = Vec::new();
        for (place, entry) in self.entries.values().flatten() {
            if let Entry::Variable(name, value) = entry {
                all.push((*place, name, value));
            }
        }
        all.sort_by_key(|(place, ..)| *place);
        all.into_iter().map(|(_, name, value)| (name.clone(), value.clone())).collect()
    }

    /// Returns the entries of a change, or `None` if some of them are not known.
    pub(crate) fn of(&self, change: u32) -> Option<&BTreeMap<u32, Entry>> {
        static NOTHING: BTreeMap<u32, Entry> = BTreeMap::new();
        let is_whole = self.all || self.whole.contains(&change);
        is_whole.then(|| self.entries.get(&change).unwrap_or(&NOTHING))
    }

    /// Returns the variables that a context sees on top of the base, or `None` if some of its changes are not known.
    pub(crate) fn seen(&self, state: &State, context: &[u32]) -> Option<Changes> {
        let mut seen = Seen::default();
        if let Some(trunk) = state.trunk {
            self.see(&mut seen, &[trunk], 0)?;
        }
        self.see(&mut seen, context, state.settled)?;
        Some(seen.variables)
    }

    /// Adds what a context sees, except for changes up to the number `settled`: these are part of what was added
    /// before, or lost.
    fn see(&self, seen: &mut Seen, context: &[u32], settled: u32) -> Option<()> {
        // What remains to be visited, last first. The stack is explicit: any number of joins can follow each other.
        let mut open: Vec<Open> = context.iter().rev().map(|id| Open::Change(number_of(*id))).collect();
        while let Some(next) = open.pop() {
            interrupt::check();
            match next {
                Open::Entry(Entry::Variable(name, value)) => drop(seen.variables.insert(name.clone(), value.clone())),
                Open::Entry(Entry::Sees(context)) => open.extend(context.iter().rev().copied().map(Open::Change)),
                Open::Change(id) if id > settled && seen.changes.insert(id) => {
                    open.extend(self.of(id)?.values().rev().map(Open::Entry));
                }
                Open::Change(_) => {}
            }
        }
        Some(())
    }
}

/// What a context sees, as far as it has been worked out.
#[derive(Default)]
struct Seen {
    variables: Changes,
    changes: BTreeSet<u32>,
}

/// Something that remains to be visited.
enum Open<'k> {
    Change(u32),
    Entry(&'k Entry),
}

/// Returns the number of a change in a context.
pub fn number_of(id: u32) -> u32 {
    id & !OWN
}

/// Whether only this context sees its last change.
pub(crate) fn is_marked(context: &[u32]) -> bool {
    context.last().is_some_and(|last| last & OWN != 0)
}

/// Returns a context that several branches can hold: none of them may add to its last change.
pub(crate) fn shared(context: &[u32]) -> Context {
    context.iter().copied().map(number_of).collect()
}

/// Returns the change that only this context's holder adds to, which must be loaded before the holder publishes.
pub fn own_change(context: &[u32]) -> Option<u32> {
    context.last().filter(|last| **last & OWN != 0).copied().map(number_of)
}

/// Returns what two contexts see: each change once, in order.
pub(crate) fn joined(context: &[u32], other: &[u32]) -> Context {
    let mut all = shared(context);
    for id in shared(other) {
        if !all.contains(&id) {
            all.push(id);
        }
    }
    all
}
