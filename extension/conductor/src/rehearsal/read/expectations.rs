//! Reads the expectations of an execution.

use crate::engine::status::Status;
use crate::interrupt;
use crate::language::parse::walk::{Range, Walk};
use crate::rehearsal::script::{Expectations, Names, Written};
use crate::source::{Content, NodeId};
use serde_json::Value;
use std::collections::BTreeMap;

/// Fields of `expect`.
const EXPECT: &[&str] = &["status", "output", "ran", "ran_any_order", "not_ran", "inputs", "errors", "took"];
/// Fields of an expected error.
const ERROR: &[&str] = &["task", "item", "code", "message", "error"];
/// Values of `status`.
const STATUSES: &[(&str, Status)] = &[
    ("completed", Status::Completed),
    ("failed", Status::Failed),
    ("timeout", Status::Timeout),
    ("cancelled", Status::Cancelled),
    ("running", Status::Running),
];

impl Walk<'_> {
    pub(super) fn expectations(&mut self, node: NodeId) -> Expectations {
        let Some(fields) = self.fields(node, "`expect`", EXPECT) else { return Expectations::default() };
        if EXPECT.iter().all(|field| fields.get(field).is_none()) {
            self.report(202, node, "`expect` is empty, so the test checks nothing", "add `status:`".to_owned());
        }
        let status = fields.get("status");
        let took = fields.get("took");
        let read = |(node, value)| Written { node, value };
        Expectations {
            status: status.and_then(|node| Some(read((node, self.word(node, "`status`", STATUSES)?)))),
            output: fields.get("output").map(|node| Written { node, value: self.source.value(node) }),
            ran: fields.get("ran").map(|node| self.task_names(node, "`ran`")),
            ran_any_order: fields.get("ran_any_order").map(|node| self.task_names(node, "`ran_any_order`")),
            not_ran: fields.get("not_ran").map(|node| self.task_names(node, "`not_ran`")),
            inputs: fields.get("inputs").map(|node| self.inputs(node)).unwrap_or_default(),
            errors: fields.get("errors").and_then(|node| self.errors(node)),
            took: took.and_then(|node| {
                let seconds = self.duration(node, "`took`", Range::DELAY)?.as_f64()?;
                Some(Written { node, value: seconds })
            }),
        }
    }

    fn task_names(&mut self, node: NodeId, what: &str) -> Written<Names> {
        let names = self.names(node, what).into_iter().map(|name| Written { node: name.node, value: name.text });
        Written { node, value: names.collect() }
    }

    fn inputs(&mut self, node: NodeId) -> BTreeMap<String, Written<Value>> {
        let Content::Map(entries) = self.source.content(node) else {
            self.wrong_type(node, "`inputs`", "a map from tasks to their inputs");
            return BTreeMap::new();
        };
        let entries = interrupt::checked(entries).map(|(key, value)| {
            let task = self.source.str(*key).unwrap_or_default().to_owned();
            (task, Written { node: *value, value: self.source.value(*value) })
        });
        entries.collect()
    }

    fn errors(&mut self, node: NodeId) -> Option<Written<Vec<Value>>> {
        let Content::List(nodes) = self.source.content(node) else {
            self.wrong_type(node, "`errors`", "a list");
            return None;
        };
        let mut errors = Vec::new();
        for node in interrupt::checked(nodes) {
            match self.source.content(*node) {
                Content::Map(_) => drop(self.fields(*node, "an expected error", ERROR)),
                _ => drop(self.text(*node, "an expected error")),
            }
            errors.push(self.source.value(*node));
        }
        Some(Written { node, value: errors })
    }
}
