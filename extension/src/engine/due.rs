//! Due work: where to look for it, and how to lock and end it. What happens when its time has come is in
//! [`timeouts`](crate::engine::timeouts) and in the modules that [`tick`](crate::engine::tick) calls.

use crate::engine::finish::finish;
use crate::engine::task_report::{TaskReport, WorkerReport};
use crate::error::Error;
use crate::pg::id;
use crate::pg::jsonb::Jsonb;
use crate::pg::rows::numbers;
use crate::pg::statements;
use crate::store::reporter::Reporter;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::spi::SpiClient;
use std::collections::BTreeSet;

/// Scope of a tick: where to look, and for how many rows.
pub struct TickScope<'c, 'conn> {
    pub client: &'c SpiClient<'conn>,
    pub now: TimestampWithTimeZone,
    pub max_rows: i32,
    /// Parts to look in; `None` means everywhere.
    pub parts: Option<Vec<Option<i32>>>,
    /// Whether to delete executions whose retention has expired; these are found by workflow, not by part.
    pub deletes: bool,
}

impl TickScope<'_, '_> {
    /// Returns the arguments of a statement that finds due work. An index can use the lowest and the highest part.
    pub fn arguments(&self) -> [DatumWithOid<'static>; 5] {
        let (lowest, highest) = id::bounds(&self.parts);
        [self.max_rows.into(), self.now.into(), self.parts.clone().into(), lowest.into(), highest.into()]
    }
}

/// Locks the workflow executions of tasks, skipping those that someone else has locked, and returns their ids.
pub fn lock_runs(client: &SpiClient, tasks: Vec<i64>) -> Result<BTreeSet<i64>, Error> {
    let rows = statements::run(client, include_str!("../../queries/try_lock_task_runs.sql"), &[tasks.into()])?;
    Ok(numbers(rows, 1)?.into_iter().collect())
}

/// Ends tasks through the engine's own reports. Each task comes with its final status and its error.
pub fn end(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    tasks: impl Iterator<Item = (i64, &'static str, Option<String>)>,
) -> Result<(), Error> {
    let outcome = |(task, status, error): (i64, &'static str, Option<String>)| {
        let error = error.as_deref().and_then(Jsonb::from_text);
        let (task, status) = (Some(task), Some(status.to_owned()));
        TaskReport::of_worker(WorkerReport { task, status, error, ..WorkerReport::default() })
    };
    let outcomes: Vec<TaskReport> = tasks.map(outcome).collect();
    if !outcomes.is_empty() {
        finish(client, outcomes, now, Reporter::Engine, None)?;
    }
    Ok(())
}
