//! Explores what may happen to a workflow: random outcomes at random times, until something looks wrong. Whatever is
//! found is reduced to the smallest test that shows it.

mod flaws;
mod improviser;
mod shrink;
mod written;

pub use improviser::Samples;

use super::chance::Chance;
use super::coverage::Coverage;
use super::play::{self, Performance, Stop};
use super::script::Cancel;
use crate::expression::data;
use crate::graph::Graph;
use crate::interrupt;
use crate::rehearsal::script::{Answer, AnswerKind};
use flaws::flaws;
use improviser::{Given, Improviser, Lines, draw_cancel};
use serde_json::Value;
use std::sync::Arc;

/// At the beginning, one in this many executions gives each task the same answer every time.
const STEADY: u64 = 16;
/// Maximum number of such executions: cycles in them continue until a limit stops them.
const MAX_STEADY: u64 = 100;
/// After this many executions that do not end, no more are run, because each takes a long time.
const MAX_ENDLESS: usize = 3;

/// Something that looks wrong, and how to reproduce it.
#[derive(Debug, Clone, PartialEq)]
pub struct Flaw {
    /// What is wrong, in one sentence.
    pub message: String,
    /// A test that shows it, as an element of `tests`.
    pub test: String,
}

/// Findings and coverage.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explored {
    /// The flaws, one of each kind.
    pub flaws: Vec<Flaw>,
    /// The tasks and transitions that were reached.
    pub coverage: Coverage,
}

/// A run in which something looks wrong.
struct Example {
    kind: String,
    scene: usize,
    cancel: Option<Cancel>,
    given: Given,
}

impl Example {
    /// Returns how much of it deviates from the normal course: the run that deviates least is the easiest to
    /// understand.
    fn cost(&self) -> usize {
        let fails = |answer: &&Answer| !matches!(answer.kind, AnswerKind::Result(_) | AnswerKind::Signal(_));
        let answers = || self.given.values().flatten();
        let late = answers().filter(|answer| answer.after > 0.0).count();
        answers().filter(fails).count() * 2 + late + usize::from(self.cancel.is_some()) * 2
    }
}

/// Runs a workflow this many times. Every run draws one of the parameters, which must be valid and completed by
/// defaults. The same seed gives the same runs.
pub fn explore(graph: &Arc<Graph>, parameters: &[Value], samples: &Samples, runs: u64, seed: u64) -> Explored {
    explore_and_tell(graph, parameters, samples, runs, seed, &mut |_| {})
}

/// Explores like [`explore`], and says after each run how many have been played.
pub fn explore_and_tell(
    graph: &Arc<Graph>,
    parameters: &[Value],
    samples: &Samples,
    runs: u64,
    seed: u64,
    tell: &mut dyn FnMut(u64),
) -> Explored {
    let scenes: Vec<Scene> = parameters.iter().map(|parameters| Scene { graph, parameters, samples }).collect();
    let mut examples: Vec<Example> = Vec::new();
    let (mut endless, mut coverage) = (0, Coverage::default());
    for run in interrupt::checked(0..runs).take_while(|_| !scenes.is_empty()) {
        let mut chance = Chance::new(seed.wrapping_add(run));
        let scene = chance.below(scenes.len());
        let cancel = draw_cancel(&mut chance);
        let is_steady = run % STEADY == 0 && run / STEADY < MAX_STEADY;
        let (performance, given) = scenes[scene].play(Lines::new(), cancel, Some(chance), is_steady);
        coverage.add(&Coverage::of(&performance));
        for flaw in flaws(&performance) {
            let example = Example { kind: flaw.kind, scene, cancel, given: given.clone() };
            match examples.iter_mut().find(|known| known.kind == example.kind) {
                Some(known) if known.cost() > example.cost() => *known = example,
                Some(_) => {}
                None => examples.push(example),
            }
        }
        endless += usize::from(matches!(performance.stop, Some(Stop::Endless(_))));
        tell(run + 1);
        if endless >= MAX_ENDLESS {
            break;
        }
    }
    let mut flaws: Vec<Flaw> = Vec::new();
    for example in &examples {
        let shown = scenes[example.scene].shown(example, flaws.len() + 1);
        // Flaws of different kinds may be reduced to the same test.
        flaws.extend(shown.filter(|shown| flaws.iter().all(|known| known.message != shown.message)));
    }
    Explored { flaws, coverage }
}

/// What stays the same while a run is reduced.
struct Scene<'s> {
    graph: &'s Arc<Graph>,
    parameters: &'s Value,
    samples: &'s Samples,
}

impl Scene<'_> {
    /// Runs it with these answers. Answers that they leave open are drawn or, without chance, are those of the normal
    /// course. If it is steady, each task is answered as it was the first time. Returns all answers that were given.
    fn play(
        &self,
        lines: Lines,
        cancel: Option<Cancel>,
        chance: Option<Chance>,
        is_steady: bool,
    ) -> (Performance, Given) {
        let mut improviser =
            Improviser { lines, samples: self.samples, chance, is_steady, cancel, given: Given::new() };
        let performance = play::play(self.graph.clone(), data(self.parameters), &mut improviser);
        (performance, improviser.given)
    }

    /// Reduces the run that leads to a flaw, and writes it as a test.
    fn shown(&self, example: &Example, number: usize) -> Option<Flaw> {
        let Example { kind, cancel, given, .. } = example;
        let shows = |lines: &Lines, cancel| {
            let (performance, _) = self.play(lines.clone(), cancel, None, false);
            (flaws(&performance).iter().any(|flaw| flaw.kind == *kind), performance.looks)
        };
        let lines = given.iter().map(|(part, answers)| (part.clone(), answers.iter().cloned().map(Some).collect()));
        let lines: Lines = lines.collect();
        let cancel = cancel.filter(|_| !shows(&lines, None).0);
        let lines = shrink::shrink(lines, |lines| shows(lines, cancel));
        let (performance, given) = self.play(lines, cancel, None, false);
        let message = flaws(&performance).into_iter().find(|flaw| flaw.kind == *kind)?.message;
        let test = written::Test { name: &format!("{number}: {message}"), parameters: self.parameters, cancel };
        let test = test.written(&given, &performance);
        Some(Flaw { message, test })
    }
}
