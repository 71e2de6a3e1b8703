//! Resolving tasks manually.

use crate::argument::check_reason;
use crate::engine::resolve::Resolution;
use crate::engine::task_report::check_size;
use crate::error::Error;
use crate::pg::clock;
use crate::pg::jsonb::Jsonb;
use conductor::engine::status::TaskEnd;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::json;

/// `workflow_resolve` in `sql/control.sql`.
#[pg_extern(sql = false)]
fn workflow_resolve(
    task: Option<i64>,
    status: Option<&str>,
    result: Option<Jsonb>,
    reason: Option<&str>,
) -> Result<String, ErrorReport> {
    let task = task.ok_or_else(|| Error::missing("task"))?;
    let status = status.ok_or_else(|| Error::missing("status"))?;
    check_reason(reason)?;
    check_size("the result", result.map_or(0, Jsonb::bytes))?;
    let end = match status {
        "completed" => TaskEnd::Completed,
        "failed" => TaskEnd::Failed,
        other => {
            let detail = format!("status is {}.", other.chars().take(100).collect::<String>());
            Err(Error::out_of_range("a task cannot be resolved with this status", detail, "Use completed or failed."))?
        }
    };
    let error = json!({"type": "resolved", "message": reason.unwrap_or("resolved by hand")}).to_string();
    let error = Jsonb::from_text(&error).filter(|_| end == TaskEnd::Failed);
    let resolution = Resolution { task, end, result, error, reason };
    Spi::connect(|client| resolution.apply(client, clock::now()?))?;
    Ok(end.name().to_owned())
}
