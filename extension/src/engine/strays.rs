//! Tasks in the queue that should not be there: their executions were paused or stopped during a claim that was then
//! rolled back.

use crate::engine::due::{end, lock_runs};
use crate::error::Error;
use crate::limits::admit::pass_up_slots;
use crate::pg::id;
use crate::pg::rows::numbers;
use crate::pg::statements;
use crate::queue::scan_start::Place;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::BTreeSet;

/// The queue of some actions in a part, starting at a place.
pub struct Queue {
    pub part: i32,
    pub actions: Vec<String>,
    pub place: Place,
}

/// Removes stray tasks from queues: tasks whose execution was paused or stopped while they were claimed by a
/// transaction that then rolled back. They wait for the end of the pause, or end as `cancelled`. Returns the parts that
/// had any.
pub fn put_back_strays(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    queues: &[Queue],
) -> Result<BTreeSet<i32>, Error> {
    if queues.is_empty() {
        return Ok(BTreeSet::new());
    }
    let parts: Vec<i32> = queues.iter().map(|queue| queue.part).collect();
    let (times, ids): (Vec<TimestampWithTimeZone>, Vec<i64>) = queues.iter().map(|queue| queue.place).unzip();
    // An action that is missing from one of the parts had no queued tasks there.
    let actions: BTreeSet<&str> = queues.iter().flat_map(|queue| &queue.actions).map(String::as_str).collect();
    let arguments = [parts.into(), times.into(), ids.into(), actions.into_iter().collect::<Vec<_>>().into()];
    let strays = numbers(statements::run(client, include_str!("../../queries/find_strays.sql"), &arguments)?, 1)?;
    if strays.is_empty() {
        return Ok(BTreeSet::new());
    }
    pass_up_slots(client, strays.clone())?;
    let locked: Vec<i64> = lock_runs(client, strays.clone())?.into_iter().collect();
    let arguments = [strays.clone().into(), locked.into(), now.into()];
    let ended = numbers(statements::run(client, include_str!("../../queries/dequeue_strays.sql"), &arguments)?, 1)?;
    end(client, now, ended.into_iter().map(|task| (task, "cancelled", None)))?;
    Ok(strays.into_iter().map(id::part).collect())
}
