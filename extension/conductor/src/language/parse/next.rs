//! `next` and its sugar.

use super::walk::{Fields, Walk};
use super::words::{DECISION, TRANSITION};
use crate::expression::template;
use crate::finding::shorten;
use crate::language::definition::{Assignment, Transition};
use crate::source::{Content, NodeId};
use serde_json::Value;

/// The sugar, in the order of the resulting transitions.
const OUTCOMES: [(&str, Option<&str>); 5] = [
    ("on_success", Some("{{ succeeded() }}")),
    ("on_failure", Some("{{ failed() }}")),
    ("on_timeout", Some("{{ timed_out() }}")),
    ("on_complete", None),
    ("on_skipped", Some("{{ skipped() }}")),
];
const FAILED_OTHERWISE: &str = "{{ failed() and not timed_out() }}";

impl Walk<'_> {
    /// Returns the task's transitions, in whichever form they are written.
    pub fn transitions(&mut self, fields: &Fields, path: &str) -> Vec<Transition> {
        let Some(next) = fields.get("next") else { return self.sugar(fields, path) };
        let sugar = OUTCOMES.iter().map(|(name, _)| *name).chain(["decision", "publish"]);
        for name in sugar.collect::<Vec<_>>() {
            if let Some(node) = fields.get(name) {
                let hint = format!("write `{name}` as an entry of `next`, or remove `next`");
                self.report(111, node, format!("`{name}` cannot be combined with `next`"), hint);
            }
        }
        let Content::List(items) = self.source.content(next) else {
            self.wrong_type(next, "`next`", "a list of transitions");
            return Vec::new();
        };
        items.iter().enumerate().map(|(i, item)| self.transition(*item, &format!("{path}.next[{i}]"))).collect()
    }

    fn transition(&mut self, node: NodeId, path: &str) -> Transition {
        self.place(path.to_owned(), node);
        let Some(fields) = self.fields(node, "a transition", TRANSITION) else {
            return Transition::default();
        };
        let when = fields.get("when");
        let when = when.and_then(|node| self.condition(node, format!("{path}.when"), "`when`")).flatten();
        let publish = fields.get("publish").map(|node| self.variables(node, &format!("{path}.publish"), "`publish`"));
        let targets = fields.get("do").map(|node| self.targets(node, path, "`do`"));
        let targets = targets.unwrap_or_default();
        let error = fields.get("error").map(|node| self.error_of_fail(node, &targets, path));
        Transition { when, publish: publish.unwrap_or_default(), targets, error: error.flatten() }
    }

    /// Reads the error with which a workflow fails.
    fn error_of_fail(&mut self, node: NodeId, targets: &[String], path: &str) -> Option<Value> {
        if !targets.iter().any(|target| target == "fail") {
            let hint = "add `fail` to `do`, or remove it".to_owned();
            self.report(3, node, "`error` requires a transition to `fail`", hint);
            return None;
        }
        if !matches!(self.source.content(node), Content::Map(_)) {
            let message = "`error` must be a map".to_owned();
            self.report(5, node, message, "write {type: …, message: …}".to_owned());
            return None;
        }
        Some(self.value(node, format!("{path}.error")))
    }

    fn targets(&mut self, node: NodeId, path: &str, what: &str) -> Vec<String> {
        self.place(format!("{path}.do"), node);
        let names = self.names(node, what);
        for (i, name) in names.iter().enumerate() {
            self.place_name(format!("{path}.do[{i}]"), name);
        }
        names.into_iter().map(|name| name.text).collect()
    }

    fn sugar(&mut self, fields: &Fields, path: &str) -> Vec<Transition> {
        let mut next = Vec::new();
        for (name, when) in OUTCOMES {
            if let Some(node) = fields.get(name) {
                let at = format!("{path}.next[{}]", next.len());
                self.place(at.clone(), node);
                let timeout_apart = name == "on_failure" && fields.get("on_timeout").is_some();
                let when = if timeout_apart { Some(FAILED_OTHERWISE) } else { when };
                let targets = self.targets(node, &at, &format!("`{name}`"));
                self.place_sugar(format!("{at}.when"), node);
                next.push(Transition { when: when.map(str::to_owned), publish: Vec::new(), targets, error: None });
            }
        }
        if let Some(node) = fields.get("decision") {
            self.decision(node, path, &mut next);
        }
        next
    }

    /// Reads a decision, where the first match wins: an entry fires if its condition holds and no earlier one does.
    fn decision(&mut self, node: NodeId, path: &str, next: &mut Vec<Transition>) {
        let Content::List(entries) = self.source.content(node) else {
            self.wrong_type(node, "`decision`", "a list of entries");
            return;
        };
        if entries.is_empty() {
            self.report(202, node, "`decision` is empty", None);
        }
        let mut guard = "succeeded()".to_owned();
        for (i, entry) in entries.iter().enumerate() {
            let at = format!("{path}.next[{}]", next.len());
            self.place(at.clone(), *entry);
            let Some(fields) = self.fields(*entry, "a decision entry", DECISION) else {
                continue;
            };
            let targets = match fields.get("next") {
                Some(node) => self.targets(node, &at, "`next`"),
                None => {
                    self.missing(*entry, "a decision entry", "next");
                    Vec::new()
                }
            };
            let own = self.decision_condition(&fields, &at, i + 1 == entries.len());
            let when = own.as_ref().map_or_else(|| guard.clone(), |own| format!("{guard} and ({own})"));
            let when = format!("{{{{ {when} }}}}");
            if template::bound(&when, self.bounds).is_err() {
                let hint = "split it into several tasks".to_owned();
                self.report(9, *entry, "the conditions of this decision are too long in total", hint);
                return;
            }
            next.push(Transition { when: Some(when), publish: Vec::new(), targets, error: None });
            if let Some(own) = own {
                guard = format!("{guard} and not ({own})");
            }
        }
    }

    /// Returns an entry's own condition, or `None` for the default entry.
    fn decision_condition(&mut self, fields: &Fields, path: &str, last: bool) -> Option<String> {
        let (when, default) = (fields.get("when"), fields.get("default"));
        if let Some(node) = default {
            self.place_sugar(format!("{path}.when"), node);
            match self.flag(node, "`default`") {
                Some(true) if when.is_some() => {
                    self.report(
                        112,
                        node,
                        "an entry can have `when` or `default`, but not both",
                        "remove one of them".to_owned(),
                    );
                }
                Some(true) if !last => {
                    let hint = "move it to the end: the first match wins".to_owned();
                    self.report(112, node, "`default` is not the last entry of the decision", hint);
                }
                Some(false) if when.is_none() => {
                    self.report(112, node, "`default` can only be true", "write `when`, or `default: true`".to_owned());
                }
                _ => {}
            }
        } else if when.is_none() {
            let hint = "add `when`, or `default: true`".to_owned();
            self.report(112, fields.node, "an entry has neither `when` nor `default`", hint);
        }
        let node = when?;
        let condition = self.condition(node, format!("{path}.when"), "`when`")?;
        self.place_sugar(format!("{path}.when"), node);
        match condition {
            None => Some("true".to_owned()),
            Some(text) => template::pure(&text).map(|(_, inner)| inner.trim().to_owned()),
        }
    }

    /// Reads `name: value` pairs: a list of maps, or one map.
    pub fn assignments(&mut self, node: NodeId, path: &str, what: &str) -> Vec<Assignment> {
        let mut pairs = Vec::new();
        match self.source.content(node) {
            Content::Map(entries) => pairs.extend(entries),
            Content::List(items) => {
                for item in items {
                    match self.source.content(*item) {
                        Content::Map(entries) => pairs.extend(entries),
                        _ => self.wrong_type(*item, &format!("an entry of {what}"), "a map"),
                    }
                }
            }
            _ => self.wrong_type(node, what, "a list of `name: value`, or a map"),
        }
        let mut assignments = Vec::with_capacity(pairs.len());
        for (i, (key, value)) in pairs.into_iter().enumerate() {
            let name = self.source.str(key).unwrap_or_default().to_owned();
            self.place(format!("{path}[{i}].name"), key);
            assignments.push(Assignment { name, value: self.value(value, format!("{path}[{i}].value")) });
        }
        assignments
    }

    /// Reads assignments to variables, whose names must be usable in expressions.
    pub fn variables(&mut self, node: NodeId, path: &str, what: &str) -> Vec<Assignment> {
        let assignments = self.assignments(node, path, what);
        for (i, assignment) in assignments.iter().enumerate() {
            if let Some(place) = self.placed(&format!("{path}[{i}].name")) {
                self.check_name(place, &assignment.name, "a variable");
            }
        }
        assignments
    }

    /// Reports a name that can't name a task or variable.
    pub fn check_name(&mut self, node: NodeId, name: &str, what: &str) {
        if name.starts_with("__") {
            let message = format!("`{}`: names that start with __ are private", shorten(name, 80));
            self.report(306, node, message, "choose another name".to_owned());
        } else if !super::name::is_name(name) {
            let message = format!("`{}` can't name {what}", shorten(name, 80));
            let hint =
                format!("use at most {} letters, digits, _ and -, starting with a letter or _", super::name::MAX_NAME);
            self.report(8, node, message, hint);
        }
    }
}
