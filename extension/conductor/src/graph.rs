//! A definition compiled into what the conductor walks: numbered tasks, transitions, programs, and what each step
//! needs.

pub(crate) mod cancelling_joins;
mod closing;
mod compile;
mod compile_task;
pub(crate) mod linear_path;
pub mod needs;
pub mod node;
pub(crate) mod node_set;
mod read_set;
mod shape;
pub(crate) mod undo;

use crate::bounds::Bounds;
use crate::expression::{Programs, Rendering};
use crate::graph::needs::Needs;
pub use crate::graph::node::Node;
pub use crate::graph::node_set::NodeId;
use crate::graph::node_set::NodeSet;
use crate::interrupt;
use crate::language::definition::{CancellationPolicy, Definition, RerunRule, UndoOn, UndoOrder, WhenFull};
use crate::language::schema::Schema;
use std::collections::HashMap;

/// A compiled definition.
pub struct Graph {
    /// The workflow's ref.
    pub reference: String,
    /// Schema of the parameters.
    pub parameters: Option<Schema>,
    /// Schema of the output.
    pub output_schema: Option<Schema>,
    /// Seconds that the whole workflow may take.
    pub timeout: Option<u64>,
    /// What a cancel does to running tasks.
    pub cancellation_policy: CancellationPolicy,
    /// Whether an execution that ended unsuccessfully may be rerun.
    pub rerun: RerunRule,
    /// The tasks, in source order, followed by those that undo them.
    pub nodes: Vec<Node>,
    /// Tasks that no transition leads to, sorted by name.
    pub starts: Vec<NodeId>,
    /// The task that runs once at the end, whatever the outcome.
    pub finally: Option<NodeId>,
    /// The ends at which completed tasks are undone.
    pub undo_on: Vec<UndoOn>,
    /// The order in which tasks are undone.
    pub undo_order: UndoOrder,
    /// Variables set at the start.
    pub vars: Vec<(String, Rendering)>,
    /// The output.
    pub output: Vec<(String, Rendering)>,
    /// The attributes of an execution.
    pub attributes: Vec<(String, Rendering)>,
    /// All templates and conditions.
    pub programs: Programs,
    /// Whether any expression reads other tasks.
    pub reads_tasks: bool,
    /// Maximum number of times a task may run in one execution.
    pub max_visits: u32,
    /// Limits on the data of an execution.
    pub bounds: Bounds,
    /// What rendering the output reads.
    pub output_needs: Needs,
    /// What starting reads.
    pub start_needs: Needs,
    /// Joins that cancel the rest, each with all tasks on the paths to it.
    pub cancelling_joins: Vec<(NodeId, NodeSet)>,
    /// The key by which executions share the queue; `None` if they all wait as one.
    pub fair_by: Option<Rendering>,
    /// How many executions may run at once; `None` for any number.
    pub concurrency: Option<Concurrency>,
    by_name: HashMap<String, NodeId>,
}

/// How many executions may run at once.
pub struct Concurrency {
    /// The key by which executions are counted; `None` if they are all counted together.
    pub key: Option<Rendering>,
    /// What a start does if the maximum number of executions are already running.
    pub when_full: WhenFull,
}

impl Graph {
    /// Returns the task with this number.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// Returns the number of the task with this name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.by_name.get(name).copied()
    }

    /// Returns the number of distinct tasks that lead to a task.
    pub fn inbound(&self, id: NodeId) -> u32 {
        self.node(id).inbound
    }

    /// Returns the graph as JSON, for people and their tools: tasks and the transitions between them.
    pub fn describe(definition: &Definition) -> serde_json::Value {
        let tasks = definition.tasks.iter().map(|task| {
            serde_json::json!({
                "name": task.name, "action": task.action, "join": task.join, "with_items": task.with_items.is_some(),
            })
        });
        let transitions = definition.tasks.iter().flat_map(|task| {
            interrupt::checked(&task.next).flat_map(move |next| {
                interrupt::checked(&next.targets)
                    .map(move |to| serde_json::json!({"from": task.name, "to": to, "when": next.when}))
            })
        });
        serde_json::json!({"tasks": tasks.collect::<Vec<_>>(), "transitions": transitions.collect::<Vec<_>>()})
    }
}
