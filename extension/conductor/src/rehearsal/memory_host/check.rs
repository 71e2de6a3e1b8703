//! Invariants of an execution and its rows, which hold at any moment.

use super::{Ledger, RowStatus, TaskRow};
use crate::engine::state::{Status, TaskKey};

impl Ledger {
    /// Returns the broken invariants; empty if all is well.
    pub fn check(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let live_rows = self.rows.iter().filter(|row| !matches!(row.status, RowStatus::Ended(_))).count();
        if self.over && live_rows > 0 {
            broken.push(format!("the execution has ended, but {live_rows} of its tasks are live"));
        }
        let mut keys: Vec<(TaskKey, Option<u32>)> = self.rows.iter().map(|row| (row.key, row.index)).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|two| two[0] == two[1]) {
            broken.push("a task ran twice on one route and visit, or a join fired twice".to_owned());
        }
        let mut live: Vec<TaskKey> =
            self.rows.iter().filter(|row| !matches!(row.status, RowStatus::Ended(_))).map(|row| row.key).collect();
        live.sort_unstable();
        live.dedup();
        if !self.over && live.len() as u32 != self.execution.state.live {
            broken.push(format!("{} tasks are live, but the state says {}", live.len(), self.execution.state.live));
        }
        let has_stopped = self.execution.status != Status::Running;
        if self.rows.iter().any(|row| has_stopped && row.is_pending() && !row.closing) {
            broken.push("a task waits on a way forward although the execution has stopped".to_owned());
        }
        if self.rows.iter().any(|row| self.execution.state.forced && row.is_pending()) {
            broken.push("a task waits although the execution was stopped by force".to_owned());
        }
        let waits_for = |row: &TaskRow, name: &str| {
            row.begun && row.status == RowStatus::Ready && row.signal.as_deref() == Some(name)
        };
        for signal in self.signals.iter().filter(|signal| signal.taken_by.is_none()) {
            if self.rows.iter().any(|row| waits_for(row, &signal.name)) {
                broken.push(format!("signal {} is kept while a task waits for it", signal.name));
            }
        }
        for progress in &self.execution.state.items {
            let of_task = self.rows.iter().filter(|row| row.key == progress.key);
            let active = of_task
                .filter(|row| matches!(row.status, RowStatus::Delayed | RowStatus::Ready | RowStatus::Running))
                .count();
            if progress.concurrency > 0 && active as u32 > progress.concurrency {
                broken
                    .push(format!("{active} items of a task are active, but at most {} may be", progress.concurrency));
            }
        }
        broken.extend(self.check_lists());
        broken
    }
}
