//! Tasks in the queue that must not be there: their executions were paused or stopped during a claim that was then
//! rolled back.

use crate::engine::due::{end, lock_runs};
use crate::error::Error;
use crate::limits::admit::pass_up_slots;
use crate::pg::rows::numbers;
use crate::pg::statements;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;

/// Removes stray tasks from the queue of a part, starting at a given position: tasks whose execution was paused or
/// stopped while they were claimed by a transaction that then rolled back. They wait for the end of the pause, or end
/// as `cancelled`. Returns whether there were any.
pub fn put_back_strays(
    client: &SpiClient,
    part: i32,
    actions: Vec<String>,
    now: TimestampWithTimeZone,
    (time, id): (TimestampWithTimeZone, i64),
) -> Result<bool, Error> {
    let arguments = [part.into(), actions.into(), time.into(), id.into()];
    let strays = numbers(statements::run(client, include_str!("../../queries/find_strays.sql"), &arguments)?, 1)?;
    if strays.is_empty() {
        return Ok(false);
    }
    pass_up_slots(client, now, strays.clone())?;
    let locked: Vec<i64> = lock_runs(client, strays.clone())?.into_iter().collect();
    let arguments = [part.into(), strays.into(), locked.into(), now.into()];
    let ended = numbers(statements::run(client, include_str!("../../queries/dequeue_strays.sql"), &arguments)?, 1)?;
    end(client, now, ended.into_iter().map(|task| (task, "cancelled", None)))?;
    Ok(true)
}
