//! What branches publish: numbered changes on top of `workflow_execution.variables`.
//!
//! Each entry of a change is a row of its own, so that an event writes only what it adds, however many branches there
//! are. A change holds variables, or the contexts that have met at a join: a join of many branches adds one entry with
//! each arrival, and what follows the join sees one change. What the only branch publishes is visible to everybody: if
//! the variables are small, they are rewritten; otherwise the branch adds to one change, the trunk.

use crate::engine::conductor::Conductor;
use crate::engine::published::{Entry, KnownChanges, NewEntry, OWN, is_marked, joined, number_of, own_change, shared};
use crate::engine::state::{Context, State};
use crate::engine::variables::{self, Changes};
use crate::expression::Data;
use crate::expression::overlay;
use std::sync::Arc;

impl State {
    /// Returns a new number. Numbers are never reused: a change that no longer exists has become part of the variables.
    fn number(&mut self) -> u32 {
        self.published += 1;
        self.published
    }

    /// Returns the change that a branch with this context may add to.
    fn own(&self, context: &[u32]) -> Option<u32> {
        own_change(context).filter(|id| *id > self.shared)
    }
}

impl Conductor<'_> {
    /// Returns the variables that a branch sees, or `None` if they were not loaded.
    pub(crate) fn branch(&self, context: &[u32]) -> Option<Data> {
        let base = self.variables.as_ref()?;
        let state = &self.execution.state;
        if context.is_empty() && state.trunk.is_none() {
            return Some(base.clone());
        }
        let mut kept = self.seen.borrow_mut();
        if let Some((_, vars)) = kept.as_ref().filter(|(of, _)| of.as_slice() == context) {
            return Some(vars.clone());
        }
        let vars = overlay::seen_through(base, &self.known.seen(state, context)?);
        *kept = Some((context.to_vec(), vars.clone()));
        Some(vars)
    }

    /// Returns the size of all variables in bytes after a branch has published, if no other branch follows from the
    /// same task.
    pub(crate) fn bytes_after(&self, context: &[u32], changes: &Changes) -> u64 {
        let state = &self.execution.state;
        let replaced = |change| {
            let replaced = self.replaced(change, changes);
            replaced.map(|(_, bytes)| (state.bytes + variables::size(changes)).saturating_sub(bytes))
        };
        let bytes = match state.is_single() {
            true if self.folds(context, changes) => self.branch(context).map(|seen| state.bytes_folded(&seen, changes)),
            true => replaced(state.trunk),
            false => replaced(state.own(context)),
        };
        bytes.unwrap_or_else(|| {
            self.missing.note();
            0
        })
    }

    /// Publishes, and returns the context of what follows. `alone` means that no other branch follows from the same
    /// task.
    pub(crate) fn publish(&mut self, context: &[u32], changes: &Changes, alone: bool) -> Context {
        if changes.is_empty() {
            return context.to_vec();
        }
        let published = match alone && self.execution.state.is_single() {
            true if self.folds(context, changes) => self.fold(context, changes),
            true => self.settle(context, changes),
            false => self.branch_off(context, changes),
        };
        published.unwrap_or_else(|| {
            self.missing.note();
            context.to_vec()
        })
    }

    /// Returns what two contexts see. The first is that of a join, or of the branches that have ended.
    pub(crate) fn met(&mut self, context: Context, other: &[u32]) -> Context {
        let (known, other) = (shared(&context), shared(other));
        if other.iter().all(|id| known.contains(id)) {
            return context;
        }
        if known.is_empty() {
            return other;
        }
        if let Some(all) = context.last().filter(|_| is_marked(&context)) {
            self.record(number_of(*all), Entry::Sees(other));
            return context;
        }
        let both = joined(&known, &other);
        if both.len() <= self.graph.bounds.context_changes {
            return both;
        }
        let all = self.new_change();
        self.record(all, Entry::Sees(known));
        self.record(all, Entry::Sees(other));
        vec![all | OWN]
    }

    /// Notes what a branch that has ended saw.
    pub(crate) fn note_end(&mut self, context: &[u32]) {
        let ended = self.execution.state.ended.take().unwrap_or_default();
        let ended = self.met(ended, context);
        self.execution.state.ended = Some(ended);
    }

    /// Returns what the ended branches saw. What ends from now on is not included.
    pub(crate) fn seen_at_end(&mut self) -> Context {
        let ended = self.execution.state.ended.as_mut();
        ended
            .map(|ended| {
                *ended = shared(ended);
                ended.clone()
            })
            .unwrap_or_default()
    }

    /// Whether the only branch rewrites all variables: if they are small, or if the changes are larger than what they
    /// change, so that rewriting costs no more in total than publishing the changes did. Otherwise large variables stay
    /// where they are.
    fn folds(&self, context: &[u32], changes: &Changes) -> bool {
        let (bounds, state) = (&self.graph.bounds, &self.execution.state);
        let after = state.bytes + variables::size(changes);
        let outgrown = state.base.is_some_and(|base| state.bytes > 2 * base);
        after <= bounds.rewritten_bytes as u64
            || after > bounds.context_bytes as u64
            || bounds.rewritten_bytes > 0 && outgrown && !context.is_empty()
    }

    /// Rewrites the variables as the only branch sees them, and forgets all changes.
    fn fold(&mut self, context: &[u32], changes: &Changes) -> Option<Context> {
        let seen = self.branch(context)?;
        let state = &mut self.execution.state;
        state.bytes = state.bytes_folded(&seen, changes);
        self.changes.folded |= state.base.take().is_some();
        (state.trunk, state.settled) = (None, state.published);
        let variables = variables::overlaid(&seen, changes);
        self.changes.variables = Some(variables.clone());
        self.changes.published.clear();
        self.changes.replaced.clear();
        (self.variables, self.known) = (Some(variables), Arc::new(KnownChanges::all()));
        self.seen.take();
        Some(Context::new())
    }

    /// Adds what the only branch sees and publishes to the change that everybody sees, as if the variables were
    /// rewritten.
    fn settle(&mut self, context: &[u32], changes: &Changes) -> Option<Context> {
        let replaced = self.replaced(self.execution.state.trunk, changes)?;
        let trunk = self.execution.state.trunk.unwrap_or_else(|| self.new_change());
        let state = &mut self.execution.state;
        let context: Context = shared(context).into_iter().filter(|id| *id > state.settled).collect();
        (state.trunk, state.settled) = (Some(trunk), state.published);
        if !context.is_empty() {
            self.record(trunk, Entry::Sees(context));
        }
        let before = self.execution.state.bytes;
        self.put(trunk, changes, replaced);
        // What it adds itself, unlike what joins have contributed, is as good as part of the variables.
        let state = &mut self.execution.state;
        state.base = state.base.map(|base| (base + state.bytes).saturating_sub(before));
        Some(Context::new())
    }

    /// Adds to the branch's own change, or a change to its context.
    fn branch_off(&mut self, context: &[u32], changes: &Changes) -> Option<Context> {
        let own = self.execution.state.own(context);
        let replaced = self.replaced(own, changes)?;
        if let Some(own) = own {
            self.put(own, changes, replaced);
            return Some(context.to_vec());
        }
        let mut context = shared(context);
        if context.len() >= self.graph.bounds.context_changes {
            let all = self.new_change();
            self.record(all, Entry::Sees(context));
            context = vec![all];
        }
        let change = self.new_change();
        self.put(change, changes, replaced);
        context.push(change | OWN);
        Some(context)
    }

    /// Adds variables to a change, replacing those at the given places, whose size in bytes is given.
    fn put(&mut self, change: u32, changes: &Changes, (places, bytes): (Vec<u32>, u64)) {
        let state = &mut self.execution.state;
        state.base.get_or_insert(state.bytes);
        state.bytes = (state.bytes + variables::size(changes)).saturating_sub(bytes);
        for place in places {
            Arc::make_mut(&mut self.known).remove(change, place);
            match self.changes.published.iter().position(|entry| entry.place == place) {
                Some(position) => drop(self.changes.published.remove(position)),
                None => self.changes.replaced.push((change, place)),
            }
        }
        for (name, value) in changes {
            self.record(change, Entry::Variable(name.clone(), value.clone()));
        }
    }

    fn new_change(&mut self) -> u32 {
        let change = self.execution.state.number();
        Arc::make_mut(&mut self.known).know(change);
        change
    }

    fn record(&mut self, change: u32, entry: Entry) {
        let place = self.execution.state.number();
        Arc::make_mut(&mut self.known).add(change, place, entry.clone());
        self.changes.published.push(NewEntry { change, place, entry });
        self.seen.take();
    }

    /// Returns the places and the size in bytes of the entries of a change that would be replaced, or `None` if it was
    /// not loaded.
    fn replaced(&self, change: Option<u32>, changes: &Changes) -> Option<(Vec<u32>, u64)> {
        let (mut places, mut bytes) = (Vec::new(), 0);
        if let Some(change) = change {
            for (place, entry) in self.known.of(change)? {
                if let Entry::Variable(name, value) = entry
                    && changes.contains_key(name)
                {
                    places.push(*place);
                    bytes += variables::size_of(name, value);
                }
            }
        }
        Some((places, bytes))
    }
}
