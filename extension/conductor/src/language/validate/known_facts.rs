//! Which facts hold at which task: on some path to it, on every path, or on every path without a failure.

use std::collections::HashMap;

use super::ending;
use super::fact_set::FactSet;
use super::facts::Facts;
use super::possible_end::PossibleEnd;
use super::shape::{Edge, Shape};
use crate::interrupt;
use crate::language::definition::Join;

/// Maximum number of words of bits that the analysis may touch.
const MAX_STEPS: usize = 50_000_000;

/// How certain a fact is when a task begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// On every path to it.
    Always,
    /// On every path to it except those after a failure.
    UnlessFailed,
    /// On some paths to it.
    Sometimes,
    /// On no path to it.
    Never,
}

/// The sets of every task.
pub struct Flow {
    facts: Facts,
    /// Facts that become true on some path.
    may: Vec<FactSet>,
    must: Vec<FactSet>,
    smooth: Vec<FactSet>,
    at_end: FactSet,
    /// Whether the analysis was abandoned because it would have taken too long.
    gave_up: bool,
}

/// Which paths are considered.
#[derive(Clone, Copy, PartialEq)]
enum Ways {
    All,
    /// All except those that only a failure opens.
    Smooth,
}

impl Flow {
    pub fn new(shape: &Shape<'_>, facts: Facts) -> Flow {
        let words = facts.numbers.len().div_ceil(64).max(1);
        let none = Vec::new;
        let at_end = FactSet::all(words);
        let mut flow = Flow { facts, may: none(), must: none(), smooth: none(), at_end, gave_up: false };
        let mut solver = Solver { shape, facts: &flow.facts, words, steps: shape.edges.len() * words };
        // With this many sets, even creating them would take too long.
        if solver.steps <= MAX_STEPS {
            flow.may = solver.may();
            flow.must = solver.must(Ways::All);
            flow.smooth = solver.must(Ways::Smooth);
            let at_end = ending::certain(shape, &flow.facts, words, &mut solver.steps, MAX_STEPS);
            flow.at_end = at_end.unwrap_or(flow.at_end);
        }
        flow.gave_up = solver.steps > MAX_STEPS;
        flow
    }

    /// Returns all facts that ever become true.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.facts.numbers.keys().map(String::as_str)
    }

    /// Whether a fact ever becomes true.
    pub fn is_known(&self, name: &str) -> bool {
        self.facts.numbers.contains_key(name)
    }

    /// Returns how certain it is that a fact is true when a task begins.
    pub fn known(&self, task: usize, name: &str) -> Known {
        let Some(&bit) = self.facts.numbers.get(name) else { return Known::Never };
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

    /// Whether a fact is certain to be true when the workflow completes, or never becomes true.
    pub fn is_known_at_end(&self, name: &str) -> bool {
        self.facts.numbers.get(name).is_none_or(|bit| self.gave_up || self.at_end.has(*bit))
    }

    /// Whether a fact is true from the start, and nothing on any path to a task makes it true again.
    pub fn is_as_at_start(&self, task: usize, name: &str) -> bool {
        let Some(&bit) = self.facts.numbers.get(name) else { return false };
        bit < self.facts.start && !self.gave_up && !self.may[task].has(bit)
    }

    /// Returns the tasks that make a fact true.
    pub fn makers(&self, name: &str) -> &[usize] {
        self.facts.numbers.get(name).map_or(&[], |bit| &self.facts.makers[*bit])
    }
}

struct Solver<'s> {
    shape: &'s Shape<'s>,
    facts: &'s Facts,
    words: usize,
    steps: usize,
}

impl Solver<'_> {
    fn at_start(&self) -> FactSet {
        let mut set = FactSet::none(self.words);
        interrupt::checked(0..self.facts.start).for_each(|bit| set.add(bit));
        set
    }

    /// Returns the facts that become true on some path.
    fn may(&mut self) -> Vec<FactSet> {
        let tasks = self.shape.definition.tasks.len();
        let mut known = vec![FactSet::none(self.words); tasks];
        self.solve(&mut known, |this, known, task| {
            let mut set = FactSet::none(this.words);
            for edge in interrupt::checked(&this.shape.inbound[task]) {
                let edge = this.shape.edges[*edge];
                set.join(&known[edge.from]);
                set.add_all(&this.facts.ended[edge.from]);
                set.add_all(&this.facts.along[edge.from][edge.transition]);
                if this.shape.can_fire(edge.from, edge.transition, PossibleEnd::Succeeded) {
                    set.add_all(&this.facts.success[edge.from]);
                }
            }
            set
        });
        if let Some(finally) = self.shape.finally {
            known[finally] = FactSet::all(self.words);
        }
        known
    }

    /// Returns the facts that are true on every path.
    fn must(&mut self, ways: Ways) -> Vec<FactSet> {
        let tasks = self.shape.definition.tasks.len();
        let mut known = vec![FactSet::all(self.words); tasks];
        let roots = self.shape.starts.iter().copied().chain(self.shape.finally.filter(|_| ways == Ways::All));
        roots.for_each(|root| known[root] = self.at_start());
        self.solve(&mut known, |this, known, task| {
            if this.shape.starts.contains(&task) || Some(task) == this.shape.finally {
                return known[task].clone();
            }
            this.arriving(known, task, ways)
        });
        known
    }

    fn arriving(&mut self, known: &[FactSet], task: usize, ways: Ways) -> FactSet {
        let mut by_task: HashMap<usize, FactSet> = HashMap::new();
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
        // A fact is certain if too few inbound tasks lack it for the join to fire without one that has it.
        let without = |bit: usize| by_task.values().filter(|set| !set.has(bit)).count();
        if needed == 1 {
            let mut all = FactSet::all(self.words);
            by_task.values().for_each(|set| all.meet(set));
            return all;
        }
        let mut all = FactSet::none(self.words);
        by_task.values().for_each(|set| all.join(set));
        if needed < inbound || by_task.len() < inbound {
            for bit in interrupt::checked(0..self.words * 64) {
                if without(bit) < needed {
                    all.add(bit);
                } else {
                    all.remove(bit);
                }
            }
            self.steps += self.words * 64 * by_task.len();
        }
        all
    }

    /// Returns the facts that are true after a transition, or `None` if it is not on one of these paths.
    fn along(&self, known: &[FactSet], edge: Edge, ways: Ways) -> Option<FactSet> {
        let counts = |outcome: &PossibleEnd| match ways {
            Ways::All => true,
            Ways::Smooth => matches!(outcome, PossibleEnd::Succeeded | PossibleEnd::Skipped),
        };
        let open: Vec<PossibleEnd> = PossibleEnd::ALL
            .into_iter()
            .filter(counts)
            .filter(|outcome| self.shape.can_fire(edge.from, edge.transition, *outcome))
            .collect();
        if open.is_empty() {
            return None;
        }
        let mut set = known[edge.from].clone();
        set.add_all(&self.facts.ended[edge.from]);
        if open == [PossibleEnd::Succeeded] {
            set.add_all(&self.facts.success[edge.from]);
        }
        set.add_all(&self.facts.along[edge.from][edge.transition]);
        Some(set)
    }

    /// Applies a rule to all tasks until nothing changes.
    fn solve(&mut self, known: &mut [FactSet], rule: impl Fn(&mut Self, &[FactSet], usize) -> FactSet) {
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
