//! Foreign parts, whose work another server does, cached by the session until their table changes (`sql/parts.sql`).
//!
//! Whoever fences a part has to know when nobody writes to it any more. Every call that may write takes a lock on the
//! table of foreign parts, in a mode that all calls can share, and keeps it until its transaction ends. Like any table
//! lock, the first one in a transaction also makes the session process invalidation messages. So after a fence has been
//! committed, a call either sees it or belongs to a transaction that `workflow.await_calls` waits for. The table is
//! read with a snapshot of its own, because what a REPEATABLE READ transaction sees may be long out of date.

use crate::cache::table_cache::TableCache;
use crate::error::Error;
use crate::pg::builtin;
use crate::pg::id::{self, PARTS};
use crate::pg::relation;
use crate::pg::statements;
use crate::pg::transaction::has_old_snapshot;
use crate::settings;
use conductor::code::Code;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use std::cell::RefCell;

const WORDS: usize = PARTS as usize / 64;

/// A set of parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForeignParts([u64; WORDS]);

impl ForeignParts {
    /// Returns the parts that do not belong to this server, and holds off fences until the transaction ends.
    pub fn current() -> ForeignParts {
        let table = relation::find(c"foreign_part");
        relation::lock_as_writer(table);
        let (known, changes) = KNOWN.with_borrow(|known| (known.get(table).copied(), known.changes()));
        known.unwrap_or_else(|| {
            let parts = load(table);
            KNOWN.with_borrow_mut(|known| known.set(table, parts, changes));
            parts
        })
    }

    /// Whether all parts belong to this server.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// Whether a part does not belong to this server.
    pub fn contains(&self, part: i32) -> bool {
        (0..PARTS).contains(&part) && self.0[part as usize / 64] >> (part % 64) & 1 == 1
    }

    /// Whether the part that an id names does not belong to this server.
    pub fn contains_id(&self, id: i64) -> bool {
        self.contains(id::part(id))
    }

    /// Returns the parts that belong to this server.
    pub fn own(&self) -> impl Iterator<Item = i32> + '_ {
        (0..PARTS).filter(|part| !self.contains(*part))
    }

    /// Restricts the requested parts to those of this server; `None` means all.
    pub fn restrict(&self, asked: &Option<Vec<Option<i32>>>) -> Option<Vec<Option<i32>>> {
        match asked {
            None if self.is_empty() => None,
            None => Some(self.own().map(Some).collect()),
            Some(asked) => Some(asked.iter().copied().filter(|part| !part.is_some_and(|p| self.contains(p))).collect()),
        }
    }
}

thread_local! {
    static KNOWN: RefCell<TableCache<ForeignParts>> = const { RefCell::new(TableCache::new()) };
}

/// Subscribes the process to changes.
pub fn listen() {
    relation::on_change(|table| KNOWN.with_borrow_mut(|known| known.clear_after_change(table)));
}

fn load(table: Oid) -> ForeignParts {
    let mut parts = ForeignParts::default();
    for part in relation::read_numbers(table).into_iter().filter(|part| (0..PARTS).contains(part)) {
        parts.0[part as usize / 64] |= 1 << (part % 64);
    }
    parts
}

/// Refuses to work in a part that does not belong to this server.
pub fn check(part: i32) -> Result<(), Error> {
    if ForeignParts::current().contains(part) { Err(refusal(part)?) } else { Ok(()) }
}

/// Refuses to work on what an id names if its part does not belong to this server.
pub fn check_id(id: i64) -> Result<(), Error> {
    check(id::part(id))
}

/// Returns the error for a part that does not belong to this server.
pub fn refusal(part: i32) -> Result<Error, Error> {
    let (status, server) = Spi::connect(|client| {
        let sql = include_str!("../../queries/find_foreign_part.sql");
        let row = statements::run(client, sql, &[part.into()])?.first();
        Ok::<_, Error>((row.get::<String>(1)?, row.get::<String>(2)?))
    })?;
    let server = server.map_or("another server".to_owned(), |server| format!("server {server}"));
    let (detail, hint) = match status.as_deref() {
        Some("leaving") => (format!("It is moving to {server}."), "Try again in a moment, there or here."),
        Some("arriving") => (format!("It is being copied from {server}."), "Use that server until the part has moved."),
        _ => (format!("It is on {server}."), "Reload the map of parts, and use the server that has the part."),
    };
    Ok(Error::refused(Code::FOREIGN_PART, format!("part {part} is not on this server"), hint).with_detail(detail))
}

/// Returns the part of a key, 0 to 1023: the first 16 bits of its SHA-256, modulo 1024. `workflow_part` in
/// `sql/parts.sql` does the same.
fn part_of(key: &str) -> Result<i32, Error> {
    match builtin::sha256(key.as_bytes()).as_deref() {
        Some([first, second, ..]) => Ok((i32::from(*first) << 8 | i32::from(*second)) % PARTS),
        _ => Err(Error::refused(Code::UNUSABLE, "SHA-256 returned nothing", "Check how the server was built.")),
    }
}

/// Returns the part for an execution that is started without one: determined by its key, or else any of this server's
/// parts among the first `pg_workflow.default_parts`.
pub fn default_part(key: Option<&str>) -> Result<i32, Error> {
    let count = settings::default_parts();
    match key {
        _ if count == 1 => Ok(0),
        Some(key) => Ok(part_of(key)? % count),
        None => {
            let foreign = ForeignParts::current();
            let own: Vec<i32> = foreign.own().take_while(|part| *part < count).collect();
            let place = (crate::pg::random::fraction() * own.len() as f64) as usize;
            Ok(own.get(place).copied().unwrap_or(0))
        }
    }
}

/// Waits until all calls that may not have seen the last committed fence have ended.
pub fn await_calls() -> Result<(), Error> {
    if has_old_snapshot() {
        let message = "this transaction cannot see what other sessions have committed in the meantime";
        let hint = "Use a READ COMMITTED transaction.";
        return Err(Error::refused(Code::WRONG_STATE, message, hint));
    }
    relation::await_writers(relation::find(c"foreign_part"));
    Ok(())
}
