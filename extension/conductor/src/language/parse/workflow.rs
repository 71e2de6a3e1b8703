//! The workflow around its tasks.

use serde_json::Value;
use std::collections::BTreeMap;

use super::duration;
use super::walk::{Fields, Range, Walk};
use super::words::{DEFAULTS, FOREVER, KEEP, POLICIES, RERUN_RULES, UNDO_ON, UNDO_ORDERS, WORKFLOW};
use crate::finding::shorten;
use crate::language::definition::{DEFAULT_MAX_VISITS, Definition, Keep, Task, UndoOn};
use crate::source::{Content, NodeId};

impl Walk<'_> {
    /// Reads the whole document.
    pub fn workflow(&mut self, root: NodeId) -> Option<Definition> {
        let fields = self.fields(root, "a workflow", WORKFLOW)?;
        for field in ["ref", "label", "version", "tasks"] {
            if fields.get(field).is_none() {
                self.missing(root, "the workflow", field);
            }
        }
        for name in WORKFLOW {
            if let Some(node) = fields.get(name) {
                self.place((*name).to_owned(), node);
            }
        }
        let get = |name| fields.get(name);
        let reference = get("ref").and_then(|node| self.reference(node));
        let timeout = get("timeout").and_then(|node| self.duration(node, "`timeout`", Range::TIMEOUT));
        let visits = get("max_visits").and_then(|node| self.whole(node, "`max_visits`", Range::whole(1, u32::MAX)));
        let policy = get("cancellation_policy").and_then(|node| self.word(node, "`cancellation_policy`", POLICIES));
        let rerun = get("rerun").and_then(|node| self.word(node, "`rerun`", RERUN_RULES));
        let mut tasks = get("tasks").map(|node| self.tasks(node)).unwrap_or_default();
        if let Some(node) = get("defaults") {
            self.defaults(node, &mut tasks);
        }
        Some(Definition {
            reference: reference.unwrap_or_default(),
            label: get("label").and_then(|node| self.text(node, "`label`")).unwrap_or_default(),
            version: get("version").and_then(|node| self.version(node)).unwrap_or_default(),
            description: get("description").and_then(|node| self.description(node)),
            tags: get("tags").map(|node| self.tags(node)).unwrap_or_default(),
            enabled: get("enabled").and_then(|node| self.flag(node, "`enabled`")).unwrap_or(true),
            parameters: self.schema(&fields, "parameters"),
            output: self.schema(&fields, "output"),
            vars: get("vars").map(|node| self.variables(node, "vars", "`vars`")).unwrap_or_default(),
            tasks,
            output_map: get("output_map")
                .map(|n| self.assignments(n, "output_map", "`output_map`"))
                .unwrap_or_default(),
            attributes: get("attributes")
                .map(|n| self.assignments(n, "attributes", "`attributes`"))
                .unwrap_or_default(),
            timeout: timeout.and_then(|n| n.as_u64()),
            cancellation_policy: policy.unwrap_or_default(),
            max_visits: visits.and_then(|n| u32::try_from(n).ok()).unwrap_or(DEFAULT_MAX_VISITS),
            finally: get("finally").and_then(|node| self.text(node, "`finally`")),
            rerun: rerun.unwrap_or_default(),
            undo_on: get("undo_on").map(|node| self.undo_on(node)),
            undo_order: get("undo_order")
                .and_then(|node| self.word(node, "`undo_order`", UNDO_ORDERS))
                .unwrap_or_default(),
            fair_by: get("fair_by").and_then(|node| self.text(node, "`fair_by`")),
            concurrency: get("concurrency").and_then(|node| self.concurrency(node)),
            keep: get("keep").map(|node| self.keep(node)).unwrap_or_default(),
        })
    }

    /// Applies `defaults` to every task with an action, and to every undo, that does not override them.
    fn defaults(&mut self, node: NodeId, tasks: &mut [Task]) {
        let Some(fields) = self.fields(node, "`defaults`", DEFAULTS) else { return };
        let retry = fields.get("retry").and_then(|node| self.retry(node, "defaults.retry"));
        let timeout = fields.get("timeout").and_then(|node| {
            self.duration_or_template(node, "defaults.timeout".to_owned(), "`timeout`", Range::TIMEOUT)
        });
        for task in tasks.iter_mut().filter(|task| task.action.is_some()) {
            let repeats = task.next.iter().any(|next| next.targets.iter().any(|target| target == "retry"));
            if !repeats {
                task.retry = task.retry.take().or_else(|| retry.clone());
            }
            task.timeout = task.timeout.take().or_else(|| timeout.clone());
        }
        for undo in tasks.iter_mut().filter_map(|task| task.undo.as_mut()) {
            undo.retry = undo.retry.take().or_else(|| retry.clone());
            undo.timeout = undo.timeout.take().or_else(|| timeout.clone());
        }
    }

    fn undo_on(&mut self, node: NodeId) -> Vec<UndoOn> {
        match self.source.content(node) {
            Content::List(items) => {
                items.iter().filter_map(|item| self.word(*item, "an entry of `undo_on`", UNDO_ON)).collect()
            }
            _ => {
                self.wrong_type(node, "`undo_on`", "a list of: failed, timeout, cancelled");
                Vec::new()
            }
        }
    }

    /// Reads how long executions are kept, by final status.
    fn keep(&mut self, node: NodeId) -> BTreeMap<String, Keep> {
        let Some(fields) = self.fields(node, "`keep`", KEEP) else { return BTreeMap::new() };
        let mut keep = BTreeMap::new();
        for status in KEEP {
            let Some(node) = fields.get(status) else { continue };
            match self.source.str(node) {
                Some(FOREVER) => drop(keep.insert((*status).to_owned(), Keep::FOREVER)),
                Some(text) if duration::seconds(text).is_none() => {
                    let message = format!("`keep.{status}` can't be `{}`", shorten(text, 80));
                    self.report(6, node, message, "write a duration such as 7d, or forever".to_owned());
                }
                _ => {
                    let seconds = self.duration(node, &format!("`keep.{status}`"), Range::TIMEOUT);
                    if let Some(seconds) = seconds.and_then(|seconds| seconds.as_u64()) {
                        keep.insert((*status).to_owned(), Keep::Seconds(seconds));
                    }
                }
            }
        }
        keep
    }

    fn reference(&mut self, node: NodeId) -> Option<String> {
        let text = self.text(node, "`ref`")?;
        self.check_ref(node, &text, "a valid workflow ref");
        Some(text)
    }

    /// Reads the version. A `1.0` without quotes is taken as text, too.
    fn version(&mut self, node: NodeId) -> Option<String> {
        match self.source.content(node) {
            Content::Number(_) => Some(self.source.literal(node).to_owned()),
            _ => self.text(node, "`version`"),
        }
    }

    fn description(&mut self, node: NodeId) -> Option<String> {
        match self.source.str(node) {
            Some(text) => Some(text.to_owned()),
            None => self.text(node, "`description`"),
        }
    }

    fn tags(&mut self, node: NodeId) -> Vec<String> {
        match self.source.content(node) {
            Content::List(items) => items.iter().filter_map(|item| self.text(*item, "a tag")).collect(),
            _ => {
                self.wrong_type(node, "`tags`", "a list of strings");
                Vec::new()
            }
        }
    }

    fn schema(&mut self, fields: &Fields, name: &str) -> Option<Value> {
        self.json_schema(fields.get(name)?, name)
    }

    /// Reads a JSON Schema, which is checked later.
    pub(super) fn json_schema(&mut self, node: NodeId, name: &str) -> Option<Value> {
        match self.source.content(node) {
            Content::Map(_) => Some(self.source.value(node)),
            _ => {
                self.wrong_type(node, &format!("`{name}`"), "a JSON Schema (a map)");
                None
            }
        }
    }

    fn tasks(&mut self, node: NodeId) -> Vec<Task> {
        let entries: Vec<(Option<NodeId>, NodeId)> = match self.source.content(node) {
            Content::List(items) => items.iter().map(|item| (None, *item)).collect(),
            Content::Map(entries) => entries.iter().map(|(key, value)| (Some(*key), *value)).collect(),
            _ => {
                self.wrong_type(node, "`tasks`", "a list of tasks, or a map of them");
                return Vec::new();
            }
        };
        if entries.is_empty() {
            self.report(101, node, "the workflow has no tasks", "add a task".to_owned());
        }
        if entries.len() > self.bounds.tasks {
            let message = format!("there are {} tasks, more than the {} allowed", entries.len(), self.bounds.tasks);
            self.report(9, node, message, "move some of its tasks into a sub-workflow".to_owned());
            return Vec::new();
        }
        let mut tasks = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            if let Some(task) = self.read_task(value, key, &format!("tasks[{}]", tasks.len())) {
                tasks.push(task);
            }
        }
        tasks
    }
}
