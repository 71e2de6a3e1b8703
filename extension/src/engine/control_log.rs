//! Events about operations that control executions.

use crate::engine::bulk;
use crate::error::Error;
use crate::pg::statements;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;

/// Logs an operation on a locked execution and on the executions that it reached from there.
pub fn add(
    client: &SpiClient,
    execution: i64,
    what: &str,
    message: Option<&str>,
    detail: Option<String>,
    reached: Vec<i64>,
    now: TimestampWithTimeZone,
) -> Result<(), Error> {
    let (detail, reached, author) = (detail.into(), reached.into(), bulk::author().into());
    let arguments = [execution.into(), what.into(), message.into(), detail, now.into(), reached, author];
    statements::run(client, include_str!("../../queries/log_control.sql"), &arguments)?;
    Ok(())
}
