//! The tasks that undo completed ones: one for each task that has an `undo`, and one for each task that may call a
//! workflow, which undoes itself with its own undos.

use crate::expression::Sources;
use crate::graph::Graph;
use crate::graph::compile_task::compile_retry;
use crate::graph::needs::Needs;
use crate::graph::node::{Node, Undo, UndoCall};
use crate::graph::node_set::NodeId;
use crate::interrupt;
use crate::language::definition::{Definition, UndoOn};
use std::collections::HashMap;

/// Prefix before the name of the task that is undone. No name in a definition contains a colon.
const PREFIX: &str = "undo:";

/// Returns the name of the task that undoes another one.
pub(crate) fn undo_name(task: &str) -> String {
    format!("{PREFIX}{task}")
}

/// Returns the ends of a workflow at which completed tasks are undone.
pub(crate) fn undo_on(definition: &Definition) -> Vec<UndoOn> {
    definition.undo_on.clone().unwrap_or_else(|| vec![UndoOn::Failed, UndoOn::Timeout, UndoOn::Cancelled])
}

/// Adds the tasks that undo others.
pub(crate) fn add(
    nodes: &mut Vec<Node>,
    by_name: &mut HashMap<String, NodeId>,
    definition: &Definition,
    sources: &mut Sources,
) {
    for (id, task) in interrupt::checked(&definition.tasks).enumerate() {
        if task.undo.is_none() && task.action.is_none() {
            continue;
        }
        let node = nodes.len() as NodeId;
        let call = task.undo.as_ref().map(|undo| UndoCall {
            action: sources.rendering(&serde_json::Value::String(undo.action.clone())),
            input: (!undo.input.is_null()).then(|| sources.rendering(&undo.input)),
            timeout: undo.timeout.as_ref().map(|timeout| sources.rendering(timeout)),
            retries: undo.retry.as_ref().map(|retry| sources.rendering(&retry.count)),
            when_unknown: undo.when_unknown,
            reads_input: false,
            reads_item: false,
        });
        let name = undo_name(&task.name);
        by_name.insert(name.clone(), node);
        nodes.push(Node {
            name,
            action: call.as_ref().map(|call| call.action.clone()),
            timeout: call.as_ref().and_then(|call| call.timeout.clone()),
            retry: task.undo.as_ref().and_then(|undo| undo.retry.as_ref()).map(|spec| compile_retry(spec, sources)),
            undoes: Some(id as NodeId),
            closing: true,
            priority: task.undo.as_ref().map_or(task.priority, |undo| undo.priority),
            max_lost_leases: task.undo.as_ref().and_then(|undo| undo.max_lost_leases),
            ..Node::default()
        });
        nodes[id].undo = Some(Undo { node, call });
    }
}

/// Works out what the undo of each task reads beyond the variables.
pub(crate) fn settle(graph: &mut Graph) {
    let programs = &graph.programs;
    for node in &mut graph.nodes {
        let Some(call) = node.undo.as_mut().and_then(|undo| undo.call.as_mut()) else { continue };
        let mut needs = Needs::default();
        needs.renderings(programs, call.renderings());
        (call.reads_input, call.reads_item) = (needs.input, needs.item);
    }
}
