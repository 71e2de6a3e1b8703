//! Which tasks certainly run in parallel.
//!
//! Two tasks do if a fork starts a branch that leads to only one of them, and together with it another branch that
//! leads to only the other. Branches between which a condition may choose do not count as parallel.

use super::fact_set::FactSet;
use super::possible_end::{Fires, PossibleEnd};
use super::shape::Shape;
use crate::interrupt;

/// Maximum number of edges examined, and of words of bits touched, over all queries together.
const MAX_STEPS: usize = 20_000_000;

/// What each task leads to.
pub struct Parallel {
    /// By task: itself and all tasks it leads to.
    after: Vec<FactSet>,
    steps: usize,
}

impl Parallel {
    pub fn new(shape: &Shape<'_>) -> Parallel {
        let tasks = shape.inbound.len();
        let words = tasks.div_ceil(64).max(1);
        let mut parallel = Parallel { after: Vec::new(), steps: (shape.edges.len() + tasks) * words };
        if parallel.steps > MAX_STEPS {
            return parallel;
        }
        parallel.after = vec![FactSet::none(words); tasks];
        // In this order, a component comes after those it leads to.
        for component in &shape.components {
            let mut set = FactSet::none(words);
            for task in component {
                set.add(*task);
                for edge in interrupt::checked(&shape.outbound[*task]) {
                    set.join(&parallel.after[shape.edges[*edge].to]);
                }
            }
            component.iter().for_each(|task| parallel.after[*task] = set.clone());
        }
        parallel
    }

    /// Whether two tasks certainly may run at the same time; also false if determining that would take too long.
    pub fn may_meet(&mut self, shape: &Shape<'_>, one: usize, other: usize) -> bool {
        self.steps += shape.edges.len() + shape.inbound.len();
        if self.steps > MAX_STEPS || !shape.complete {
            return false;
        }
        let (mut to_one, mut to_other) = (false, false);
        for start in &shape.starts {
            to_one |= self.leads_only(*start, one, other);
            to_other |= self.leads_only(*start, other, one);
        }
        (to_one && to_other)
            || interrupt::checked(0..shape.outbound.len()).any(|task| self.forks(shape, task, one, other))
    }

    fn leads_only(&self, from: usize, to: usize, not_to: usize) -> bool {
        self.after[from].has(to) && !self.after[from].has(not_to)
    }

    /// Whether transitions of a task that can fire together start a branch to each of two tasks.
    fn forks(&self, shape: &Shape<'_>, task: usize, one: usize, other: usize) -> bool {
        if !(self.after[task].has(one) && self.after[task].has(other)) {
            return false;
        }
        let branches = |to: usize, not_to: usize| {
            let edges = shape.outbound[task].iter().map(|edge| shape.edges[*edge]);
            edges.filter(move |edge| self.leads_only(edge.to, to, not_to)).map(|edge| edge.transition)
        };
        PossibleEnd::ALL.into_iter().filter(|outcome| outcome.possible(&shape.definition.tasks[task])).any(|outcome| {
            let fires = |transition: usize| shape.firing[task][transition].at(outcome);
            let firing = |transition: &usize| fires(*transition) != Fires::Never;
            let to_one: Vec<usize> = branches(one, other).filter(firing).collect();
            let to_other: Vec<usize> = branches(other, one).filter(firing).collect();
            let always = |list: &[usize]| list.iter().any(|transition| fires(*transition) == Fires::Always);
            let both = !to_one.is_empty() && !to_other.is_empty();
            // Edges, and therefore these lists, are in the order of transitions.
            let same = || to_one.iter().any(|transition| to_other.binary_search(transition).is_ok());
            both && (always(&to_one) || always(&to_other) || same())
        })
    }
}
