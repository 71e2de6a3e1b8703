//! `workflow_signal`.

use crate::argument::{MAX_KEY_BYTES, check_length};
use crate::engine::signal::Signal;
use crate::engine::task_report::check_size;
use crate::error::Error;
use crate::pg::clock;
use crate::pg::jsonb::Jsonb;
use conductor::code::Code;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// `workflow_signal` in `sql/signal.sql`.
#[pg_extern(sql = false)]
fn workflow_signal(
    execution: Option<i64>,
    name: Option<&str>,
    payload: Option<Jsonb>,
    key: Option<&str>,
    error: Option<Jsonb>,
) -> Result<String, ErrorReport> {
    let name = name.ok_or_else(|| Error::missing("name"))?;
    let execution = execution.ok_or_else(|| Error::missing("execution_id"))?;
    check_length("name", name, MAX_KEY_BYTES)?;
    key.map_or(Ok(()), |key| check_length("key", key, MAX_KEY_BYTES))?;
    check_size("the payload", payload.map_or(0, Jsonb::bytes))?;
    check_size("the error", error.map_or(0, Jsonb::bytes))?;
    if payload.is_some() && error.is_some() {
        Err(Error::refused(
            Code::INVALID_ARGUMENT,
            "payload and error cannot be combined",
            "Pass payload to complete the task, or error to fail it.",
        ))?;
    }
    let now = clock::now()?;
    let answer = Spi::connect(|client| Signal { execution, name, key, payload, error }.send(client, now))?;
    Ok(answer.to_owned())
}
