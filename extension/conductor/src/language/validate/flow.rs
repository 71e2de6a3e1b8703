//! Which variables are set where: on some path to a task, on every path, or on every path without a failure.

use std::collections::HashMap;

use super::outcome::Outcome;
use super::shape::{Edge, Shape};
use crate::interrupt;
use crate::language::definition::{Assignment, Join};

/// Maximum number of words of bits that the analysis may touch.
const MAX_STEPS: usize = 50_000_000;

/// A set of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set(Vec<u64>);

impl Set {
    fn none(words: usize) -> Set {
        Set(vec![0; words])
    }

    fn all(words: usize) -> Set {
        Set(vec![u64::MAX; words])
    }

    fn add(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    fn has(&self, bit: usize) -> bool {
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }

    fn join(&mut self, other: &Set) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    fn meet(&mut self, other: &Set) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }
}

/// How certain it is that a variable is set when a task begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// On every path here.
    Always,
    /// On every path here except those after a failure.
    UnlessFailed,
    /// On some paths here.
    Sometimes,
    /// On none.
    Never,
}

/// The sets of every task.
pub struct Flow {
    variables: HashMap<String, usize>,
    may: Vec<Set>,
    must: Vec<Set>,
    smooth: Vec<Set>,
    /// Whether the analysis was abandoned because it would have taken too long.
    gave_up: bool,
}

/// Which paths count.
#[derive(Clone, Copy, PartialEq)]
enum Ways {
    All,
    /// All except those that only a failure opens.
    Smooth,
}

impl Flow {
    pub fn new(shape: &Shape<'_>) -> Flow {
        let mut variables: HashMap<String, usize> = HashMap::new();
        let mut name = |list: &[Assignment]| {
            for assignment in interrupt::checked(list) {
                let next = variables.len();
                variables.entry(assignment.name.clone()).or_insert(next);
            }
        };
        name(&shape.definition.vars);
        for task in &shape.definition.tasks {
            name(&task.publish);
            task.next.iter().for_each(|next| name(&next.publish));
        }
        let mut flow = Flow { variables, may: Vec::new(), must: Vec::new(), smooth: Vec::new(), gave_up: false };
        let mut solver = Solver::new(shape, &flow.variables);
        flow.may = solver.may();
        flow.must = solver.must(Ways::All);
        flow.smooth = solver.must(Ways::Smooth);
        flow.gave_up = solver.steps > MAX_STEPS;
        flow
    }

    /// Returns all variables that are ever set.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// Whether a variable is ever set.
    pub fn is_variable(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// Returns how certain it is that a variable is set when a task begins.
    pub fn known(&self, task: usize, name: &str) -> Known {
        let Some(&bit) = self.variables.get(name) else { return Known::Never };
        if self.gave_up || self.must[task].has(bit) {
            Known::Always
        } else if self.smooth[task].has(bit) {
            Known::UnlessFailed
        } else if self.may[task].has(bit) {
            Known::Sometimes
        } else {
            Known::Never
        }
    }
}

struct Solver<'s> {
    shape: &'s Shape<'s>,
    words: usize,
    vars: Set,
    /// By task.
    publish: Vec<Set>,
    /// By task and transition.
    published: Vec<Vec<Set>>,
    steps: usize,
}

impl<'s> Solver<'s> {
    fn new(shape: &'s Shape<'s>, variables: &HashMap<String, usize>) -> Self {
        let words = variables.len().div_ceil(64).max(1);
        let set = |list: &[Assignment]| {
            let mut set = Set::none(words);
            list.iter().for_each(|assignment| set.add(variables[&assignment.name]));
            set
        };
        let tasks = &shape.definition.tasks;
        let transitions: usize = tasks.iter().map(|task| task.next.len() + 1).sum();
        let steps = transitions * words;
        // With this many sets, even building them would be too much.
        let (publish, published) = match steps > MAX_STEPS {
            true => (Vec::new(), Vec::new()),
            false => (
                tasks.iter().map(|task| set(&task.publish)).collect(),
                tasks.iter().map(|task| task.next.iter().map(|next| set(&next.publish)).collect()).collect(),
            ),
        };
        Solver { shape, words, vars: set(&shape.definition.vars), publish, published, steps }
    }

    /// Returns what is set on some path.
    fn may(&mut self) -> Vec<Set> {
        let tasks = self.shape.definition.tasks.len();
        let mut known = vec![self.vars.clone(); tasks];
        self.solve(&mut known, |this, known, task| {
            let mut set = this.vars.clone();
            for edge in interrupt::checked(&this.shape.inbound[task]) {
                let edge = this.shape.edges[*edge];
                set.join(&known[edge.from]);
                set.join(&this.published[edge.from][edge.transition]);
                if this.shape.can_fire(edge.from, edge.transition, Outcome::Succeeded) {
                    set.join(&this.publish[edge.from]);
                }
            }
            set
        });
        if let Some(finally) = self.shape.finally {
            known[finally] = Set::all(self.words);
        }
        known
    }

    /// Returns what is set on every path.
    fn must(&mut self, ways: Ways) -> Vec<Set> {
        let tasks = self.shape.definition.tasks.len();
        let mut known = vec![Set::all(self.words); tasks];
        let roots = self.shape.starts.iter().copied().chain(self.shape.finally.filter(|_| ways == Ways::All));
        roots.for_each(|root| known[root] = self.vars.clone());
        self.solve(&mut known, |this, known, task| {
            if this.shape.starts.contains(&task) || Some(task) == this.shape.finally {
                return known[task].clone();
            }
            this.arriving(known, task, ways)
        });
        known
    }

    fn arriving(&mut self, known: &[Set], task: usize, ways: Ways) -> Set {
        let mut by_task: HashMap<usize, Set> = HashMap::new();
        for edge in interrupt::checked(&self.shape.inbound[task]) {
            let edge = self.shape.edges[*edge];
            let Some(set) = self.along(known, edge, ways) else { continue };
            by_task.entry(edge.from).and_modify(|all| all.meet(&set)).or_insert(set);
        }
        let inbound = self.shape.inbound_tasks(task).len();
        let needed = match self.shape.definition.tasks[task].join {
            None => 1,
            Some(Join::All) => inbound,
            Some(Join::Count(count)) => (count as usize).clamp(1, inbound),
        };
        // A variable is certain to be set if too few inbound tasks lack it for the join to fire without one that sets
        // it.
        let without = |bit: usize| by_task.values().filter(|set| !set.has(bit)).count();
        if needed == 1 {
            let mut all = Set::all(self.words);
            by_task.values().for_each(|set| all.meet(set));
            return all;
        }
        let mut all = Set::none(self.words);
        by_task.values().for_each(|set| all.join(set));
        if needed < inbound || by_task.len() < inbound {
            for bit in interrupt::checked(0..self.words * 64) {
                if without(bit) < needed {
                    all.add(bit);
                } else {
                    all.0[bit / 64] &= !(1 << (bit % 64));
                }
            }
            self.steps += self.words * 64 * by_task.len();
        }
        all
    }

    /// Returns what is set after a transition; none if it is not one of these paths.
    fn along(&self, known: &[Set], edge: Edge, ways: Ways) -> Option<Set> {
        let counts = |outcome: &Outcome| match ways {
            Ways::All => true,
            Ways::Smooth => matches!(outcome, Outcome::Succeeded | Outcome::Skipped),
        };
        let open: Vec<Outcome> = Outcome::ALL
            .into_iter()
            .filter(counts)
            .filter(|outcome| self.shape.can_fire(edge.from, edge.transition, *outcome))
            .collect();
        if open.is_empty() {
            return None;
        }
        let mut set = known[edge.from].clone();
        if open == [Outcome::Succeeded] {
            set.join(&self.publish[edge.from]);
        }
        set.join(&self.published[edge.from][edge.transition]);
        Some(set)
    }

    /// Applies a rule to all tasks until nothing changes.
    fn solve(&mut self, known: &mut [Set], rule: impl Fn(&mut Self, &[Set], usize) -> Set) {
        let mut waiting = vec![true; known.len()];
        let mut open: std::collections::VecDeque<usize> = (0..known.len()).collect();
        while let Some(task) = open.pop_front() {
            interrupt::check();
            waiting[task] = false;
            self.steps += self.words * (self.shape.inbound[task].len() + 1);
            if self.steps > MAX_STEPS {
                return;
            }
            let set = rule(self, known, task);
            if set == known[task] {
                continue;
            }
            known[task] = set;
            for edge in &self.shape.outbound[task] {
                let to = self.shape.edges[*edge].to;
                if !waiting[to] {
                    waiting[to] = true;
                    open.push_back(to);
                }
            }
        }
    }
}
