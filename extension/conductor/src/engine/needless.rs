//! Work that is no longer needed, because enough other tasks have led to a join, or enough other items have
//! completed. It is cancelled, or may finish; its outcome does not count.

use crate::engine::commands::{Rest, Start};
use crate::engine::conductor::Conductor;
use crate::engine::state::{Execution, Progress, TaskKey};
use crate::expression::Data;
use crate::graph::node_set::NodeSet;
use crate::graph::{Graph, NodeId};
use crate::language::definition::Rest as Rule;

/// Returns the error of a task or item that was cancelled because it was no longer needed.
pub fn not_needed() -> Data {
    let message = Data::from("enough others have completed");
    Data::from_pairs([("type", Data::from("not_needed")), ("message", message)])
}

/// Whether the outcome of a task does not matter, given its route, because it is on the way to a join that has fired
/// and cancels the rest. Tasks that close an execution matter once that has stopped.
fn is_needless(graph: &Graph, execution: &Execution, node: NodeId, route: u32) -> bool {
    let is_before =
        |(join, before): &(NodeId, NodeSet)| before.contains(node) && execution.state.has_fired(*join, route);
    graph.cancelling_joins.iter().any(is_before) && !(graph.node(node).closing && execution.has_stopped())
}

/// Whether a task, or one of its items, need not be taken over if its worker is lost: because its outcome does not
/// matter, or because enough of its items have completed.
pub fn need_not_be_retried(graph: &Graph, execution: &Execution, key: TaskKey, is_item: bool) -> bool {
    let progress = || execution.state.items.iter().find(|progress| progress.key == key);
    is_needless(graph, execution, key.node, key.route) || is_item && progress().is_some_and(Progress::has_enough)
}

impl Conductor<'_> {
    /// Whether the outcome of a task does not matter, given its route.
    pub(crate) fn is_needless(&self, node: NodeId, route: u32) -> bool {
        is_needless(self.graph, &self.execution, node, route)
    }

    /// Cancels the tasks that are not needed because a join has fired.
    pub(crate) fn cancel_rest(&mut self, join: NodeId, route: u32) {
        let Some(cancels) = &self.graph.node(join).cancels else { return };
        let rest = cancels.iter().map(|node| Rest { node, route, visit: None, running: true });
        self.changes.rest.extend(rest);
        // A rerun resumes none of them.
        let failures = std::mem::take(&mut self.execution.state.failures);
        let matters = |key: &TaskKey| !self.is_needless(key.node, key.route);
        self.execution.state.failures = failures.into_iter().filter(matters).collect();
        // Tasks that this event has scheduled never existed; others are withdrawn as if they had rows.
        self.changes.scheduled_before = self.scheduled_before;
        for (place, task) in std::mem::take(&mut self.changes.scheduled).into_iter().enumerate() {
            let is_meant = task.key.route == route && cancels.contains(task.key.node);
            if place < self.scheduled_before || matches!(task.start, Start::Ended(..)) || !is_meant {
                self.changes.scheduled.push(task);
                continue;
            }
            let state = &mut self.execution.state;
            let items = state.items.len();
            state.items.retain(|progress| progress.key != task.key);
            state.live -= u32::from(task.index.is_none() || state.items.len() < items);
        }
    }

    /// Ends the waiting items of a task of which enough have completed, and the running ones if its rule says so.
    pub(crate) fn stop_items(&mut self, key: TaskKey) {
        let TaskKey { node, route, visit } = key;
        let items = self.graph.node(node).items.as_ref();
        let running = items.is_some_and(|items| items.rest == Rule::Cancel);
        self.changes.rest.push(Rest { node, route, visit: Some(visit), running });
    }
}

impl Progress {
    /// Whether enough items have completed.
    pub(crate) fn has_enough(&self) -> bool {
        let completed = self.ended - self.failed - self.cancelled - self.withdrawn;
        self.needed.is_some_and(|needed| completed >= needed)
    }
}
