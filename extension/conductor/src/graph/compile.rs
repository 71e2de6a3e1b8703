//! From a definition to its graph.

use super::*;
use crate::expression::{ExpressionError, Rendering, Sources};
use crate::graph::read_set::Needs;

use crate::bounds::Bounds;
use crate::interrupt;
use crate::language::definition::{Assignment, Definition, Join, Retry as RetrySpec, RetryEach};
use crate::language::schema::Schema;
use petgraph::graph::DiGraph;
use std::collections::{BTreeSet, HashMap};

/// Number of retries that `do: retry` allows.
const RETRY_COMMAND_COUNT: u64 = 3;

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

pub(super) fn schema(name: &str, source: &Option<serde_json::Value>) -> Result<Option<Schema>, ExpressionError> {
    let compiled = source.as_ref().map(Schema::compile).transpose();
    compiled.map_err(|message| ExpressionError { expression: format!("the schema of the {name}"), message })
}

pub(super) fn compile_task(
    task: &crate::language::definition::Task,
    by_name: &HashMap<String, NodeId>,
    sources: &mut Sources,
) -> Node {
    let mut retry = task.retry.as_ref().map(|spec| compile_retry(spec, sources));
    let mut next = Vec::new();
    for transition in interrupt::checked(&task.next) {
        let mut targets = Vec::new();
        for target in interrupt::checked(&transition.targets) {
            match target.as_str() {
                "continue" => targets.push(Target::Continue),
                "noop" => targets.push(Target::Noop),
                "fail" => targets.push(Target::Fail),
                // The command is a retry under the transition's condition.
                "retry" => retry = Some(retry_command(transition.when.as_deref(), sources)),
                name => targets.extend(by_name.get(name).map(|node| Target::Task(*node))),
            }
        }
        if transition.targets.len() == 1 && transition.targets[0] == "retry" {
            continue;
        }
        next.push(Transition {
            when: transition.when.as_ref().map(|when| sources.add(when)),
            publish: assignments(&transition.publish, sources),
            targets,
            error: transition.error.as_ref().map(|error| sources.rendering(error)),
        });
    }
    let timeout = task.wait_for.as_ref().and_then(|wait| wait.timeout.as_ref()).or(task.timeout.as_ref());
    Node {
        name: task.name.clone(),
        action: task.action.as_ref().map(|action| sources.rendering(&serde_json::Value::String(action.clone()))),
        signal: task.wait_for.as_ref().map(|wait| sources.rendering(&serde_json::Value::String(wait.signal.clone()))),
        heartbeat: task.wait_for.as_ref().and_then(|wait| wait.heartbeat),
        input: (!task.input.is_null()).then(|| sources.rendering(&task.input)),
        when: task.when.as_ref().map(|when| sources.add(when)),
        delay: task.delay.as_ref().map(|delay| sources.rendering(delay)),
        timeout: timeout.map(|timeout| sources.rendering(timeout)),
        items: task.with_items.as_ref().map(|items| Items {
            items: sources.rendering(&items.items),
            names: items.names.clone(),
            label: items.label.as_ref().map(|label| sources.rendering(&serde_json::Value::String(label.clone()))),
            concurrency: items.concurrency.as_ref().map(|value| sources.rendering(value)),
            batch_size: items.batch_size.as_ref().map(|value| sources.rendering(value)),
            on_item_failure: items.on_item_failure,
            max_failures: items.max_failures,
            min_successes: items.min_successes,
            rest: items.rest,
        }),
        retry,
        repeat: task.repeat.as_ref().map(|repeat| Repeat {
            until: sources.add(&repeat.until),
            delay: repeat.delay.as_ref().map(|delay| sources.rendering(delay)),
            growth: Growth { backoff: repeat.backoff, factor: repeat.factor, max_delay: repeat.max_delay },
            max: sources.rendering(&repeat.max),
            timeout: repeat.timeout,
        }),
        publish: assignments(&task.publish, sources),
        next,
        priority: task.priority,
        max_lost_leases: task.max_lost_leases,
        limits: interrupt::checked(&task.limit)
            .map(|limit| (limit.name.clone(), (!limit.key.is_null()).then(|| sources.rendering(&limit.key))))
            .collect(),
        ..Node::default()
    }
}

pub(super) fn compile_retry(spec: &RetrySpec, sources: &mut Sources) -> Retry {
    Retry {
        count: sources.rendering(&spec.count),
        delay: spec.delay.as_ref().map(|delay| sources.rendering(delay)),
        when: spec.when.as_ref().map(|when| sources.add(when)),
        after_success: AfterSuccess::default(),
        together: spec.each == RetryEach::Task,
        spec: spec.clone(),
    }
}

pub(super) fn retry_command(when: Option<&str>, sources: &mut Sources) -> Retry {
    let spec = RetrySpec {
        count: RETRY_COMMAND_COUNT.into(),
        delay: None,
        backoff: Default::default(),
        factor: 2.0,
        max_delay: None,
        jitter: 0.0,
        full_jitter: false,
        when: Some(when.unwrap_or("{{ completed() }}").to_owned()),
        max_elapsed: None,
        each: RetryEach::default(),
    };
    Retry {
        count: sources.rendering(&spec.count),
        delay: None,
        when: spec.when.as_ref().map(|when| sources.add(when)),
        after_success: AfterSuccess::default(),
        together: false,
        spec,
    }
}

pub(super) fn assignments(list: &[Assignment], sources: &mut Sources) -> Vec<(String, Rendering)> {
    interrupt::checked(list).map(|entry| (entry.name.clone(), sources.rendering(&entry.value))).collect()
}

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

pub(super) fn starts(nodes: &[Node]) -> Vec<NodeId> {
    // A task that leads to itself can still be a start task.
    let successors =
        nodes.iter().enumerate().flat_map(|(id, node)| node.successors().filter(move |to| *to as usize != id));
    let reached: BTreeSet<NodeId> = successors.collect();
    (0..nodes.len() as NodeId).filter(|id| !reached.contains(id)).collect()
}
