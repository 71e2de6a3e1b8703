//! The tasks of an execution that ended on a linear path, known without looking at them.

use crate::engine::status::TaskEnd;

use crate::engine::state::TaskKey;
use crate::graph::{Graph, NodeId};
use crate::view::task_lists::TaskLists;

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
