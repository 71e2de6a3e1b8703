//! The graph of a definition, as seen by its checks.

use std::collections::HashMap;

use petgraph::graph::DiGraph;

use super::possible_end::{Firing, PossibleEnd};
use crate::bounds::Bounds;
use crate::interrupt;
use crate::language::definition::Definition;
use crate::language::parse::name::COMMANDS;

/// A transition's target, if it is a task.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    pub from: usize,
    pub transition: usize,
    pub to: usize,
}

/// Tasks by number, and the edges between them.
pub struct Shape<'d> {
    pub definition: &'d Definition,
    /// The first task with each name.
    pub by_name: HashMap<&'d str, usize>,
    pub edges: Vec<Edge>,
    /// Whether all targets exist. If not, what seems to be missing may only be misspelled.
    pub complete: bool,
    /// Numbers of edges, by the task they lead to.
    pub inbound: Vec<Vec<usize>>,
    /// Numbers of edges, by the task they come from.
    pub outbound: Vec<Vec<usize>>,
    /// When each transition of each task fires.
    pub firing: Vec<Vec<Firing>>,
    /// The cycle that a task is in.
    pub cycle: Vec<Option<usize>>,
    pub cycles: Vec<Vec<usize>>,
    /// All tasks in components, one per cycle or single task; each component comes after those it leads to.
    pub components: Vec<Vec<usize>>,
    pub finally: Option<usize>,
    pub starts: Vec<usize>,
    /// Whether each task can be reached.
    pub reachable: Vec<bool>,
}

impl<'d> Shape<'d> {
    pub fn new(definition: &'d Definition, bounds: &Bounds) -> Shape<'d> {
        let tasks = &definition.tasks;
        let mut by_name = HashMap::new();
        for (i, task) in tasks.iter().enumerate().filter(|(_, task)| !task.name.is_empty()) {
            by_name.entry(task.name.as_str()).or_insert(i);
        }
        let mut shape = Shape {
            definition,
            edges: Vec::new(),
            complete: true,
            inbound: vec![Vec::new(); tasks.len()],
            outbound: vec![Vec::new(); tasks.len()],
            firing: Vec::new(),
            cycle: vec![None; tasks.len()],
            cycles: Vec::new(),
            components: Vec::new(),
            finally: definition.finally.as_deref().and_then(|name| by_name.get(name)).copied(),
            starts: Vec::new(),
            reachable: Vec::new(),
            by_name,
        };
        shape.firing = tasks
            .iter()
            .map(|task| interrupt::checked(&task.next).map(|next| Firing::of(next.when.as_deref(), bounds)).collect())
            .collect();
        shape.add_edges();
        shape.find_cycles();
        let leads_only_to_itself = |task: usize| shape.inbound[task].iter().all(|edge| shape.edges[*edge].from == task);
        shape.starts = (0..tasks.len()).filter(|i| leads_only_to_itself(*i) && Some(*i) != shape.finally).collect();
        let roots: Vec<usize> = shape.starts.iter().copied().chain(shape.finally).collect();
        shape.reachable = shape.reach(&roots, None);
        shape
    }

    fn add_edges(&mut self) {
        for (from, task) in self.definition.tasks.iter().enumerate() {
            for (transition, next) in interrupt::checked(&task.next).enumerate() {
                for target in interrupt::checked(&next.targets).filter(|target| !COMMANDS.contains(&target.as_str())) {
                    let Some(&to) = self.by_name.get(target.as_str()) else {
                        self.complete = false;
                        continue;
                    };
                    self.inbound[to].push(self.edges.len());
                    self.outbound[from].push(self.edges.len());
                    self.edges.push(Edge { from, transition, to });
                }
            }
        }
    }

    fn find_cycles(&mut self) {
        let mut graph = DiGraph::<(), ()>::with_capacity(self.inbound.len(), self.edges.len());
        let nodes: Vec<_> = self.inbound.iter().map(|_| graph.add_node(())).collect();
        for edge in interrupt::checked(&self.edges) {
            graph.add_edge(nodes[edge.from], nodes[edge.to], ());
        }
        // Kosaraju keeps its own stack, so no graph makes it recurse.
        for component in petgraph::algo::kosaraju_scc(&graph) {
            let mut members: Vec<usize> = component.iter().map(|node| node.index()).collect();
            members.sort_unstable();
            if members.len() > 1 || self.outbound[members[0]].iter().any(|edge| self.edges[*edge].to == members[0]) {
                members.iter().for_each(|member| self.cycle[*member] = Some(self.cycles.len()));
                self.cycles.push(members.clone());
            }
            self.components.push(members);
        }
    }

    /// Returns the tasks that can be reached from the given ones, themselves included, on paths that avoid one task.
    pub fn reach(&self, from: &[usize], around: Option<usize>) -> Vec<bool> {
        let mut reached = vec![false; self.inbound.len()];
        let mut open: Vec<usize> = from.iter().copied().filter(|task| Some(*task) != around).collect();
        open.iter().for_each(|task| reached[*task] = true);
        while let Some(task) = open.pop() {
            interrupt::check();
            for edge in &self.outbound[task] {
                let to = self.edges[*edge].to;
                if !reached[to] && Some(to) != around {
                    reached[to] = true;
                    open.push(to);
                }
            }
        }
        reached
    }

    /// Returns the distinct tasks that lead to a task.
    pub fn inbound_tasks(&self, task: usize) -> Vec<usize> {
        let mut from: Vec<usize> = self.inbound[task].iter().map(|edge| self.edges[*edge].from).collect();
        from.sort_unstable();
        from.dedup();
        from
    }

    pub fn is_join(&self, task: usize) -> bool {
        self.definition.tasks[task].join.is_some()
    }

    /// Whether a transition's task can end like this and the transition then fires.
    pub fn can_fire(&self, task: usize, transition: usize, outcome: PossibleEnd) -> bool {
        outcome.possible(&self.definition.tasks[task]) && self.firing[task][transition].can(outcome)
    }
}
