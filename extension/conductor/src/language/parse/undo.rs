//! `undo`: the call that undoes a completed task.

use super::walk::{Range, Walk};
use super::words::{UNDO, WHEN_UNKNOWN};
use crate::language::definition::Undo;
use crate::source::NodeId;

impl Walk<'_> {
    /// Reads the undo of a task.
    pub(super) fn undo(&mut self, node: NodeId, path: &str) -> Option<Undo> {
        self.place(path.to_owned(), node);
        let fields = self.fields(node, "`undo`", UNDO)?;
        let at = |field: &str| format!("{path}.{field}");
        let action = match fields.get("action") {
            Some(node) => self.action(node, at("action")),
            None => {
                self.missing(node, "`undo`", "action");
                None
            }
        };
        let input = fields.get("input").map(|node| self.input(node, at("input"))).unwrap_or_default();
        let timeout = fields
            .get("timeout")
            .and_then(|node| self.duration_or_template(node, at("timeout"), "`timeout`", Range::TIMEOUT));
        let retry = fields.get("retry").and_then(|node| self.retry(node, &at("retry")));
        let when_unknown = fields.get("when_unknown").and_then(|node| self.word(node, "`when_unknown`", WHEN_UNKNOWN));
        let priority = fields.get("priority").and_then(|node| self.priority(node));
        let max_lost_leases = fields.get("max_lost_leases").and_then(|node| self.max_lost_leases(node));
        Some(Undo {
            action: action?,
            input,
            timeout,
            retry,
            when_unknown: when_unknown.unwrap_or_default(),
            priority: priority.unwrap_or_default(),
            max_lost_leases,
        })
    }
}
