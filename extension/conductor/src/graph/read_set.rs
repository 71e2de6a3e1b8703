//! What a step may read. This is known before the step is taken, so that everything can be loaded at once for a whole
//! batch.
//!
//! It is an estimate: a step that needs something that was not loaded reports this, and is repeated with all facts.

use crate::expression::Programs;
use crate::graph::needs::Needs;
use crate::graph::node::{Node, Target};
use crate::graph::{Graph, NodeId};
use crate::interrupt;
use std::collections::BTreeSet;

/// Works out what every task of a graph may read.
pub fn settle(graph: &mut Graph) {
    let programs = &graph.programs;
    let mut output = Needs::default();
    output.renderings(programs, graph.output.iter().map(|(_, value)| value));
    let scheduling: Vec<Needs> = graph.nodes.iter().map(|node| scheduling(node, programs)).collect();
    let finishing: Vec<Needs> = graph.nodes.iter().map(|node| finishing(node, programs)).collect();
    let mut start = Needs::default();
    start.renderings(programs, graph.vars.iter().chain(&graph.attributes).map(|(_, value)| value));
    start.renderings(programs, &graph.fair_by);
    start.renderings(programs, graph.concurrency.iter().filter_map(|concurrency| concurrency.key.as_ref()));
    let mut walk = Walk { graph, scheduling: &scheduling, finishing: &finishing, output: &output };
    for node in &graph.starts {
        walk.schedule(*node, &mut start, &mut BTreeSet::new());
    }
    let needs: Vec<(Needs, Needs)> =
        (0..graph.nodes.len() as NodeId).map(|node| (walk.after(node, true), walk.after(node, false))).collect();
    for (node, (success, failure)) in graph.nodes.iter_mut().zip(needs) {
        node.success_needs = success;
        // If the failure is not handled, the workflow's error quotes what was reported.
        node.failure_needs = Needs { result: true, ..failure };
    }
    let any = |needs: &Needs| needs.any_task();
    graph.reads_tasks = any(&start) || any(&output) || finishing.iter().chain(&scheduling).any(any);
    graph.start_needs = start;
    graph.output_needs = output;
}

/// Returns what making a task ready reads.
fn scheduling(node: &Node, programs: &Programs) -> Needs {
    let mut needs = Needs::default();
    needs.renderings(
        programs,
        [&node.action, &node.signal, &node.input, &node.delay, &node.timeout].into_iter().flatten(),
    );
    needs.renderings(programs, node.limits.iter().filter_map(|(_, key)| key.as_ref()));
    if let Some(when) = node.when {
        needs.program(programs, when);
    }
    if let Some(items) = &node.items {
        needs.rendering(programs, &items.items);
        needs.renderings(programs, [&items.label, &items.concurrency, &items.batch_size].into_iter().flatten());
    }
    if let Some(retry) = &node.retry {
        needs.rendering(programs, &retry.count);
    }
    needs
}

/// Returns what continuing from a task reads.
fn finishing(node: &Node, programs: &Programs) -> Needs {
    let mut needs = Needs::default();
    needs.renderings(programs, node.publish.iter().map(|(_, value)| value));
    needs.publishes = !node.publish.is_empty() || node.next.iter().any(|next| !next.publish.is_empty());
    for next in &node.next {
        needs.renderings(programs, next.publish.iter().map(|(_, value)| value));
        needs.renderings(programs, next.error.iter());
        if let Some(when) = next.when {
            needs.program(programs, when);
        }
    }
    if let Some(retry) = &node.retry {
        needs.renderings(programs, retry.delay.iter());
        if let Some(when) = retry.when {
            needs.program(programs, when);
        }
    }
    if let Some(call) = node.undo.as_ref().and_then(|undo| undo.call.as_ref()) {
        needs.renderings(programs, call.renderings());
    }
    if let Some(repeat) = &node.repeat {
        needs.renderings(programs, repeat.delay.iter().chain([&repeat.max]));
        needs.program(programs, repeat.until);
        needs.renderings(programs, node.input.iter().filter(|_| node.renders_each_input));
    }
    needs
}

struct Walk<'a> {
    graph: &'a Graph,
    scheduling: &'a [Needs],
    finishing: &'a [Needs],
    output: &'a Needs,
}

impl Walk<'_> {
    fn after(&mut self, node: NodeId, succeeded: bool) -> Needs {
        let mut needs = self.finishing[node as usize].clone();
        let mut seen = BTreeSet::new();
        if !(succeeded && self.surely_continues(node)) {
            needs.merge(self.output);
        }
        for to in self.graph.node(node).successors() {
            self.schedule(to, &mut needs, &mut seen);
        }
        // The task's own result is the one that was reported.
        needs.result |= needs.tasks.remove(&self.graph.node(node).name) || needs.all_tasks;
        needs
    }

    /// Adds what scheduling a task reads and, if the engine ends it at once, what follows from that. The stack is
    /// explicit: a chain of routing tasks may be as long as the graph.
    fn schedule(&mut self, node: NodeId, needs: &mut Needs, seen: &mut BTreeSet<NodeId>) {
        let mut stack = vec![node];
        while let Some(id) = stack.pop() {
            interrupt::check();
            if !seen.insert(id) {
                continue;
            }
            needs.merge(&self.scheduling[id as usize]);
            let node = self.graph.node(id);
            if node.is_routing() || node.when.is_some() || node.items.is_some() {
                needs.merge(&self.finishing[id as usize]);
                if !self.surely_continues(id) {
                    needs.merge(self.output);
                }
                stack.extend(node.successors());
            }
        }
    }

    /// Whether success is certain to lead to another task.
    fn surely_continues(&self, node: NodeId) -> bool {
        self.graph.node(node).next.iter().any(|next| {
            let sure = match next.when {
                None => true,
                Some(when) => {
                    matches!(self.graph.programs.source(when).trim(), "{{ succeeded() }}" | "{{ completed() }}")
                }
            };
            sure && next.targets.iter().any(|target| matches!(target, Target::Task(..)))
        })
    }
}
