//! Ids that carry their part.

use crate::error::Error;
use crate::{relation, settings};
use pgrx::direct_function_call;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::BTreeMap;
use std::ffi::CStr;

/// So many parts there are, numbered from 0.
pub const PARTS: i32 = 1024;

/// `part << 48 | node << 40 | sequence`
#[pg_extern(sql = false)]
fn make_id(part: i32, sequence: i64) -> i64 {
    i64::from(part) << 48 | i64::from(settings::node()) << 40 | sequence
}

/// The part that an id names.
pub fn part(id: i64) -> i32 {
    (id >> 48) as i32
}

/// Ids by the part that they name.
pub fn by_part(ids: impl Iterator<Item = i64>) -> BTreeMap<i32, Vec<i64>> {
    let mut parts: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    ids.for_each(|id| parts.entry(part(id)).or_default().push(id));
    parts
}

/// A sequence in schema workflow.
#[derive(Clone, Copy)]
pub struct Sequence(pg_sys::Oid);

impl Sequence {
    /// The one of that name.
    pub fn find(name: &'static CStr) -> Sequence {
        Sequence(relation::find(name))
    }

    /// A new id.
    #[allow(unsafe_code)]
    pub fn next(self, part: i32) -> Result<i64, Error> {
        // SAFETY: the argument is what nextval takes. A number that is no sequence is an error of its own.
        let next = unsafe { direct_function_call::<i64>(pg_sys::nextval_oid, &[self.0.into_datum()]) };
        let missing =
            || Error::refused("WF619", "a sequence gives no number", "look at the sequences of schema workflow");
        Ok(make_id(part, next.ok_or_else(missing)?))
    }
}
