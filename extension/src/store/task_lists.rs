//! Lists of the tasks of executions by their current status, built from their rows.

use crate::error::Error;
use crate::pg::id;
use crate::pg::statements;
use conductor::view::task_lists::{Standing, TaskLists, TaskRow};
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// Loads the lists of those workflow executions that have tasks.
pub fn load(client: &SpiClient, workflow_executions: &[i64]) -> Result<BTreeMap<i64, TaskLists>, Error> {
    let mut tasks: BTreeMap<i64, Vec<TaskRow>> = BTreeMap::new();
    for (part, runs) in id::by_part(workflow_executions.iter().copied()) {
        let mut rows =
            statements::run(client, include_str!("../../queries/list_tasks.sql"), &[part.into(), runs.into()])?;
        while rows.next().is_some() {
            let row = TaskRow {
                id: rows.get::<i64>(2)?.unwrap_or_default(),
                name: rows.get::<String>(3)?.unwrap_or_default(),
                route: rows.get::<i32>(4)?.unwrap_or_default(),
                visit: rows.get::<i32>(5)?.unwrap_or_default(),
                standing: match rows.get::<i32>(6)? {
                    Some(0) => Standing::Skipped,
                    Some(1) => Standing::Completed,
                    Some(2) => Standing::Cancelled,
                    Some(3) => Standing::Failed,
                    _ => Standing::Current,
                },
            };
            tasks.entry(rows.get::<i64>(1)?.unwrap_or_default()).or_default().push(row);
        }
    }
    Ok(tasks.into_iter().map(|(id, rows)| (id, TaskLists::new(rows))).collect())
}
