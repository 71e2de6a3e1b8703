//! The tasks of Orquesta's workflows, with their actions, items and transitions.

use super::super::names;
use super::written::{action_of, has_expression};
use super::{Import, items, pairs};
use conductor::source::{Content, NodeId};
use serde_json::{Map, Value, json};

const TASK: [&str; 7] = ["action", "input", "delay", "join", "with", "retry", "next"];

impl Import<'_> {
    /// Returns a task in our language.
    pub(super) fn task(&mut self, name: NodeId, task: NodeId) -> Value {
        let source = self.source;
        let name = source.str(name).unwrap_or_default().to_owned();
        let ours = self.scope.tasks.get(&name).cloned().unwrap_or_default();
        self.place = format!("task {name}");
        self.scope.items.clear();
        self.scope.is_asking = self.scope.asking.contains(&ours);
        let mut out = Map::new();
        out.insert("name".into(), ours.clone().into());
        let Content::Map(_) = source.content(task) else { return Value::Object(out) };
        self.unknown(task, &TASK);
        let with = source.get(task, "with").map(|with| self.with(with));
        let mut input = match source.get(task, "input").map(|node| source.value(node)) {
            Some(Value::Object(input)) => input,
            Some(Value::String(text)) => {
                let value = self.value(Value::String(text));
                out.insert("input".into(), value);
                Map::new()
            }
            _ => Map::new(),
        };
        let action = source.get(task, "action").and_then(|node| source.str(node)).unwrap_or_default().to_owned();
        let (action, more) = action_of(&action);
        input.extend(more);
        let input: Map<String, Value> = input.into_iter().map(|(key, value)| (key, self.value(value))).collect();
        if self.scope.is_asking {
            self.ask(&ours, input, &mut out);
        } else if !(action.is_empty() || action == "core.noop" && with.is_none()) {
            let action = self.action(&action);
            out.insert("action".into(), action.into());
            if !input.is_empty() {
                out.insert("input".into(), input.into());
            }
        }
        if let Some(delay) = source.get(task, "delay") {
            out.insert("delay".into(), self.value(source.value(delay)));
        }
        if let Some(join) = source.get(task, "join") {
            out.insert("join".into(), source.value(join));
        }
        out.extend(with.map(|with| ("with_items".to_owned(), with)));
        if let Some(retry) = source.get(task, "retry") {
            self.retry(retry, &mut out);
        }
        let next: Vec<Value> = source
            .get(task, "next")
            .map(|next| items(source, next))
            .unwrap_or_default()
            .into_iter()
            .map(|next| self.transition(next))
            .collect();
        if !next.is_empty() {
            out.insert("next".into(), next.into());
        }
        Value::Object(out)
    }

    fn retry(&mut self, retry: NodeId, out: &mut Map<String, Value>) {
        if !out.contains_key("action") {
            return self.note("does nothing that could fail, and is not retried");
        }
        let retry: Map<String, Value> = pairs(self.source, retry)
            .into_iter()
            .map(|(key, node)| (key, self.value(node.map(|node| self.source.value(node)).unwrap_or_default())))
            .collect();
        out.insert("retry".into(), retry.into());
    }

    fn action(&mut self, action: &str) -> String {
        if has_expression(action) {
            return self.text(action);
        }
        match names::action(action) {
            Some((ours, changed)) => {
                if changed {
                    self.note(format!("the action {action} is called {ours} here"));
                }
                ours
            }
            None => {
                self.lost(format!("{action} is not the ref of an action"));
                action.to_owned()
            }
        }
    }

    /// Converts a question to people into a wait for a signal, whose payload is the response.
    fn ask(&mut self, name: &str, mut input: Map<String, Value>, out: &mut Map<String, Value>) {
        let mut wait = Map::new();
        wait.insert("signal".into(), name.into());
        if let Some(minutes) = input.remove("ttl") {
            match minutes.as_u64() {
                Some(0) => {}
                Some(minutes) => drop(wait.insert("timeout".into(), (minutes * 60).into())),
                None => self.lost(format!("the ttl {minutes}")),
            }
        }
        if let Some(Value::Object(schema)) = input.remove("schema") {
            wait.insert("schema".into(), draft_3(schema));
        }
        self.note(format!("core.ask waits for the signal {name} here; its payload is the response"));
        out.insert("wait_for".into(), wait.into());
        if !input.is_empty() {
            out.insert("input".into(), input.into());
        }
    }

    /// Reads the items of a task, and notes the names of their parts.
    fn with(&mut self, with: NodeId) -> Value {
        let source = self.source;
        let (text, concurrency) = match source.str(with) {
            Some(text) => (text.to_owned(), None),
            None => {
                self.unknown(with, &["items", "concurrency"]);
                let items = source.get(with, "items").map(|node| source.value(node)).unwrap_or_default();
                let Value::String(text) = items else { return json!({ "items": items }) };
                (text, source.get(with, "concurrency").map(|node| source.value(node)))
            }
        };
        let expression = text.find("<%").or_else(|| text.find("{{")).unwrap_or(0);
        let (parts, items) = text.split_at(expression);
        if let Some(parts) = parts.trim().strip_suffix("in").filter(|parts| parts.ends_with(char::is_whitespace)) {
            self.scope.items = parts.split(',').map(|part| part.trim().to_owned()).collect();
        }
        let mut out = Map::new();
        out.insert("items".into(), self.text(items.trim()).into());
        if let Some(concurrency) = concurrency {
            out.insert("concurrency".into(), self.value(concurrency));
        }
        Value::Object(out)
    }

    fn transition(&mut self, next: NodeId) -> Value {
        let source = self.source;
        self.unknown(next, &["when", "publish", "do"]);
        let mut out = Map::new();
        if let Some(when) = source.get(next, "when") {
            out.insert("when".into(), self.value(source.value(when)));
        }
        if let Some(publish) = source.get(next, "publish") {
            let publish = self.assignments(publish);
            if !publish.is_empty() {
                out.insert("publish".into(), publish.into());
            }
        }
        if let Some(to) = source.get(next, "do") {
            let names: Vec<String> = match source.value(to) {
                Value::String(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
                Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            };
            // Commands, such as `fail`, have the same names.
            let ours: Vec<String> =
                names.into_iter().map(|name| self.scope.tasks.get(&name).cloned().unwrap_or(name)).collect();
            out.insert("do".into(), ours.into());
        }
        Value::Object(out)
    }
}

/// Returns StackStorm's schema of an answer, where each property says whether it is required, as JSON Schema.
fn draft_3(schema: Map<String, Value>) -> Value {
    let properties = match schema.get("properties") {
        Some(Value::Object(properties)) => properties.clone(),
        _ => schema,
    };
    let mut required = Vec::new();
    let mut ours = Map::new();
    for (name, mut property) in properties {
        if let Some(property) = property.as_object_mut() {
            if property.remove("required") == Some(Value::Bool(true)) {
                required.push(Value::from(name.as_str()));
            }
            property.remove("secret");
            property.remove("position");
        }
        ours.insert(name, property);
    }
    json!({"type": "object", "required": required, "properties": ours})
}
