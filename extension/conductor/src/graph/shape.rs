//! The shape of a graph: joins, splits, cycles, and where it starts.

use crate::graph::node::Node;
use crate::graph::node_set::NodeId;
use crate::interrupt;
use crate::language::definition::{Definition, Join};
use petgraph::graph::DiGraph;
use std::collections::BTreeSet;

/// Works out joins, splits and cycles, which depend on the graph as a whole.
pub(super) fn shape(nodes: &mut [Node], definition: &Definition) {
    let mut inbound_edges = vec![0u32; nodes.len()];
    let mut inbound_tasks = vec![BTreeSet::new(); nodes.len()];
    let mut graph = DiGraph::<(), ()>::with_capacity(nodes.len(), nodes.len());
    let indices: Vec<_> = nodes.iter().map(|_| graph.add_node(())).collect();
    for (id, node) in nodes.iter().enumerate() {
        for to in interrupt::checked(node.successors()) {
            inbound_edges[to as usize] += 1;
            inbound_tasks[to as usize].insert(id);
            graph.add_edge(indices[id], indices[to as usize], ());
        }
    }
    // kosaraju_scc keeps its own stack, so no graph makes it recurse.
    for component in petgraph::algo::kosaraju_scc(&graph) {
        let cyclic = component.len() > 1 || graph.contains_edge(component[0], component[0]);
        component.iter().for_each(|index| nodes[index.index()].in_cycle = cyclic);
    }
    let mut cyclic: Vec<_> = indices.iter().copied().filter(|index| nodes[index.index()].in_cycle).collect();
    while let Some(index) = cyclic.pop() {
        if !std::mem::replace(&mut nodes[index.index()].repeats, true) {
            cyclic.extend(graph.neighbors(index));
        }
    }
    for (id, node) in nodes.iter_mut().enumerate() {
        node.join = definition.tasks[id].join.map(|join| match join {
            Join::All => inbound_tasks[id].len() as u32,
            Join::Count(count) => count,
        });
        node.inbound = inbound_tasks[id].len() as u32;
        node.split = node.join.is_none() && inbound_edges[id] > 1 && !node.in_cycle;
    }
}

/// Returns the tasks that no transition leads to.
pub(super) fn starts(nodes: &[Node]) -> Vec<NodeId> {
    // A task that leads to itself can still be a start task.
    let successors =
        nodes.iter().enumerate().flat_map(|(id, node)| node.successors().filter(move |to| *to as usize != id));
    let reached: BTreeSet<NodeId> = successors.collect();
    (0..nodes.len() as NodeId).filter(|id| !reached.contains(id)).collect()
}
