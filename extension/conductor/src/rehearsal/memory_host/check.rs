//! Invariants of an execution and its rows that hold at any time.

use super::{Ledger, RowStatus, TaskRow};
use crate::engine::state::{Phase, TaskKey};
use crate::engine::status::{Status, TaskEnd};
use crate::graph::NodeId;

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
        if self.rows.iter().any(|row| has_stopped && row.is_pending() && !row.closing && !row.unknown) {
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
        broken.extend(self.check_undos());
        broken.extend(self.check_lists());
        broken
    }

    /// Checks that whatever must be undone is undone exactly once, and nothing else is.
    fn check_undos(&self) -> Vec<String> {
        let is_done = |row: &TaskRow| row.status == RowStatus::Ended(TaskEnd::Completed);
        let undone = |place: usize| self.rows.iter().filter(|row| row.undoes == Some(place) && is_done(row)).count();
        let phase = self.execution.state.undo.as_ref().map(|undo| undo.phase);
        let mut broken = Vec::new();
        for (place, row) in self.rows.iter().enumerate() {
            let name = self.name(row.key.node);
            let done = undone(place);
            if done > 1 || done > 0 && row.undo_number.is_none() {
                broken.push(format!("task {name} was undone {done} times"));
            }
            if done == 0 && row.undo_number.is_some() && self.over && phase == Some(Phase::Done) {
                broken.push(format!("task {name} was not undone"));
            }
            // Tasks that close an execution are not undone, nor are those that only failed.
            let must =
                is_done(row) && row.started.is_some() && self.graph.node(row.key.node).has_undo() && !row.closing;
            if must && row.undo_number.is_none() {
                broken.push(format!("task {name} has completed, but cannot be undone"));
            }
        }
        let ends = !matches!(self.status(), Status::Running | Status::Completed) && !self.execution.state.forced;
        let any = self.rows.iter().any(|row| row.undo_number.is_some());
        let is_undone = matches!(phase, Some(Phase::Done | Phase::Failed | Phase::Stopped));
        let after_success = self.has_succeeded_before_finally();
        if self.over && any && ends && self.graph.undoes_at(self.status()) && !is_undone && !after_success {
            broken.push(format!("the execution ended as {:?} without undoing anything", self.status()));
        }
        if phase.is_none() && self.rows.iter().any(|row| row.undoes.is_some()) {
            broken.push("a task was undone although nothing was to be".to_owned());
        }
        broken
    }

    /// Whether everything succeeded except the `finally` task, or what follows it.
    fn has_succeeded_before_finally(&self) -> bool {
        let is_last = |node: NodeId| self.graph.node(node).follows_finally;
        let named = self.errors.first().and_then(|(_, cause)| cause.task.as_deref());
        named.and_then(|name| self.graph.find(name)).is_some_and(is_last)
    }
}
