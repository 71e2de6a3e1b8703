//! Ids that carry their part.

use crate::settings;
use pgrx::prelude::*;

#[pg_extern(sql = false)]
fn make_id(part: i32, sequence: i64) -> i64 {
    i64::from(part) << 48 | i64::from(settings::node()) << 40 | sequence
}
