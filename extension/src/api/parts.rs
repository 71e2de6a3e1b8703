//! Parts: which belong to this server, and which one a key belongs to.

use crate::cache::foreign_parts::{self, ForeignParts};
use crate::pg::id::PARTS;
use crate::pg::list::List;
use crate::queue::asking;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// `workflow.default_part` in `sql/parts.sql`.
#[pg_extern(sql = false)]
fn workflow_default_part(key: Option<&str>) -> Result<i32, ErrorReport> {
    Ok(foreign_parts::default_part(key)?)
}

/// `workflow.require_part` in `sql/parts.sql`.
#[pg_extern(sql = false)]
fn workflow_require_part(part: Option<i32>) -> Result<(), ErrorReport> {
    Ok(part.map_or(Ok(()), foreign_parts::check)?)
}

/// `workflow.foreign_parts` in `sql/parts.sql`.
#[pg_extern(sql = false)]
fn workflow_foreign_parts() -> Vec<i32> {
    let foreign = ForeignParts::current();
    (0..PARTS).filter(|part| foreign.contains(*part)).collect()
}

/// `workflow.await_calls` in `sql/parts.sql`.
#[pg_extern(sql = false)]
fn workflow_await_calls() -> Result<(), ErrorReport> {
    Ok(foreign_parts::await_calls()?)
}

/// `workflow.check_parts` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_check_parts(parts: Option<List<i32>>) -> Result<(), ErrorReport> {
    asking::check_parts(parts)?;
    Ok(())
}
