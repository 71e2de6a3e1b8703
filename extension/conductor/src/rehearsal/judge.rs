//! Compares what happened in an execution with the expectations of a test.

use super::duration::written;
use super::likeness::mismatch;
use super::play::{Performance, Stop};
use super::script::{Script, Test, Written};
use crate::engine::cause::Cause;
use crate::engine::status::Status;
use crate::expression::json;
use crate::finding::shorten;
use crate::interrupt;
use crate::source::NodeId;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of characters of a value that a difference shows.
const SHOWN: usize = 300;

/// An expectation that was not met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Its subject: `status`, `inputs.ship`, or `play` if the execution did not run to its end.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What happened instead.
    pub got: String,
    /// How to fix it.
    pub hint: Option<String>,
    /// The line of the expectation in the test file.
    pub line: u32,
}

/// Returns every expectation of a test that was not met.
pub(super) fn judge(script: &Script, test: &Test, performance: &Performance) -> Vec<Difference> {
    let mut judge = Judge { script, performance, differences: Vec::new() };
    let waits_as_expected = test.expect.status.as_ref().is_some_and(|status| status.value == Status::Running)
        && matches!(performance.stop, Some(Stop::Waits(_)));
    if let (Some(stop), false) = (&performance.stop, waits_as_expected) {
        judge.stopped(test, stop);
        return judge.differences;
    }
    judge.status(test);
    judge.errors(test);
    judge.ran(test);
    judge.inputs(test);
    judge.output(test);
    judge.took(test);
    judge.differences
}

struct Judge<'j> {
    script: &'j Script,
    performance: &'j Performance,
    differences: Vec<Difference>,
}

impl Judge<'_> {
    fn add(&mut self, node: NodeId, what: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) {
        let (what, expected, got) = (what.into(), expected.into(), got.into());
        self.differences.push(Difference { what, expected, got, hint: None, line: self.script.line(node) });
    }

    /// The execution did not run to its end, so there is nothing to compare.
    fn stopped(&mut self, test: &Test, stop: &Stop) {
        let node = test.expect.status.as_ref().map_or(test.node, |written| written.node);
        let (got, hint) = match stop {
            Stop::Waits(for_what) => {
                let got = match for_what.is_empty() {
                    true => "nothing is left to happen".to_owned(),
                    false => format!("it is still waiting for {}", for_what.join(", ")),
                };
                (got, Some("if it should wait, expect `status: running`".to_owned()))
            }
            Stop::Unanswered(message, remedy) => (message.clone(), Some(remedy.clone())),
            Stop::Endless(message) => (message.clone(), None),
        };
        self.add(node, "play", "the execution ends", got);
        if let Some(last) = self.differences.last_mut() {
            last.hint = hint;
        }
    }

    fn status(&mut self, test: &Test) {
        let Some(Written { node, value }) = &test.expect.status else { return };
        let ledger = &self.performance.ledger;
        if ledger.status() != *value {
            let why = ledger.error_message().map(|message| format!(": {}", shorten(message, SHOWN)));
            self.add(*node, "status", value.name(), format!("{}{}", ledger.status().name(), why.unwrap_or_default()));
        }
    }

    fn output(&mut self, test: &Test) {
        let Some(Written { node, value }) = &test.expect.output else { return };
        let output = self.performance.ledger.output.as_ref().map(json);
        self.compare(*node, "output", value, output.as_ref());
    }

    fn compare(&mut self, node: NodeId, what: &str, expected: &Value, got: Option<&Value>) {
        if let Some(found) = mismatch(expected, got) {
            let dot = if found.path.is_empty() || found.path.starts_with('[') { "" } else { "." };
            let got = found.got.as_ref().map_or("nothing".to_owned(), shown);
            self.add(node, format!("{what}{dot}{}", found.path), shown(&found.expected), got);
        }
    }

    fn ran(&mut self, test: &Test) {
        let ledger = &self.performance.ledger;
        let name = |row: usize| ledger.name(ledger.rows[row].key.node);
        let ran: Vec<&str> = self.performance.attempts.iter().map(|row| name(*row)).collect();
        if let Some(Written { node, value }) = &test.expect.ran {
            let expected: Vec<&str> = value.iter().map(|name| name.value.as_str()).collect();
            if expected != ran {
                self.add(*node, "ran", listed(&expected), listed(&ran));
            }
        }
        if let Some(Written { node, value }) = &test.expect.ran_any_order {
            let (mut expected, mut ran) =
                (value.iter().map(|name| name.value.as_str()).collect::<Vec<_>>(), ran.clone());
            expected.sort_unstable();
            ran.sort_unstable();
            if expected != ran {
                self.add(*node, "ran_any_order", listed(&expected), listed(&ran));
            }
        }
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        ran.iter().for_each(|name| *times.entry(name).or_default() += 1);
        for unwanted in interrupt::checked(test.expect.not_ran.iter().flat_map(|written| &written.value)) {
            if let Some(times) = times.get(unwanted.value.as_str()) {
                let got = if *times == 1 { "it ran".to_owned() } else { format!("it ran {times} times") };
                self.add(unwanted.node, "not_ran", format!("{} does not run", unwanted.value), got);
            }
        }
    }

    /// Compares the inputs of a task's runs: a single value applies to every run, and a list has one value per run.
    /// Only one input at a time is converted, because together they may be large.
    fn inputs(&mut self, test: &Test) {
        let ledger = &self.performance.ledger;
        let mut runs: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for row in self.performance.attempts.iter().copied().filter(|row| seen.insert(*row)) {
            runs.entry(ledger.name(ledger.rows[row].key.node)).or_default().push(row);
        }
        let input = |row: usize| ledger.rows[row].input.as_ref().map(json).unwrap_or_default();
        for (task, Written { node, value }) in interrupt::checked(&test.expect.inputs) {
            let what = format!("inputs.{task}");
            let rows = runs.remove(task.as_str()).unwrap_or_default();
            match value {
                Value::Array(list) if list.len() != rows.len() => {
                    self.add(*node, what, count(list.len(), "run"), count(rows.len(), "run"));
                }
                Value::Array(list) => {
                    for (index, (value, row)) in list.iter().zip(rows).enumerate() {
                        self.compare(*node, &format!("{what}[{index}]"), value, Some(&input(row)));
                    }
                }
                _ if rows.is_empty() => self.add(*node, what, shown(value), "it did not run"),
                _ => {
                    let mut inputs = rows.into_iter().map(input);
                    if let Some(got) = inputs.find(|got| mismatch(value, Some(got)).is_some()) {
                        self.compare(*node, &what, value, Some(&got));
                    }
                }
            }
        }
    }

    fn errors(&mut self, test: &Test) {
        let Some(Written { node, value }) = &test.expect.errors else { return };
        let causes: Vec<&Cause> = self.performance.ledger.errors.iter().map(|(_, cause)| cause).collect();
        if causes.len() != value.len() {
            let messages: Vec<&str> = causes.iter().map(|cause| cause.message.as_str()).collect();
            let got = if messages.is_empty() { "none".to_owned() } else { shorten(&messages.join("; "), SHOWN).into() };
            let (expected, found) = (count(value.len(), "error"), count(causes.len(), "error"));
            return self.add(*node, "errors", expected, format!("{found}: {got}"));
        }
        for (index, (expected, cause)) in value.iter().zip(causes).enumerate() {
            interrupt::check();
            let node = self.script.source.at(*node, index).unwrap_or(*node);
            let what = format!("errors[{index}]");
            match expected {
                Value::Object(fields) => {
                    let mut fields = fields.clone();
                    let message = fields.remove("message");
                    self.compare(node, &what, &Value::Object(fields), Some(&cause.value()));
                    self.contains(node, format!("{what}.message"), message.as_ref(), cause);
                }
                text => self.contains(node, what, Some(text), cause),
            }
        }
    }

    fn contains(&mut self, node: NodeId, what: String, expected: Option<&Value>, cause: &Cause) {
        let Some(text) = expected.and_then(Value::as_str) else { return };
        if !cause.message.contains(text) {
            self.add(node, what, format!("… {text} …"), shorten(&cause.message, SHOWN));
        }
    }

    fn took(&mut self, test: &Test) {
        let Some(Written { node, value }) = &test.expect.took else { return };
        let took = self.performance.ledger.now;
        // Delays may be fractions that add up inexactly.
        if (took - value).abs() > 0.001 {
            self.add(*node, "took", written(*value), written(took));
        }
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn shown(value: &Value) -> String {
    shorten(&value.to_string(), SHOWN).into_owned()
}

fn listed(names: &[&str]) -> String {
    const SHOWN_NAMES: usize = 100;
    let more = if names.len() > SHOWN_NAMES { ", …" } else { "" };
    format!("[{}{more}]", names[..names.len().min(SHOWN_NAMES)].join(", "))
}
