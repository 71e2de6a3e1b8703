//! Joins that, once they have fired, cancel all tasks that could still lead to them.

use crate::graph::node_set::NodeSet;
use crate::graph::{Graph, NodeId};
use crate::interrupt;
use crate::language::definition::{Definition, Rest};

/// Works out what each such join cancels: all tasks on the paths to it, except those that close the execution.
pub(crate) fn settle(graph: &mut Graph, definition: &Definition) {
    let wanted = definition.tasks.iter().enumerate().filter(|(_, task)| task.join_rest == Rest::Cancel);
    let joins: Vec<NodeId> = wanted.map(|(id, _)| id as NodeId).collect();
    if joins.is_empty() {
        return;
    }
    let mut inbound: Vec<Vec<NodeId>> = vec![Vec::new(); graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        interrupt::checked(node.successors()).for_each(|to| inbound[to as usize].push(id as NodeId));
    }
    for join in &joins {
        let mut seen = vec![false; graph.nodes.len()];
        let mut open = inbound[*join as usize].clone();
        let (mut before, mut cancels) = (NodeSet::default(), NodeSet::default());
        while let Some(id) = open.pop() {
            interrupt::check();
            if id != *join && !std::mem::replace(&mut seen[id as usize], true) {
                open.extend(&inbound[id as usize]);
                before.insert(id);
                if !graph.node(id).closing {
                    cancels.insert(id);
                }
            }
        }
        graph.nodes[*join as usize].cancels = Some(cancels);
        graph.cancelling_joins.push((*join, before));
    }
}
