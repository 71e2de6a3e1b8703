//! From a definition to its graph.

use crate::bounds::Bounds;
use crate::expression::{ExpressionError, Rendering, Sources};
use crate::graph::compile_task::{assignments, compile_task};
use crate::graph::needs::Needs;
use crate::graph::node::{AfterSuccess, Node};
use crate::graph::node_set::NodeId;
use crate::graph::shape::{shape, starts};
use crate::graph::{Concurrency, Graph, cancelling_joins, closing, linear_path, read_set, undo};
use crate::language::definition::Definition;
use crate::language::schema::Schema;
use std::collections::HashMap;

impl Graph {
    /// Compiles a validated definition. An error is one that validation would have reported.
    pub fn compile(definition: &Definition, bounds: Bounds) -> Result<Graph, ExpressionError> {
        let mut by_name: HashMap<String, NodeId> =
            definition.tasks.iter().enumerate().map(|(id, task)| (task.name.clone(), id as NodeId)).collect();
        let mut sources = Sources::default();
        let mut nodes: Vec<Node> =
            definition.tasks.iter().map(|task| compile_task(task, &by_name, &mut sources)).collect();
        let vars = assignments(&definition.vars, &mut sources);
        let output = assignments(&definition.output_map, &mut sources);
        let fair_by = definition.fair_by.as_ref().map(|key| sources.rendering(&serde_json::Value::String(key.clone())));
        let concurrency = definition.concurrency.as_ref().map(|concurrency| Concurrency {
            key: (!concurrency.key.is_null()).then(|| sources.rendering(&concurrency.key)),
            when_full: concurrency.when_full,
        });
        let attributes = assignments(&definition.attributes, &mut sources);
        shape(&mut nodes, definition);
        let finally = definition.finally.as_ref().and_then(|name| by_name.get(name)).copied();
        let mut starts = starts(&nodes);
        starts.retain(|node| Some(*node) != finally);
        starts.sort_by(|a, b| nodes[*a as usize].name.cmp(&nodes[*b as usize].name));
        undo::add(&mut nodes, &mut by_name, definition, &mut sources);
        let programs = sources.compile(bounds)?;
        for retry in nodes.iter_mut().filter_map(|node| node.retry.as_mut()) {
            retry.after_success = retry.when.map(|when| AfterSuccess::of(&programs.names(when))).unwrap_or_default();
        }
        for node in nodes.iter_mut().filter(|node| node.repeat.is_some() && node.items.is_none()) {
            let reads_result = |input: &Rendering| {
                let mut found = false;
                input.programs(&mut |program| found |= programs.names(program).contains("result"));
                found
            };
            node.renders_each_input = node.input.as_ref().is_some_and(reads_result);
        }
        for (node, task) in nodes.iter_mut().zip(&definition.tasks) {
            let source = task.wait_for.as_ref().and_then(|wait| wait.schema.clone());
            node.signal_schema = schema(&format!("signal of task {}", task.name), &source)?;
        }
        let mut graph = Graph {
            reference: definition.reference.clone(),
            parameters: schema("parameters", &definition.parameters)?,
            output_schema: schema("output", &definition.output)?,
            timeout: definition.timeout,
            cancellation_policy: definition.cancellation_policy,
            rerun: definition.rerun,
            nodes,
            starts,
            finally,
            undo_on: undo::undo_on(definition),
            undo_order: definition.undo_order,
            vars,
            output,
            attributes,
            programs,
            reads_tasks: false,
            max_visits: definition.max_visits,
            bounds,
            output_needs: Needs::default(),
            start_needs: Needs::default(),
            cancelling_joins: Vec::new(),
            fair_by,
            concurrency,
            by_name,
        };
        undo::settle(&mut graph);
        read_set::settle(&mut graph);
        linear_path::settle(&mut graph);
        closing::settle(&mut graph);
        cancelling_joins::settle(&mut graph, definition);
        Ok(graph)
    }
}

fn schema(name: &str, source: &Option<serde_json::Value>) -> Result<Option<Schema>, ExpressionError> {
    let compiled = source.as_ref().map(Schema::compile).transpose();
    compiled.map_err(|message| ExpressionError { expression: format!("the schema of the {name}"), message })
}
