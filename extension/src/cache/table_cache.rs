//! A value that a session caches from one table until the table changes.

use pgrx::pg_sys::Oid;
use std::collections::HashMap;
use std::hash::Hash;

/// A value derived from a table.
pub struct TableCache<V> {
    /// The table's OID, which changes if the extension is dropped and recreated, and the value.
    known: Option<(Oid, V)>,
    /// Number of times the cache has been cleared.
    changes: u64,
}

impl<V> TableCache<V> {
    /// Returns an empty cache.
    pub const fn new() -> TableCache<V> {
        TableCache { known: None, changes: 0 }
    }

    /// Returns the value, if it is known and derived from this table.
    pub fn get(&self, table: Oid) -> Option<&V> {
        self.known.as_ref().filter(|(known, _)| *known == table).map(|(_, value)| value)
    }

    /// Returns the number of times the cache has been cleared, to be read before the table is.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Remembers a value, unless the cache has been cleared since: changes made in the meantime may not have been seen.
    pub fn set(&mut self, table: Oid, value: V, since: u64) {
        if self.changes == since {
            self.known = Some((table, value));
        }
    }

    /// Forgets the value.
    pub fn clear(&mut self) {
        self.known = None;
        self.changes += 1;
    }

    /// Forgets the value if it may be derived from a table that has changed; the invalid OID means any table.
    pub fn clear_after_change(&mut self, changed: Oid) {
        if changed == Oid::INVALID || self.known.as_ref().is_none_or(|(known, _)| *known == changed) {
            self.clear();
        }
    }
}

/// For a table that is read row by row.
impl<K: Eq + Hash, V> TableCache<HashMap<K, V>> {
    /// Returns the known rows of a table, forgetting all of them if there are more than `most`.
    pub fn rows(&mut self, table: Oid, most: usize) -> &HashMap<K, V> {
        if self.get(table).is_none_or(|rows| rows.len() > most) {
            self.known = None;
        }
        &self.known.get_or_insert_with(|| (table, HashMap::new())).1
    }

    /// Remembers rows, unless the cache has been cleared since.
    pub fn add(&mut self, rows: impl IntoIterator<Item = (K, V)>, since: u64) {
        if let Some((_, known)) = self.known.as_mut().filter(|_| self.changes == since) {
            known.extend(rows);
        }
    }
}
