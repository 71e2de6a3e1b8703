//! What the conductor says of an execution's tasks at its end, beside what their rows say.

use super::{Ledger, RowStatus};
use crate::engine::state::TaskEnd;
use crate::view::task_lists::{Standing, TaskLists, TaskRow};

impl Ledger {
    /// The tasks by how they stand, from all rows.
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

    /// Lists that the conductor knew are those of the rows.
    pub(super) fn check_lists(&self) -> Option<String> {
        let known = self.known_lists.as_ref()?;
        let found = self.task_lists();
        (*known != found).then(|| format!("the lists of tasks are said to be {known:?}, and are {found:?}"))
    }
}
