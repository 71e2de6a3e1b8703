//! Answers drawn at random.

use crate::engine::reported::Advice;
use crate::expression::Data;
use crate::rehearsal::chance::Chance;
use crate::rehearsal::play::{Prompter, Request, Stop};
use crate::rehearsal::script::Cancel;
use crate::rehearsal::script::{Answer, AnswerKind, Answers, Cast, Script};
use std::collections::BTreeMap;

/// A task, and one of its items if it has any.
pub type Part = (String, Option<u32>);

/// The answers to the attempts of each part, in order; `None` for the answer of the normal course.
pub type Lines = BTreeMap<Part, Vec<Option<Answer>>>;

/// The answers that were given.
pub type Given = BTreeMap<Part, Vec<Answer>>;

/// Seconds that an attempt may take.
const TIMES: [f64; 6] = [0.0, 0.0, 1.0, 10.0, 60.0, 3600.0];

/// Possible answers of tasks: results, errors and payloads of signals that a test file mentions.
#[derive(Debug, Default)]
pub struct Samples {
    tasks: BTreeMap<String, Vec<AnswerKind>>,
    default: Vec<AnswerKind>,
}

impl Samples {
    /// Collects the answers of all tests of a file.
    pub fn of(script: &Script) -> Samples {
        let mut samples = Samples::default();
        samples.collect(&script.cast);
        script.tests.iter().for_each(|test| samples.collect(&test.cast));
        samples
    }

    fn collect(&mut self, cast: &Cast) {
        for (task, written) in &cast.answers {
            let all = match &written.value {
                Answers::Task(attempts) => attempts.all().iter().collect::<Vec<_>>(),
                Answers::Items { items, each } => {
                    let items = items.values().map(|written| &written.value);
                    items.chain(each).flat_map(|attempts| attempts.all()).collect()
                }
            };
            self.tasks.entry(task.clone()).or_default().extend(all.into_iter().map(|answer| answer.kind.clone()));
        }
        self.default.extend(cast.default.iter().map(|answer| answer.kind.clone()));
    }

    /// Returns the possible answers of a task that are of the same kind as an example, or the example itself if there
    /// are none.
    fn like(&self, task: &str, example: AnswerKind) -> Vec<AnswerKind> {
        let same = |kind: &&AnswerKind| kind.field() == example.field();
        let own: Vec<AnswerKind> = self.tasks.get(task).into_iter().flatten().filter(same).cloned().collect();
        let found = if own.is_empty() { self.default.iter().filter(same).cloned().collect() } else { own };
        if found.is_empty() { vec![example] } else { found }
    }

    /// Returns how an attempt ends in the normal course.
    fn good(&self, task: &str, waits: bool) -> Answer {
        let example = if waits { AnswerKind::Signal(nothing()) } else { AnswerKind::Result(nothing()) };
        let kind = self.like(task, example.clone()).into_iter().next().unwrap_or(example);
        Answer { node: None, after: 0.0, kind }
    }
}

fn nothing() -> Data {
    Data::from(())
}

/// A prompter that answers according to its lines and, beyond them, at random or, without chance, as in the normal
/// course.
pub struct Improviser<'s> {
    pub lines: Lines,
    pub samples: &'s Samples,
    pub chance: Option<Chance>,
    /// Whether each task is answered as it was the first time.
    pub is_steady: bool,
    /// When the execution is cancelled; `None` if it is not.
    pub cancel: Option<Cancel>,
    pub given: Given,
}

impl Prompter for Improviser<'_> {
    fn cancel(&self) -> Option<Cancel> {
        self.cancel
    }

    fn answer(&mut self, request: &Request) -> Result<Answer, Stop> {
        let key = (request.task.to_owned(), request.item);
        let line = self.lines.get(&key).and_then(|answers| answers.get(request.earlier));
        let answer = match (line, &mut self.chance) {
            (None, Some(chance)) => {
                let first = self.given.get(&key).and_then(|given| given.first()).filter(|_| self.is_steady);
                first.cloned().unwrap_or_else(|| draw(chance, self.samples, request))
            }
            // A time limit may be a template, which may yield no limit this time.
            (Some(Some(answer)), _) if request.limit.is_some() || answer.kind != AnswerKind::Timeout => answer.clone(),
            _ => self.samples.good(request.task, request.waits),
        };
        self.given.entry(key).or_default().push(answer.clone());
        Ok(answer)
    }
}

/// Draws whether the execution is cancelled, and when.
pub fn draw_cancel(chance: &mut Chance) -> Option<Cancel> {
    chance.one_in(6).then(|| Cancel { after: *chance.pick(&TIMES), force: false })
}

fn draw(chance: &mut Chance, samples: &Samples, request: &Request) -> Answer {
    let mut like = |example| chance.pick(&samples.like(request.task, example)).clone();
    let result = like(AnswerKind::Result(nothing()));
    // Workers normally report both.
    let error = Data::from_pairs([("type", "explored"), ("message", "explored")]);
    let error = like(AnswerKind::Fail(error, Advice::None));
    let signal = like(AnswerKind::Signal(nothing()));
    let kind = match (chance.below(20), request.waits) {
        (0..=2, _) if request.limit.is_some() => AnswerKind::Timeout,
        (_, true) => signal,
        (3..=5, _) => AnswerKind::WorkerDies,
        (6..=9, _) => error,
        _ => result,
    };
    // An answer that takes longer than the limit is a timeout, and easier to read as one.
    let in_time = |time: &f64| request.limit.is_none_or(|limit| *time < f64::from(limit));
    let times: Vec<f64> = TIMES.into_iter().filter(in_time).collect();
    let after = if kind == AnswerKind::Timeout { 0.0 } else { *chance.pick(&times) };
    Answer { node: None, after, kind }
}
