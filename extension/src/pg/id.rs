//! Ids that contain their part.

use crate::error::Error;
use crate::pg::relation;
use crate::settings;
use conductor::code::Code;
use pgrx::direct_function_call;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::BTreeMap;
use std::ffi::CStr;

/// Number of bits of an id that come from a sequence.
const SEQUENCE_BITS: u32 = 40;

/// Number of parts, which are numbered from 0.
pub const PARTS: i32 = 1024;

/// Returns `part << 48 | node << 40 | sequence`.
pub fn make(part: i32, sequence: i64) -> Result<i64, Error> {
    if sequence >> SEQUENCE_BITS == 0 {
        Ok(i64::from(part) << 48 | i64::from(settings::node()) << SEQUENCE_BITS | sequence)
    } else {
        Err(exhausted().with_detail(format!("The sequence is at {sequence}.")))
    }
}

/// Returns the error for a sequence whose next number would spill into the bits of the node.
fn exhausted() -> Error {
    let hint =
        "Set pg_workflow.node to a number that no server has ever had, and restart the sequences of schema workflow.";
    Error::refused(Code::LIMIT_EXCEEDED, "the ids of this node are exhausted", hint)
}

/// Returns the part contained in an id.
pub fn part(id: i64) -> i32 {
    (id >> 48) as i32
}

/// Returns the lowest and the highest of the given parts, which an index can use; `None` means all parts.
pub fn bounds(parts: &Option<Vec<Option<i32>>>) -> (i32, i32) {
    let parts = || parts.iter().flatten().flatten().copied();
    (parts().min().unwrap_or(0), parts().max().unwrap_or(PARTS - 1))
}

/// Groups ids by part.
pub fn by_part(ids: impl Iterator<Item = i64>) -> BTreeMap<i32, Vec<i64>> {
    let mut parts: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    ids.for_each(|id| parts.entry(part(id)).or_default().push(id));
    parts
}

/// A sequence in schema `workflow`.
#[derive(Clone, Copy)]
pub struct Sequence(pg_sys::Oid);

impl Sequence {
    /// Finds a sequence by name.
    pub fn find(name: &'static CStr) -> Sequence {
        Sequence(relation::find(name))
    }

    /// Returns a new id.
    #[allow(unsafe_code)]
    pub fn next(self, part: i32) -> Result<i64, Error> {
        // SAFETY: the argument has the type that nextval takes. An OID that is not a sequence raises an error.
        let next = || Ok(unsafe { direct_function_call::<i64>(pg_sys::nextval_oid, &[self.0.into_datum()]) });
        let next = PgTryBuilder::new(next)
            .catch_when(PgSqlErrorCode::ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED, |_| Err(exhausted()))
            .execute()?;
        let missing = || {
            Error::refused(Code::UNUSABLE, "a sequence returned no number", "Check the sequences of schema workflow.")
        };
        make(part, next.ok_or_else(missing)?)
    }
}
