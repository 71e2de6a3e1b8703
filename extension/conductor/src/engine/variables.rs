//! Branch-local variables: maps with changes laid over them, and their sizes.
//!
//! A branch sees the variables with the changes of its context laid over them in order (`branches.rs`). A join sees its
//! branches' changes in order of arrival, each once: the last one to change a variable wins.

use crate::engine::state::State;
use crate::expression::Data;
pub use crate::expression::overlay::Changes;
use crate::expression::overlay::known;
use crate::interrupt::{self, Checked};
use minijinja::value::Value;
use std::io;

/// Returns an empty set of variables.
pub fn empty() -> Data {
    Value::from_pairs(Changes::new())
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
    /// Returns the bytes of all variables after the only branch, which sees `variables`, has rewritten them with
    /// changes.
    pub(crate) fn bytes_folded(&self, variables: &Data, changes: &Changes) -> u64 {
        // After branches, overridden values no longer count.
        let before = if self.base.is_some() { size_of_all(variables) } else { self.bytes };
        let replaced = changes.iter().filter_map(|(name, _)| Some(size_of(name, &known(variables, name)?)));
        (before + size(changes)).saturating_sub(replaced.sum())
    }
}
