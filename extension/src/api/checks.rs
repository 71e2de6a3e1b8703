//! Checks of arguments, and errors, for functions written in SQL.

use crate::argument::{MAX_KEY_BYTES, check_length};
use crate::engine::attributes;
use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use conductor::code::Code;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// `workflow.check_key` in `sql/internal_functions.sql`.
#[pg_extern(sql = false)]
fn workflow_check_key(name: Option<&str>, value: Option<&str>) -> Result<(), ErrorReport> {
    if let Some(value) = value {
        check_length(name.unwrap_or("value"), value, MAX_KEY_BYTES)?;
    }
    Ok(())
}

/// `workflow.check_attributes` in `sql/attributes.sql`.
#[pg_extern(sql = false)]
fn workflow_check_attributes(attributes: Option<Jsonb>) -> Result<(), ErrorReport> {
    Ok(attributes::check(attributes)?)
}

/// `workflow.raise_error` in `sql/internal_functions.sql`.
#[pg_extern(sql = false)]
fn raise_error(
    code: Option<&str>,
    message: Option<&str>,
    detail: Option<&str>,
    hint: Option<&str>,
) -> Result<(), ErrorReport> {
    Err(Error::Refused {
        code: code.and_then(|code| code.parse().ok()).unwrap_or(Code::INVALID_ARGUMENT),
        message: message.unwrap_or_default().to_owned(),
        detail: detail.map(str::to_owned),
        hint: hint.map(str::to_owned),
    }
    .into())
}
