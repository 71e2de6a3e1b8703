//! The linear path: if an execution has only gone from one plain task to the next, each on the success of the previous
//! one, the standing of its tasks is known without looking at them.

use crate::engine::state::{TaskEnd, TaskKey};
use crate::graph::{Graph, NodeId};
use crate::view::task_lists::TaskLists;

/// Works out, for each task, which one it follows.
pub(crate) fn settle(graph: &mut Graph) {
    let mut ways = vec![Vec::new(); graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        for next in &node.next {
            let on_success = next.when.is_some_and(|when| graph.programs.source(when).trim() == "{{ succeeded() }}");
            for to in next.successors() {
                ways[to as usize].push((id as NodeId, on_success));
            }
        }
    }
    for (node, ways) in graph.nodes.iter_mut().zip(ways) {
        node.follows = match ways[..] {
            [(before, true)] if !node.repeats => Some(before),
            _ => None,
        };
    }
}

impl Graph {
    /// Returns the tasks of an execution that ended with this one, if it was the only branch from the start.
    pub(crate) fn lists_at_end(&self, last: TaskKey, end: TaskEnd) -> Option<TaskLists> {
        let mut lists = TaskLists::default();
        let name = |id: NodeId| self.node(id).name.clone();
        match end {
            TaskEnd::Completed => lists.completed.push(name(last.node)),
            TaskEnd::Failed | TaskEnd::Timeout | TaskEnd::Abandoned => lists.failed.push(name(last.node)),
            TaskEnd::Cancelled => {}
            TaskEnd::Skipped => return None,
        }
        let mut at = last.node;
        while let Some(before) = self.node(at).follows {
            // Otherwise it may have been skipped, or some of its items may have failed.
            if self.node(before).when.is_some() || self.node(before).items.is_some() {
                return None;
            }
            lists.completed.push(name(before));
            at = before;
        }
        lists.completed.reverse();
        (self.starts == [at]).then_some(lists)
    }
}
