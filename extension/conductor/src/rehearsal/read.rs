//! Reads a test file, and reports all its errors at once.

mod answers;
mod expectations;

use super::script::{Cancel, Cast, Expectations, Script, Test, Written};
use crate::finding::shorten;
use crate::interrupt;
use crate::language::parse::walk::{Fields, Range, Walk};
use crate::source::{Content, NodeId};
use std::collections::BTreeMap;

/// Fields of a test file.
const FILE: &[&str] = &["workflow", "answers", "default", "tests"];
/// Fields of a test.
const TEST: &[&str] = &["name", "parameters", "answers", "default", "cancel", "expect"];
/// Fields of `cancel`.
const CANCEL: &[&str] = &["after", "force"];
/// Maximum number of tests in a file.
const MAX_TESTS: usize = 1000;

impl Walk<'_> {
    /// Reads a whole file.
    pub(super) fn script(&mut self, root: NodeId, script: &mut Script) {
        let Some(fields) = self.fields(root, "a test file", FILE) else { return };
        script.workflow = fields.get("workflow").and_then(|node| self.text(node, "`workflow`"));
        script.cast = self.cast(&fields);
        match fields.get("tests") {
            Some(node) => script.tests = self.tests(node),
            None => self.missing(root, "a test file", "tests"),
        }
    }

    fn cast(&mut self, fields: &Fields) -> Cast {
        Cast {
            answers: fields.get("answers").map(|node| self.answers(node)).unwrap_or_default(),
            default: fields.get("default").and_then(|node| self.default_answer(node)),
        }
    }

    fn tests(&mut self, node: NodeId) -> Vec<Test> {
        let Content::List(nodes) = self.source.content(node) else {
            self.wrong_type(node, "`tests`", "a list");
            return Vec::new();
        };
        if nodes.is_empty() {
            self.report(202, node, "`tests` is empty", "add a test".to_owned());
        }
        if nodes.len() > MAX_TESTS {
            let message = format!("there are {} tests, more than the {MAX_TESTS} allowed", nodes.len());
            self.report(9, node, message, "split the file".to_owned());
        }
        let mut lines: BTreeMap<String, u32> = BTreeMap::new();
        let mut tests = Vec::new();
        for node in interrupt::checked(nodes).take(MAX_TESTS) {
            let Some(test) = self.test(*node) else { continue };
            if let Some(line) = lines.get(&test.name) {
                let message = format!("two tests are called `{}`, the first on line {line}", shorten(&test.name, 80));
                self.report(6, *node, message, "give each a different name".to_owned());
            }
            lines.insert(test.name.clone(), test.line);
            tests.push(test);
        }
        tests
    }

    fn test(&mut self, node: NodeId) -> Option<Test> {
        let fields = self.fields(node, "a test", TEST)?;
        let name = match fields.get("name") {
            Some(node) => self.text(node, "the name of a test"),
            None => {
                self.missing(node, "a test", "name");
                None
            }
        };
        let parameters = fields.get("parameters").map(|node| {
            if !matches!(self.source.content(node), Content::Map(_)) {
                self.wrong_type(node, "`parameters`", "a map");
            }
            Written { node, value: self.source.value(node) }
        });
        let cast = self.cast(&fields);
        let cancel = fields.get("cancel").and_then(|node| self.cancel(node));
        let expect = match fields.get("expect") {
            Some(node) => self.expectations(node),
            None => {
                self.missing(node, "a test", "expect");
                Expectations::default()
            }
        };
        let line = self.source.line_and_column(self.source.node(node).start).0;
        Some(Test { name: name.unwrap_or_default(), line, node, parameters, cast, cancel, expect })
    }

    fn cancel(&mut self, node: NodeId) -> Option<Cancel> {
        let fields = self.fields(node, "`cancel`", CANCEL)?;
        if fields.get("after").is_none() {
            self.missing(node, "`cancel`", "after");
        }
        let after = fields.get("after").and_then(|node| self.duration(node, "`after`", Range::DELAY));
        let force = fields.get("force").and_then(|node| self.flag(node, "`force`"));
        Some(Cancel { after: after?.as_f64()?, force: force.unwrap_or_default() })
    }
}
