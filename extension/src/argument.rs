//! Limits on arguments: the length of texts, and the number of elements in lists.

use crate::error::Error;
use conductor::code::Code;

/// Maximum length of indexed text, in bytes. PostgreSQL allows index entries of at most about 2700 bytes.
pub const MAX_KEY_BYTES: usize = 1_000;

/// Maximum length of a worker's name, which every lease contains, in bytes.
pub const MAX_WORKER_BYTES: usize = 200;

/// Maximum number of actions that a claim may name.
pub const MAX_ACTIONS: usize = 1_000;

/// Maximum length of a reason, in bytes.
const MAX_REASON_BYTES: usize = 10_000;

/// Maximum number of elements of any other list.
pub const MAX_ELEMENTS: usize = 10_000;

/// Refuses a text that is longer than `most` bytes.
pub fn check_length(name: &str, text: &str, most: usize) -> Result<(), Error> {
    if text.len() <= most {
        return Ok(());
    }
    let (message, hint) = (format!("{name} is too long"), format!("Use at most {most} bytes."));
    Err(Error::refused(Code::INVALID_ARGUMENT, message, hint).with_detail(format!("It has {} bytes.", text.len())))
}

/// Refuses a list of more than `most` elements.
pub fn check_count(name: &str, count: usize, most: usize) -> Result<(), Error> {
    if count <= most {
        return Ok(());
    }
    let (message, hint) = (format!("too many {name}"), format!("Pass at most {most}."));
    Err(Error::refused(Code::LIMIT_EXCEEDED, message, hint).with_detail(format!("There are {count}.")))
}

/// Refuses a reason that is too long.
pub fn check_reason(reason: Option<&str>) -> Result<(), Error> {
    reason.map_or(Ok(()), |reason| check_length("reason", reason, MAX_REASON_BYTES))
}
