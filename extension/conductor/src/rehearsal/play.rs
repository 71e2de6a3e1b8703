//! Runs an execution in virtual time: every task is claimed as soon as it can be, and every attempt ends as the
//! prompter says.

use super::memory_host::{Ledger, ReportedRow, RowStatus, TaskRow};
use super::script::{Answer, AnswerKind, Cancel};
use crate::engine::status::TaskEnd;
use crate::engine::variables;
use crate::expression::Data;
use crate::graph::Graph;
use crate::interrupt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Maximum number of steps of one execution. What happens at the same moment is one step.
const MAX_STEPS: usize = 10_000;
/// Maximum number of rows that an execution may have.
const MAX_ROWS: usize = 30_000;
/// Maximum number of rows examined: each step, and the end of each attempt, examines all of them.
const MAX_LOOKS: usize = 100_000_000;
/// Maximum size in bytes of all inputs, which are kept until the end.
const MAX_BYTES: u64 = 64 << 20;

/// An attempt that is about to begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The task.
    pub task: &'a str,
    /// The item's index.
    pub item: Option<u32>,
    /// Number of earlier attempts of the task or item, in all its runs.
    pub earlier: usize,
    /// Whether it waits for a signal.
    pub waits: bool,
    /// Seconds that it may take; `None` for any.
    pub limit: Option<i32>,
}

/// Source of the outcomes of attempts.
pub(crate) trait Prompter {
    /// Returns the outcome of an attempt; an error ends the run.
    fn answer(&mut self, request: &Request) -> Result<Answer, Stop>;

    /// Returns when the execution is cancelled, or `None` if it is not.
    fn cancel(&self) -> Option<Cancel> {
        None
    }
}

/// Why an execution did not run to its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stop {
    /// Nothing will happen any more. Says in words what the execution is waiting for.
    Waits(Vec<String>),
    /// The outcome of an attempt is not specified. Says so in words, with a remedy.
    Unanswered(String, String),
    /// It would run for too long.
    Endless(String),
}

/// The record of an execution.
pub(crate) struct Performance {
    /// The execution.
    pub ledger: Ledger,
    /// The rows of all attempts, in the order in which they began.
    pub attempts: Vec<usize>,
    /// Why it did not end; `None` if it did.
    pub stop: Option<Stop>,
    /// Number of rows examined, which measures how much work it was.
    pub looks: usize,
}

/// How an attempt that has begun will end.
struct Cue {
    row: usize,
    /// Number of this attempt of the row.
    attempt: [u32; 3],
    kind: AnswerKind,
}

/// Runs an execution. The parameters must have been validated.
pub(crate) fn play(graph: Arc<Graph>, parameters: Data, prompter: &mut dyn Prompter) -> Performance {
    let mut stage = Stage {
        ledger: Ledger::start(graph, parameters),
        cancel: prompter.cancel(),
        prompter,
        attempts: Vec::new(),
        cues: BTreeMap::new(),
        cued: BTreeSet::new(),
        begun: BTreeMap::new(),
        looks: 0,
        weighed: 0,
        bytes: 0,
    };
    let stop = stage.play().err();
    Performance { ledger: stage.ledger, attempts: stage.attempts, stop, looks: stage.looks }
}

struct Stage<'p> {
    ledger: Ledger,
    prompter: &'p mut dyn Prompter,
    /// A cancel that is still to come.
    cancel: Option<Cancel>,
    attempts: Vec<usize>,
    /// By time, in microseconds, and then in the order in which the attempts began.
    cues: BTreeMap<(u64, usize), Cue>,
    /// Attempts that proceed without being claimed: those of waits, and those that no worker serves.
    cued: BTreeSet<(usize, [u32; 3])>,
    /// Number of attempts so far, by task and item.
    begun: BTreeMap<(u32, Option<u32>), usize>,
    /// Number of rows examined so far.
    looks: usize,
    /// Number of rows whose inputs have been measured.
    weighed: usize,
    /// Size of these inputs in bytes.
    bytes: u64,
}

impl Stage<'_> {
    fn play(&mut self) -> Result<(), Stop> {
        for _ in 0..MAX_STEPS {
            interrupt::check();
            if self.ledger.over {
                return Ok(());
            }
            self.looks += self.ledger.rows.len();
            if self.ledger.rows.len() > MAX_ROWS || self.looks > MAX_LOOKS || self.weigh() > MAX_BYTES {
                break;
            }
            self.begin()?;
            self.advance()?;
        }
        let (attempts, now) = (self.attempts.len(), super::duration::written(self.ledger.now));
        Err(Stop::Endless(format!("the execution does not end: it was stopped after {now}, with {attempts} attempts")))
    }

    /// Returns the size in bytes of all inputs so far.
    fn weigh(&mut self) -> u64 {
        let new = self.ledger.rows.iter().skip(self.weighed);
        let texts =
            |row: &TaskRow| [&row.action, &row.signal].into_iter().flatten().map(|text| text.len() as u64).sum::<u64>();
        self.bytes += new.map(|row| row.input.as_ref().map_or(0, variables::bytes) + texts(row)).sum::<u64>();
        self.weighed = self.ledger.rows.len();
        self.bytes
    }

    /// Begins every attempt that can begin.
    fn begin(&mut self) -> Result<(), Stop> {
        for row in 0..self.ledger.rows.len() {
            let task = &self.ledger.rows[row];
            let is_waiting = task.status == RowStatus::Ready && task.begun && task.signal.is_some();
            if !(task.is_claimable() || is_waiting) || self.cued.contains(&(row, number(task))) {
                continue;
            }
            let answer = self.answer(row)?;
            let is_served = !matches!(answer.kind, AnswerKind::Nothing);
            if is_waiting || !is_served {
                self.cued.insert((row, number(&self.ledger.rows[row])));
            } else if self.ledger.claim(row).is_err() {
                continue;
            }
            if is_waiting || is_served {
                self.attempts.push(row);
            }
            if is_served && !matches!(answer.kind, AnswerKind::Timeout) {
                let at = micros(self.ledger.now + answer.after);
                let attempt = number(&self.ledger.rows[row]);
                self.cues.insert((at, self.attempts.len()), Cue { row, attempt, kind: answer.kind });
            }
        }
        Ok(())
    }

    /// Determines the outcome of the next attempt of a row.
    fn answer(&mut self, row: usize) -> Result<Answer, Stop> {
        let task = &self.ledger.rows[row];
        let earlier = self.begun.entry((task.key.node, task.index)).or_default();
        let request = Request {
            task: self.ledger.name(task.key.node),
            item: task.index,
            earlier: *earlier,
            waits: task.signal.is_some(),
            limit: task.timeout,
        };
        *earlier += 1;
        let answer = self.prompter.answer(&request)?;
        if matches!(answer.kind, AnswerKind::Timeout) && request.limit.is_none() {
            let message = format!("the test lets task {} time out, but it has no timeout here", request.task);
            return Err(Stop::Unanswered(message, "write `nothing: true`, or another answer".to_owned()));
        }
        Ok(answer)
    }

    /// Advances the time to the next event, and processes it. An answer at the very end of a time limit is in time, and
    /// so is one that arrives together with a cancel.
    fn advance(&mut self) -> Result<(), Stop> {
        while self.cues.first_key_value().is_some_and(|(_, cue)| !self.is_on(cue)) {
            self.cues.pop_first();
        }
        let due = self.ledger.next_due();
        let cue = self.cues.first_key_value().map(|((at, _), _)| *at);
        let cancel = self.cancel.map(|cancel| micros(cancel.after));
        let first = [cue, cancel, due.map(micros)].into_iter().flatten().min();
        match (first, due) {
            (None, _) => return Err(Stop::Waits(self.waits_for())),
            (Some(at), _) if cue == Some(at) => {
                self.pass(at as f64 / 1e6);
                self.end_all(at);
            }
            (Some(at), _) if cancel == Some(at) => {
                self.pass(at as f64 / 1e6);
                match self.cancel.take() {
                    Some(Cancel { force: true, .. }) => self.ledger.force_cancel(),
                    _ => self.ledger.cancel(),
                }
            }
            (_, due) => {
                self.pass(due.unwrap_or_default());
                self.ledger.wait(0.0);
            }
        }
        Ok(())
    }

    /// Advances the time to this moment.
    fn pass(&mut self, until: f64) {
        self.ledger.now = self.ledger.now.max(until);
    }

    /// Ends the attempts that end at this moment.
    fn end_all(&mut self, at: u64) {
        while let Some(first) = self.cues.first_entry().filter(|first| first.key().0 == at) {
            interrupt::check();
            let cue = first.remove();
            self.looks += self.ledger.rows.len();
            self.end(cue);
        }
    }

    /// Whether an attempt has not already ended otherwise.
    fn is_on(&self, cue: &Cue) -> bool {
        let task = &self.ledger.rows[cue.row];
        let is_on = match task.signal {
            Some(_) => task.status == RowStatus::Ready && task.begun,
            None => task.status == RowStatus::Running,
        };
        is_on && number(task) == cue.attempt
    }

    /// Ends an attempt, unless it has already ended otherwise.
    fn end(&mut self, cue: Cue) {
        if !self.is_on(&cue) {
            return;
        }
        let row = cue.row;
        let report = |end, result, error| ReportedRow { row, end, result, error };
        // The attempt is running, so nothing is refused.
        let _ = match cue.kind {
            AnswerKind::Result(result) => {
                self.ledger.report_all(&[report(TaskEnd::Completed, Some(result), None)]).map(drop)
            }
            AnswerKind::Fail(error, advice) => {
                self.ledger.report_advised(report(TaskEnd::Failed, None, Some(error)), advice)
            }
            AnswerKind::WorkerDies => self.ledger.lose(row),
            AnswerKind::Signal(payload) => {
                self.signal(row, payload);
                Ok(())
            }
            AnswerKind::Timeout | AnswerKind::Nothing => Ok(()),
        };
    }

    /// Sends the signal that a row waits for. If another row has waited for the same signal longer, that row takes this
    /// signal, and leaves its own.
    fn signal(&mut self, row: usize, payload: Data) {
        let Some(name) = self.ledger.rows[row].signal.clone() else { return };
        let number_of_row = number(&self.ledger.rows[row]);
        if self.ledger.signal(&name, None, Some(payload)).is_err() {
            return;
        }
        let taken_by = self.ledger.signals.last().and_then(|signal| signal.taken_by);
        if let Some(other) = taken_by.filter(|taken_by| *taken_by != row) {
            for cue in self.cues.values_mut().filter(|cue| cue.row == other) {
                (cue.row, cue.attempt) = (row, number_of_row);
            }
        }
    }

    /// Describes what the execution is waiting for.
    fn waits_for(&self) -> Vec<String> {
        let waits = self.ledger.rows.iter().filter_map(|row| {
            let name = self.ledger.name(row.key.node);
            let item = row.index.map(|index| format!(", item {index}")).unwrap_or_default();
            match (&row.signal, row.status) {
                (Some(signal), RowStatus::Ready) => Some(format!("signal {signal} (task {name}{item})")),
                (None, RowStatus::Ready) => Some(format!("a worker for task {name}{item}")),
                _ => None,
            }
        });
        waits.take(10).collect()
    }
}

/// Returns the number of the row's next or running attempt.
fn number(row: &TaskRow) -> [u32; 3] {
    [row.retries, row.repetitions, row.attempts]
}

/// Returns seconds since the start in whole microseconds.
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}
