//! The linear path: if an execution has only gone from one plain task to the next, each on the success of the previous
//! one, the standing of its tasks is known without looking at them.

use crate::graph::{Graph, NodeId};

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
