//! Ids that carry their part.

use crate::settings;
use pgrx::prelude::*;

/// The part of the row that an id belongs to.
pub fn part(id: i64) -> i32 {
    (id >> 48) as i32
}

#[pg_extern(sql = false)]
fn make_id(part: i32, sequence: i64) -> i64 {
    i64::from(part) << 48 | i64::from(settings::node()) << 40 | sequence
}
