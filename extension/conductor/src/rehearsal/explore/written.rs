//! An execution written as a test that reproduces it.

use super::improviser::Given;
use crate::engine::reported::Advice;
use crate::expression::json;
use crate::finding::shorten;
use crate::language::parse::name::is_name;
use crate::rehearsal::duration::written;
use crate::rehearsal::play::{Performance, Stop};
use crate::rehearsal::script::Cancel;
use crate::rehearsal::script::{Answer, AnswerKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Maximum number of attempts that a test lists.
const MAX_RAN: usize = 50;
/// Maximum number of characters of a test's name.
const NAME: usize = 200;

/// The beginning of a test.
pub struct Test<'t> {
    pub name: &'t str,
    pub parameters: &'t Value,
    pub cancel: Option<Cancel>,
}

impl Test<'_> {
    /// Returns the test with these answers, as an element of `tests`. It passes as long as the same happens again.
    pub fn written(&self, given: &Given, performance: &Performance) -> String {
        let mut text = format!("  - name: {}\n", flow(&Value::from(shorten(self.name, NAME).as_ref())));
        if self.parameters.as_object().is_some_and(|parameters| !parameters.is_empty()) {
            let _ = writeln!(text, "    parameters: {}", flow(self.parameters));
        }
        if let Some(cancel) = self.cancel {
            let _ = writeln!(text, "    cancel: {{after: {}}}", written(cancel.after));
        }
        let mut parts: BTreeMap<&str, BTreeMap<Option<u32>, Value>> = BTreeMap::new();
        for ((task, item), answers) in given {
            parts.entry(task).or_default().insert(*item, attempts(answers));
        }
        let tasks: BTreeMap<&str, Value> = parts.into_iter().map(|(task, items)| (task, of_task(items))).collect();
        let default = most_common(&tasks);
        if let Some(default) = &default {
            let _ = writeln!(text, "    default: {}", flow(default));
        }
        let own: Vec<_> =
            tasks.iter().filter(|(_, answers)| default.is_none() || defaultable(answers) != default.as_ref()).collect();
        if !own.is_empty() {
            text.push_str("    answers:\n");
        }
        for (task, answers) in own {
            let _ = writeln!(text, "      {task}: {}", flow(answers));
        }
        let _ = writeln!(text, "    expect: {}", flow(&expected(performance)));
        text
    }
}

/// Returns the answer that most tasks give to every attempt, if it can be a default.
fn most_common(tasks: &BTreeMap<&str, Value>) -> Option<Value> {
    let answers: Vec<&Value> = tasks.values().filter_map(defaultable).collect();
    let times = |answer: &Value| answers.iter().filter(|other| **other == answer).count();
    answers.iter().max_by_key(|answer| times(answer)).map(|answer| (*answer).clone())
}

/// Returns the result with which a task completes every attempt, of every item.
fn defaultable(answers: &Value) -> Option<&Value> {
    let every = answers.get("each").unwrap_or(answers);
    every.get("result").map(|_| every)
}

/// Returns the answers of a task: those of its items, if it has any.
fn of_task(mut items: BTreeMap<Option<u32>, Value>) -> Value {
    if let Some(answers) = items.remove(&None) {
        return answers;
    }
    let mut different: Vec<&Value> = items.values().collect();
    different.dedup();
    match different.as_slice() {
        [all] => json!({"each": all}),
        _ => {
            let items = items.iter().filter_map(|(item, answers)| Some((item.as_ref()?.to_string(), answers.clone())));
            json!({"items": Value::Object(items.collect())})
        }
    }
}

/// Returns the answers to all attempts, as one if they are the same.
fn attempts(answers: &[Answer]) -> Value {
    match answers {
        [first, rest @ ..] if rest.iter().all(|answer| answer.kind == first.kind && answer.after == first.after) => {
            answer(first)
        }
        _ => answers.iter().map(answer).collect(),
    }
}

fn answer(answer: &Answer) -> Value {
    let value = match &answer.kind {
        AnswerKind::Result(data) | AnswerKind::Signal(data) | AnswerKind::Fail(data, _) => json(data),
        AnswerKind::Timeout | AnswerKind::WorkerDies | AnswerKind::Nothing => Value::Bool(true),
    };
    let mut fields = Map::from_iter([(answer.kind.field().to_owned(), value)]);
    match answer.kind {
        AnswerKind::Fail(_, Advice::Never) => drop(fields.insert("may_retry".to_owned(), false.into())),
        AnswerKind::Fail(_, Advice::After(seconds)) => drop(fields.insert("retry_in".to_owned(), seconds.into())),
        _ => {}
    }
    if answer.after > 0.0 {
        fields.insert("after".to_owned(), written(answer.after).into());
    }
    Value::Object(fields)
}

fn expected(performance: &Performance) -> Value {
    let ledger = &performance.ledger;
    if matches!(performance.stop, Some(Stop::Endless(_))) {
        return json!({"status": "completed"});
    }
    if performance.attempts.len() > MAX_RAN {
        let codes = ledger
            .errors
            .iter()
            .filter_map(|(_, cause)| cause.code)
            .map(|code| code.to_string())
            .take(1)
            .collect::<Vec<_>>();
        return json!({"status": ledger.status().name(), "errors": codes});
    }
    let ran: Vec<&str> = performance.attempts.iter().map(|row| ledger.name(ledger.rows[*row].key.node)).collect();
    json!({"status": ledger.status().name(), "ran": ran})
}

/// Returns a value in the flow style of YAML: JSON, with spaces, and without quotes where they are not needed.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}: {}", key_of(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => word(text),
        other => other.to_string(),
    }
}

/// Returns a key; the index of an item needs no quotes.
fn key_of(key: &str) -> String {
    if key.parse::<u32>().is_ok() { key.to_owned() } else { word(key) }
}

/// Returns text without quotes if it is a word or a duration that can't be read as anything else.
fn word(text: &str) -> String {
    const SPECIAL: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = is_name(text) && !SPECIAL.contains(&text.to_ascii_lowercase().as_str());
    let is_duration = text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(['d', 'h', 'm', 's'])
        && text.chars().all(|c| c.is_ascii_digit() || "dhms".contains(c));
    if is_plain || is_duration { text.to_owned() } else { Value::from(text).to_string() }
}
