//! The limits of a task, and the limit on how many executions of a workflow run at once.

use super::name::is_limit_name;
use super::walk::{Range, Walk};
use super::words::{CONCURRENCY, LIMIT, WHEN_FULL};
use crate::finding::shorten;
use crate::language::definition::{Concurrency, LimitUse};
use crate::source::{Content, NodeId};

/// Maximum number of limits per task.
pub const MAX_LIMITS: usize = 10;

/// Maximum number of executions that `concurrency` allows to run at once.
pub const MAX_CONCURRENCY: u32 = 100_000;

impl Walk<'_> {
    /// Reads one limit or a list of them: each a name, or a name and a key.
    pub(super) fn limits_of_task(&mut self, node: NodeId, path: &str) -> Vec<LimitUse> {
        self.place(path.to_owned(), node);
        let nodes = match self.source.content(node) {
            Content::List(nodes) => nodes.clone(),
            _ => vec![node],
        };
        if nodes.len() > MAX_LIMITS {
            self.report(9, node, format!("there are {} limits, more than the {MAX_LIMITS} allowed", nodes.len()), None);
            return Vec::new();
        }
        let mut limits: Vec<LimitUse> = Vec::new();
        for (number, node) in nodes.into_iter().enumerate() {
            let Some(limit) = self.limit(node, &format!("{path}[{number}]")) else { continue };
            if limits.contains(&limit) {
                self.report(
                    6,
                    node,
                    format!("the limit `{}` is listed twice with the same key", limit.name),
                    "remove one of them".to_owned(),
                );
            }
            limits.push(limit);
        }
        limits
    }

    fn limit(&mut self, node: NodeId, path: &str) -> Option<LimitUse> {
        self.place(path.to_owned(), node);
        if !matches!(self.source.content(node), Content::Map(_)) {
            let name = self.limit_name(node)?;
            return Some(LimitUse { name, key: serde_json::Value::Null });
        }
        let fields = self.fields(node, "`limit`", LIMIT)?;
        let Some(name) = fields.get("name") else {
            self.missing(node, "`limit`", "name");
            return None;
        };
        let name = self.limit_name(name)?;
        let key = fields.get("key").and_then(|node| self.limit_key(node, format!("{path}.key"))).unwrap_or_default();
        Some(LimitUse { name, key })
    }

    /// Reads the limit on how many executions run at once.
    pub(super) fn concurrency(&mut self, node: NodeId) -> Option<Concurrency> {
        self.place("concurrency".to_owned(), node);
        let fields = self.fields(node, "`concurrency`", CONCURRENCY)?;
        let Some(max) = fields.get("max") else {
            self.missing(node, "`concurrency`", "max");
            return None;
        };
        let max = self.whole(max, "`concurrency.max`", Range::whole(1, MAX_CONCURRENCY))?;
        let key = fields.get("key").and_then(|node| self.limit_key(node, "concurrency.key".to_owned()));
        let when_full = fields.get("when_full").and_then(|node| self.word(node, "`concurrency.when_full`", WHEN_FULL));
        Some(Concurrency { key: key.unwrap_or_default(), max: max as u32, when_full: when_full.unwrap_or_default() })
    }

    fn limit_name(&mut self, node: NodeId) -> Option<String> {
        let name = self.text(node, "the name of a limit")?;
        if is_limit_name(&name) {
            return Some(name);
        }
        let message = format!("`{}` is not a valid limit name", shorten(&name, 80));
        let hint = "write at most 128 lower-case letters, digits, _, - and dots, beginning with a letter";
        self.report(8, node, message, hint.to_owned());
        None
    }

    fn limit_key(&mut self, node: NodeId, path: String) -> Option<serde_json::Value> {
        match self.source.content(node) {
            Content::Text(_) | Content::Number(_) | Content::Bool(_) => Some(self.value(node, path)),
            _ => {
                self.wrong_type(node, "a key", "text, a number, a boolean or a template");
                None
            }
        }
    }
}
