//! Reads the answers of workers and people.

use crate::engine::reported::Advice;
use crate::expression::data;
use crate::finding::shorten;
use crate::interrupt;
use crate::language::parse::walk::{Fields, Range, Walk};
use crate::rehearsal::script::{Answer, AnswerKind, Answers, Attempts, Written};
use crate::source::{Content, NodeId};
use std::collections::BTreeMap;

/// Fields that specify the outcome of an attempt; an answer has one of them.
const KINDS: [&str; 6] = ["result", "fail", "timeout", "worker_dies", "signal", "nothing"];
/// Fields of an answer.
const ANSWER: &[&str] =
    &["result", "fail", "timeout", "worker_dies", "signal", "nothing", "after", "may_retry", "retry_in"];
/// Fields of the answers of a task with items.
const ITEMS: &[&str] = &["items", "each"];

impl Walk<'_> {
    /// Reads the answers of all tasks.
    pub(super) fn answers(&mut self, node: NodeId) -> BTreeMap<String, Written<Answers>> {
        let mut answers = BTreeMap::new();
        let Content::Map(entries) = self.source.content(node) else {
            self.wrong_type(node, "`answers`", "a map from tasks to their answers");
            return answers;
        };
        for (key, value) in interrupt::checked(entries) {
            let task = self.source.str(*key).unwrap_or_default().to_owned();
            let what = format!("the answer of `{}`", shorten(&task, 80));
            let is_of_items = ITEMS.iter().any(|field| self.source.key(*value, field).is_some());
            let read = if is_of_items {
                self.of_items(*value, &what)
            } else {
                self.attempts(*value, &what).map(Answers::Task)
            };
            answers.extend(read.map(|value| (task, Written { node: *key, value })));
        }
        answers
    }

    fn of_items(&mut self, node: NodeId, what: &str) -> Option<Answers> {
        let fields = self.fields(node, what, ITEMS)?;
        let each = fields.get("each").and_then(|node| self.attempts(node, what));
        let mut items = BTreeMap::new();
        let nodes = fields.get("items");
        if let Some(node) = nodes.filter(|node| !matches!(self.source.content(*node), Content::Map(_))) {
            self.wrong_type(node, "`items`", "a map from the items' indexes to their answers");
        }
        let source = self.source;
        for (key, value) in interrupt::checked(nodes.map(|node| source.entries(node)).unwrap_or_default()) {
            let text = source.str(*key).unwrap_or_default();
            let Ok(index) = text.parse::<u32>() else {
                let message = format!("`{}` is not the index of an item", shorten(text, 80));
                self.report(6, *key, message, "write the item's index, counted from 0".to_owned());
                continue;
            };
            let read = self.attempts(*value, &format!("{what}, item {index}"));
            items.extend(read.map(|value| (index, Written { node: *key, value })));
        }
        Some(Answers::Items { items, each })
    }

    /// Reads one answer to every attempt, or a list of them.
    fn attempts(&mut self, node: NodeId, what: &str) -> Option<Attempts> {
        match self.source.content(node) {
            Content::List(nodes) if nodes.is_empty() => {
                self.report(202, node, format!("{what} is an empty list"), "write one answer per attempt".to_owned());
                None
            }
            Content::List(nodes) => {
                let answers = interrupt::checked(nodes).map(|node| self.answer(*node, what));
                Some(Attempts::Listed(answers.collect::<Vec<_>>().into_iter().flatten().collect()))
            }
            _ => self.answer(node, what).map(Attempts::Every),
        }
    }

    /// Reads the worker's answer for every task without an answer of its own.
    pub(super) fn default_answer(&mut self, node: NodeId) -> Option<Answer> {
        let answer = self.answer(node, "`default`")?;
        if matches!(answer.kind, AnswerKind::Signal(_) | AnswerKind::Timeout) {
            let message = format!("`default` can't be `{}`: not every task can end like that", answer.kind.field());
            self.report(6, node, message, "write it as the answer of a task".to_owned());
        }
        Some(answer)
    }

    fn answer(&mut self, node: NodeId, what: &str) -> Option<Answer> {
        let fields = self.fields(node, what, ANSWER)?;
        // A result may be null, although null elsewhere counts as absent.
        let given: Vec<&str> = KINDS.into_iter().filter(|kind| self.source.get(node, kind).is_some()).collect();
        let [field] = given[..] else {
            let message = match given[..] {
                [] => format!("{what} does not say how the attempt ends"),
                _ => format!("{what} says `{}` and `{}`", given[0], given[1]),
            };
            let kinds: Vec<String> = KINDS.iter().map(|kind| format!("`{kind}`")).collect();
            self.report(
                if given.is_empty() { 4 } else { 6 },
                node,
                message,
                format!("write one of {}", kinds.join(", ")),
            );
            return None;
        };
        let value = self.source.get(node, field)?;
        let kind = match field {
            "result" => AnswerKind::Result(data(&self.source.value(value))),
            "signal" => AnswerKind::Signal(data(&self.source.value(value))),
            "fail" => AnswerKind::Fail(data(&self.source.value(value)), self.advice(&fields)),
            "timeout" => self.only_true(value, field).then_some(AnswerKind::Timeout)?,
            "worker_dies" => self.only_true(value, field).then_some(AnswerKind::WorkerDies)?,
            _ => self.only_true(value, field).then_some(AnswerKind::Nothing)?,
        };
        let unfit: &[&str] = match kind {
            AnswerKind::Fail(..) => &[],
            AnswerKind::Timeout | AnswerKind::Nothing => &["after", "may_retry", "retry_in"],
            _ => &["may_retry", "retry_in"],
        };
        for option in unfit {
            if let Some(node) = fields.get(option) {
                let message = format!("`{option}` has no effect next to `{field}`");
                self.report(6, node, message, "remove it".to_owned());
            }
        }
        let after = fields.get("after").and_then(|node| self.duration(node, "`after`", Range::DELAY));
        Some(Answer { node: Some(node), after: after.and_then(|after| after.as_f64()).unwrap_or(0.0), kind })
    }

    /// Reads a failing worker's advice on a retry.
    fn advice(&mut self, fields: &Fields) -> Advice {
        let may_retry = fields.get("may_retry").and_then(|node| self.flag(node, "`may_retry`"));
        let retry_in = fields.get("retry_in").and_then(|node| self.duration(node, "`retry_in`", Range::DELAY));
        match (may_retry, retry_in.and_then(|delay| delay.as_f64())) {
            (Some(false), _) => Advice::Never,
            (_, Some(delay)) => Advice::After(delay),
            _ => Advice::None,
        }
    }

    fn only_true(&mut self, node: NodeId, field: &str) -> bool {
        match self.flag(node, &format!("`{field}`")) {
            Some(false) => {
                self.report(
                    6,
                    node,
                    format!("`{field}` can't be false"),
                    format!("write `{field}: true`, or something else"),
                );
                false
            }
            flag => flag.is_some(),
        }
    }
}
