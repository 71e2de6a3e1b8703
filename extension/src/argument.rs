//! What arguments may be: how long a text is, how many there are in a list.

use crate::error::Error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The most bytes of what stands in an index, where PostgreSQL takes no more than about 2700.
pub const MOST_KEY_BYTES: usize = 1_000;

/// The most bytes of the name that a worker goes by, which every lease has.
pub const MOST_WORKER_BYTES: usize = 200;

/// The most actions that a claim may name.
pub const MOST_ACTIONS: usize = 1_000;

/// The most bytes of the reason that somebody gives.
const MOST_REASON_BYTES: usize = 10_000;

/// The most elements of any other list.
pub const MOST_ELEMENTS: usize = 10_000;

/// Refuses a text that is longer than so many bytes.
pub fn check_length(name: &str, text: &str, most: usize) -> Result<(), Error> {
    if text.len() <= most {
        return Ok(());
    }
    let (message, hint) = (format!("{name} is too long"), format!("give at most {most} bytes"));
    Err(Error::refused("WF613", message, hint).with_detail(format!("{name} has {} bytes", text.len())))
}

/// Refuses a list of more than so many elements.
pub fn check_count(name: &str, count: usize, most: usize) -> Result<(), Error> {
    if count <= most {
        return Ok(());
    }
    let (message, hint) = (format!("too many {name}"), format!("give at most {most}"));
    Err(Error::refused("WF614", message, hint).with_detail(format!("there are {count}")))
}

/// Refuses a reason that is too long.
pub fn check_reason(reason: Option<&str>) -> Result<(), Error> {
    reason.map_or(Ok(()), |reason| check_length("reason", reason, MOST_REASON_BYTES))
}

/// `workflow.check_key` in `sql/functions.sql`.
#[pg_extern(sql = false)]
fn workflow_check_key(name: Option<&str>, value: Option<&str>) -> Result<(), ErrorReport> {
    if let Some(value) = value {
        check_length(name.unwrap_or("value"), value, MOST_KEY_BYTES)?;
    }
    Ok(())
}
