//! Which tasks still run once an execution has stopped: those that only a failure leads to.
//!
//! A task that can also be reached without a failure is on a forward path. All others close the execution: handlers of
//! failures, tasks listed beside `fail`, the `finally` task, and what follows from any of them.

use crate::expression::template::may_hold_after;
use crate::graph::node::{Node, Target, Transition};
use crate::graph::{Graph, NodeId};
use crate::interrupt;

/// Works out which tasks close an execution.
pub(crate) fn settle(graph: &mut Graph) {
    let forward = reached(graph, &graph.starts, |from, next| !fails(next) && fires_without_failure(graph, from, next));
    // Paths through `fail` are left out: a rerun learns of the tasks behind them only through the failure itself.
    let handled = reached(graph, &graph.starts, |_, next| !fails(next));
    let last: Vec<NodeId> = graph.finally.into_iter().collect();
    let last = reached(graph, &last, |_, _| true);
    for (id, node) in graph.nodes.iter_mut().enumerate() {
        node.closing = !forward[id];
        node.beside_fail = !handled[id];
        node.follows_finally = last[id] && !forward[id];
    }
    let handles: Vec<bool> = graph.nodes.iter().map(|node| handles_failures(graph, node)).collect();
    for (node, handles) in graph.nodes.iter_mut().zip(handles) {
        node.handles_failures = handles;
    }
}

/// Whether the failure of a task may start others.
fn handles_failures(graph: &Graph, node: &Node) -> bool {
    let ends = ["failed", "timeout", "abandoned", "cancelled"];
    let fires = |next: &&Transition| {
        let source = next.when.map(|when| graph.programs.source(when));
        source.is_none_or(|source| ends.iter().any(|end| may_hold_after(source, end, &graph.bounds)))
    };
    node.next.iter().filter(fires).any(|next| next.successors().next().is_some())
}

/// Returns which tasks can be reached from the given ones by transitions that lead on.
fn reached(graph: &Graph, from: &[NodeId], leads_on: impl Fn(&Node, &Transition) -> bool) -> Vec<bool> {
    let mut reached = vec![false; graph.nodes.len()];
    let mut open = from.to_vec();
    while let Some(id) = open.pop() {
        interrupt::check();
        if !std::mem::replace(&mut reached[id as usize], true) {
            let node = graph.node(id);
            open.extend(node.next.iter().filter(|next| leads_on(node, next)).flat_map(Transition::successors));
        }
    }
    reached
}

fn fails(next: &Transition) -> bool {
    next.targets.contains(&Target::Fail)
}

/// Whether a transition may fire although its task has not failed.
fn fires_without_failure(graph: &Graph, from: &Node, next: &Transition) -> bool {
    let Some(when) = next.when else { return true };
    let source = graph.programs.source(when);
    let ends: &[&str] = if from.when.is_some() { &["completed", "skipped"] } else { &["completed"] };
    ends.iter().any(|end| may_hold_after(source, end, &graph.bounds))
}
