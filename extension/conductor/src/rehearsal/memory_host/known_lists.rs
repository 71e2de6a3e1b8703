//! Compares the conductor's task lists at the end of an execution with the rows of its tasks.

use super::{Ledger, RowStatus};
use crate::engine::status::TaskEnd;
use crate::view::task_lists::{Standing, TaskLists, TaskRow};

impl Ledger {
    /// Returns the tasks by standing, from all rows.
    pub fn task_lists(&self) -> TaskLists {
        let rows = self.rows.iter().enumerate().map(|(id, row)| TaskRow {
            id: id as i64,
            name: self.name(row.key.node).to_owned(),
            route: row.key.route as i32,
            visit: row.key.visit as i32,
            standing: match row.status {
                RowStatus::Ended(TaskEnd::Completed) => Standing::Completed,
                RowStatus::Ended(TaskEnd::Skipped) => Standing::Skipped,
                RowStatus::Ended(TaskEnd::Cancelled) => Standing::Cancelled,
                RowStatus::Ended(TaskEnd::Failed | TaskEnd::Timeout | TaskEnd::Abandoned) => Standing::Failed,
                _ => Standing::Current,
            },
        });
        TaskLists::new(rows.collect())
    }

    /// Checks that the lists the conductor knew match the rows.
    pub(super) fn check_lists(&self) -> Option<String> {
        let known = self.known_lists.as_ref()?;
        let found = self.task_lists();
        (*known != found)
            .then(|| format!("the conductor said that the task lists are {known:?}, but they are {found:?}"))
    }
}
