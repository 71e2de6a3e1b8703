//! Explores what may happen to a workflow: random outcomes at random times, until something looks wrong. What was found
//! is reduced to the smallest test that shows it.

mod flaws;
mod improviser;
mod shrink;
mod written;

pub use improviser::Samples;

use super::chance::Chance;
use super::play::{self, Performance, Stop};
use crate::expression::data;
use crate::graph::Graph;
use crate::interrupt;
use flaws::flaws;
use improviser::{Given, Improviser, Lines};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// After this many executions without end, no more are played: each takes long.
const MAX_ENDLESS: usize = 3;

/// Something that looks wrong, and how it comes about.
#[derive(Debug, Clone, PartialEq)]
pub struct Flaw {
    /// What is wrong, in one sentence.
    pub message: String,
    /// A test that shows it, as an element of `tests`.
    pub test: String,
}

/// Plays a workflow this many times, and returns each kind of flaw once. Every run draws one of the parameters, which must
/// be valid, and has them completed by defaults. The same seed gives the same runs.
pub fn explore(graph: &Arc<Graph>, parameters: &[Value], samples: &Samples, runs: u64, seed: u64) -> Vec<Flaw> {
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    let mut endless = 0;
    for run in interrupt::checked(0..runs) {
        let mut chance = Chance::new(seed.wrapping_add(run));
        let chosen = chance.below(parameters.len());
        let scene = Scene { graph, parameters: parameters.get(chosen).cloned().unwrap_or_default(), samples };
        let (performance, given) = scene.play(Lines::new(), Some(chance));
        for flaw in flaws(&performance) {
            if known.insert(flaw.kind.clone()) {
                found.push(scene.shown(&flaw.kind, &given, found.len() + 1));
            }
        }
        endless += usize::from(matches!(performance.stop, Some(Stop::Endless(_))));
        if endless >= MAX_ENDLESS {
            break;
        }
    }
    found.into_iter().flatten().collect()
}

/// What stays the same while a run is reduced.
struct Scene<'s> {
    graph: &'s Arc<Graph>,
    parameters: Value,
    samples: &'s Samples,
}

impl Scene<'_> {
    /// Plays it with these answers; what they do not say is drawn or, without chance, goes well. Returns all answers that
    /// were given.
    fn play(&self, lines: Lines, chance: Option<Chance>) -> (Performance, Given) {
        let mut improviser = Improviser { lines, samples: self.samples, chance, given: Given::new() };
        let performance = play::play(self.graph.clone(), data(&self.parameters), &mut improviser);
        (performance, improviser.given)
    }

    /// Reduces the answers that lead to a flaw, and writes them as a test.
    fn shown(&self, kind: &str, given: &Given, number: usize) -> Option<Flaw> {
        let lines = given.iter().map(|(part, answers)| (part.clone(), answers.iter().cloned().map(Some).collect()));
        let lines = shrink::shrink(lines.collect(), |lines| {
            let (performance, _) = self.play(lines.clone(), None);
            (flaws(&performance).iter().any(|flaw| flaw.kind == kind), performance.looks)
        });
        let (performance, given) = self.play(lines, None);
        let message = flaws(&performance).into_iter().find(|flaw| flaw.kind == kind)?.message;
        let test = written::test(&format!("{number}: {message}"), &self.parameters, &given, &performance);
        Some(Flaw { message, test })
    }
}
