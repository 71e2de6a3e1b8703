//! What is certain when a workflow completes and its output is rendered.

use super::fact_set::FactSet;
use super::facts::Facts;
use super::possible_end::{Fires, PossibleEnd};
use super::shape::Shape;
use crate::interrupt;

/// Returns the facts that hold at every end without an unhandled failure. `steps` counts the words of bits that are
/// touched; returns `None` if there are more than `most`.
///
/// When in doubt, a fact counts as certain: a join fires, and of several conditions one holds.
pub fn certain(shape: &Shape<'_>, facts: &Facts, words: usize, steps: &mut usize, most: usize) -> Option<FactSet> {
    let mut ending = Ending { shape, facts, words, known: vec![FactSet::all(words); shape.inbound.len()] };
    // In this order, a component comes after those it leads to.
    for component in &shape.components {
        loop {
            let mut changed = false;
            for task in interrupt::checked(component) {
                let ways = shape.outbound[*task].len() + facts.along[*task].len() + 1;
                *steps += words * PossibleEnd::ALL.len() * ways;
                if *steps > most {
                    return None;
                }
                let set = ending.after(*task);
                changed |= set != ending.known[*task];
                ending.known[*task] = set;
            }
            if !changed {
                break;
            }
        }
    }
    let mut certain = FactSet::none(words);
    interrupt::checked(0..facts.start).for_each(|fact| certain.add(fact));
    shape.starts.iter().chain(&shape.finally).for_each(|task| certain.join(&ending.known[*task]));
    Some(certain)
}

struct Ending<'s> {
    shape: &'s Shape<'s>,
    facts: &'s Facts,
    words: usize,
    /// By task: the facts that are certain at the end once the task has begun.
    known: Vec<FactSet>,
}

impl Ending<'_> {
    fn after(&self, task: usize) -> FactSet {
        let mut certain = FactSet::all(self.words);
        for outcome in PossibleEnd::ALL.into_iter().filter(|outcome| self.may_complete_after(task, *outcome)) {
            certain.meet(&self.after_end(task, outcome));
        }
        certain
    }

    /// Whether a task can end like this and the workflow still complete.
    fn may_complete_after(&self, task: usize, outcome: PossibleEnd) -> bool {
        let next = &self.shape.definition.tasks[task].next;
        let firing = &self.shape.firing[task];
        let fails = (0..next.len()).any(|transition| {
            firing[transition].at(outcome) == Fires::Always && next[transition].targets.iter().any(|to| to == "fail")
        });
        let handles = |transition: usize| {
            let leads_on = |to: &String| to == "noop" || self.shape.by_name.contains_key(to.as_str());
            firing[transition].can(outcome) && next[transition].targets.iter().any(leads_on)
        };
        let handled = match outcome {
            PossibleEnd::Succeeded | PossibleEnd::Skipped => true,
            PossibleEnd::Failed | PossibleEnd::TimedOut => (0..next.len()).any(handles),
            PossibleEnd::Cancelled => false,
        };
        outcome.possible(&self.shape.definition.tasks[task]) && handled && !fails
    }

    fn after_end(&self, task: usize, outcome: PossibleEnd) -> FactSet {
        let mut certain = FactSet::none(self.words);
        certain.add_all(&self.facts.ended[task]);
        if outcome == PossibleEnd::Succeeded {
            certain.add_all(&self.facts.success[task]);
        }
        let mut one_of: Vec<FactSet> = Vec::new();
        for (transition, along) in self.along(task) {
            match self.shape.firing[task][transition].at(outcome) {
                Fires::Always => certain.join(&along),
                Fires::Maybe => one_of.push(along),
                Fires::Never => {}
            }
        }
        // A single condition may be false.
        if one_of.len() > 1 {
            let mut all = FactSet::all(self.words);
            one_of.iter().for_each(|set| all.meet(set));
            certain.join(&all);
        }
        certain
    }

    /// Returns the facts that follow from each transition of a task.
    fn along(&self, task: usize) -> impl Iterator<Item = (usize, FactSet)> + '_ {
        let edges = &self.shape.outbound[task];
        interrupt::checked(self.facts.along[task].iter().enumerate()).map(move |(transition, facts)| {
            let mut set = FactSet::none(self.words);
            set.add_all(facts);
            // Edges are in the order of transitions.
            let first = edges.partition_point(|edge| self.shape.edges[*edge].transition < transition);
            let own = edges[first..].iter().map(|edge| self.shape.edges[*edge]);
            own.take_while(|edge| edge.transition == transition).for_each(|edge| set.join(&self.known[edge.to]));
            (transition, set)
        })
    }
}
