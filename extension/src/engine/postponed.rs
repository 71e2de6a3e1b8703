//! Tasks that the engine executes itself, but not in this call.

use crate::error::Error;
use crate::pg::statements;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;

/// Leaves tasks to the next tick.
pub fn postpone(client: &SpiClient, now: TimestampWithTimeZone, tasks: Vec<i64>) -> Result<(), Error> {
    if !tasks.is_empty() {
        statements::run(client, include_str!("../../queries/postpone_tasks.sql"), &[tasks.into(), now.into()])?;
    }
    Ok(())
}
