//! The structure of Orquesta's workflows.

use super::render::{self, Scope};
use super::{Report, jinja, names, yaql};
use conductor::limits::Limits;
use conductor::source::{Content, NodeId, Source};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const WORKFLOW: [&str; 7] = ["version", "description", "input", "vars", "output", "tasks", "tags"];
const TASK: [&str; 7] = ["action", "input", "delay", "join", "with", "retry", "next"];

/// Returns a workflow in our language. Anything that can't be converted is reported. The error says why nothing can be.
pub fn import(text: &[u8], reference: &str, report: &mut Report) -> Result<Value, String> {
    let (source, defects) = Source::read(text, &Limits::default());
    if let Some(defect) = defects.first() {
        let before = &source.text()[..defect.at.min(source.text().len())];
        return Err(format!("line {}: {}", before.matches('\n').count() + 1, defect.message));
    }
    let root = source.root().ok_or("it is empty")?;
    let Content::Map(_) = source.content(root) else { return Err("a workflow of Orquesta is a map".to_owned()) };
    refuse_others(&source, root)?;
    let tasks = source.get(root, "tasks").ok_or("it has no tasks: is it a workflow of Orquesta?")?;
    let Content::Map(tasks) = source.content(tasks) else { return Err("its tasks are not a map".to_owned()) };

    let mut import =
        Import { source: &source, scope: Scope::default(), report, place: "workflow".to_owned(), is_output: false };
    import.unknown(root, &WORKFLOW);
    import.find_names(root, tasks);
    let mut out = Map::new();
    out.insert("ref".into(), reference.into());
    let description = source.get(root, "description").and_then(|node| source.str(node)).map(str::trim);
    let label = description.and_then(|text| text.lines().next()).filter(|text| !text.is_empty());
    out.insert("label".into(), label.unwrap_or(reference).chars().take(200).collect::<String>().into());
    out.insert("version".into(), "1.0.0".into());
    if let Some(description) = description.filter(|text| !text.is_empty()) {
        out.insert("description".into(), description.into());
    }
    import.inputs(root, &mut out);
    import.variables(root, &mut out);
    let list: Vec<Value> = tasks.iter().map(|(name, task)| import.task(*name, *task)).collect();
    out.insert("tasks".into(), list.into());
    import.place = "output".to_owned();
    import.is_output = true;
    let output = source.get(root, "output").map(|node| import.assignments(node)).unwrap_or_default();
    if !output.is_empty() {
        out.insert("output_map".into(), output.into());
    }
    Ok(Value::Object(out))
}

/// Refuses other known kinds of workflow.
fn refuse_others(source: &Source, root: NodeId) -> Result<(), String> {
    let has = |key: &str| source.get(root, key).is_some();
    if has("workflows") || source.get(root, "version").is_some_and(|node| source.literal(node).contains('2')) {
        return Err(
            "this is a workflow of Mistral, which Orquesta has replaced: migrate it to Orquesta first".to_owned()
        );
    }
    if has("chain") {
        return Err("this is an ActionChain: migrate it to Orquesta first".to_owned());
    }
    if has("runner_type") || has("entry_point") {
        return Err("these are an action's metadata: import the file that its entry_point names".to_owned());
    }
    Ok(())
}

struct Import<'i> {
    source: &'i Source,
    scope: Scope,
    report: &'i mut Report,
    /// What is being read, for messages.
    place: String,
    /// Whether what is being assigned can be read only by what follows it.
    is_output: bool,
}

impl Import<'_> {
    fn note(&mut self, text: impl std::fmt::Display) {
        self.report.notes.push(format!("{}: {text}", self.place));
    }

    fn lost(&mut self, text: impl std::fmt::Display) {
        self.report.lost.push(format!("{}: {text}", self.place));
    }

    fn unknown(&mut self, map: NodeId, known: &[&str]) {
        for (key, _) in self.source.entries(map).to_vec() {
            let key = self.source.str(key).unwrap_or_default().to_owned();
            if !known.contains(&key.as_str()) {
                self.lost(format!("the field {key}"));
            }
        }
    }

    /// Finds out what each name means before anything is read.
    fn find_names(&mut self, root: NodeId, tasks: &[(NodeId, NodeId)]) {
        let source = self.source;
        let keys = |node: Option<NodeId>| -> Vec<String> {
            node.map(|node| pairs(source, node)).unwrap_or_default().into_iter().map(|(name, _)| name).collect()
        };
        let inputs = keys(source.get(root, "input"));
        self.scope.variables.extend(keys(source.get(root, "vars")));
        for (name, task) in tasks {
            let name = source.str(*name).unwrap_or_default();
            let ours = names::name(name);
            if ours != name {
                self.place = format!("task {name}");
                self.note(format!("is called {ours} here"));
            }
            if source.get(*task, "action").and_then(|node| source.str(node)) == Some("core.ask") {
                self.scope.asking.insert(ours.clone());
            }
            self.scope.tasks.insert(name.to_owned(), ours);
            let next = source.get(*task, "next").map(|next| items(source, next)).unwrap_or_default();
            for transition in next {
                if let Some(publish) = source.get(transition, "publish") {
                    match source.str(publish) {
                        Some(text) => self.scope.variables.extend(inline(text).into_iter().map(|(name, _)| name)),
                        None => self.scope.variables.extend(keys(Some(publish))),
                    }
                }
            }
        }
        self.place = "workflow".to_owned();
        let (published, parameters): (BTreeSet<String>, BTreeSet<String>) =
            inputs.into_iter().partition(|name| self.scope.variables.contains(name));
        self.scope.parameters = parameters;
        self.scope.parameters.extend(published);
    }

    fn inputs(&mut self, root: NodeId, out: &mut Map<String, Value>) {
        let Some(input) = self.source.get(root, "input") else { return };
        let mut properties = Map::new();
        for (name, value) in pairs(self.source, input) {
            // In Orquesta, missing inputs are null.
            let default = match value.map(|node| self.source.value(node)) {
                Some(Value::String(text)) if has_expression(&text) => {
                    self.place = format!("input {name}");
                    self.lost(format!("the default {text} is an expression"));
                    Value::Null
                }
                default => default.unwrap_or_default(),
            };
            properties.insert(name, json!({ "default": default }));
        }
        out.insert("parameters".into(), json!({"type": "object", "properties": properties}));
    }

    fn variables(&mut self, root: NodeId, out: &mut Map<String, Value>) {
        let given = self.source.get(root, "vars").map(|node| pairs(self.source, node)).unwrap_or_default();
        let mut vars: Vec<Value> = Vec::new();
        // Inputs that are changed, and variables that are only published, exist from the start. A declaration may read
        // those before it.
        let declared: BTreeSet<&String> = given.iter().map(|(name, _)| name).collect();
        for name in self.scope.variables.clone().iter().filter(|name| !declared.contains(name)) {
            let value = match self.scope.parameters.contains(name) {
                true => format!("{{{{ {} }}}}", render::path("parameters", name)).into(),
                false => Value::Null,
            };
            vars.push(json!({ (self.variable(name)): value }));
        }
        for (name, value) in given {
            self.place = format!("variable {name}");
            let value = value.map(|node| self.source.value(node)).unwrap_or_default();
            vars.push(json!({ (self.variable(&name)): self.value(value) }));
        }
        if !vars.is_empty() {
            out.insert("vars".into(), vars.into());
        }
    }

    fn task(&mut self, name: NodeId, task: NodeId) -> Value {
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
        let retry = source.get(task, "retry");
        if retry.is_some() && !out.contains_key("action") {
            self.note("does nothing that could fail, and is not retried");
        } else if let Some(retry) = retry {
            let retry: Map<String, Value> = pairs(source, retry)
                .into_iter()
                .map(|(key, node)| (key, self.value(node.map(|node| source.value(node)).unwrap_or_default())))
                .collect();
            out.insert("retry".into(), retry.into());
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

    /// A question to people becomes a wait for a signal, whose payload is the response.
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

    /// Reads a list of assignments, a map of them, or `a=1 b=2`.
    fn assignments(&mut self, node: NodeId) -> Vec<Value> {
        let given: Vec<(String, Value)> = match self.source.str(node) {
            Some(text) => inline(text),
            None => pairs(self.source, node)
                .into_iter()
                .map(|(name, value)| (name, value.map(|node| self.source.value(node)).unwrap_or_default()))
                .collect(),
        };
        let mut all = Vec::new();
        for (name, value) in given {
            let (ours, value) = (self.variable(&name), self.value(value));
            all.push(json!({ (ours): value }));
            if self.is_output {
                self.scope.variables.insert(name);
            }
        }
        all
    }

    /// Returns our name for a variable.
    fn variable(&mut self, name: &str) -> String {
        let ours = names::name(name);
        if ours != name {
            self.note(format!("the variable {name} is called {ours} here"));
        }
        ours
    }

    fn value(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => self.text(&text).into(),
            Value::Array(list) => list.into_iter().map(|value| self.value(value)).collect(),
            Value::Object(map) => {
                map.into_iter().map(|(key, value)| (key, self.value(value))).collect::<Map<_, _>>().into()
            }
            other => other,
        }
    }

    /// Returns text with our expressions. An expression that can't be converted is kept as it was, and reported.
    fn text(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, open, inner, after)) = next_expression(rest) {
            out += before;
            let rendered = match open {
                "<%" => yaql::read(inner).and_then(|expr| render::jinja(&expr, &self.scope)),
                _ => jinja::translate(inner.trim(), &self.scope),
            };
            match rendered {
                Ok(rendered) => out += &format!("{{{{ {} }}}}", self.scope.unwrapped(rendered)),
                Err(why) => {
                    self.lost(format!("{open}{inner}{}: {why}", if open == "<%" { "%>" } else { "}}" }));
                    // As text, it can be found again, and does nothing.
                    out += &format!("UNTRANSLATED({})", inner.trim());
                }
            }
            rest = after;
        }
        out + rest
    }
}

fn has_expression(text: &str) -> bool {
    next_expression(text).is_some()
}

/// Returns the text before the next expression, its opening delimiter, its contents, and the rest.
fn next_expression(text: &str) -> Option<(&str, &'static str, &str, &str)> {
    let (at, open, close) = [("<%", "%>"), ("{{", "}}")]
        .into_iter()
        .filter_map(|(open, close)| text.find(open).map(|at| (at, open, close)))
        .min()?;
    let (inner, after) = text[at + 2..].split_once(close)?;
    Some((&text[..at], open, inner, after))
}

/// Returns the entries of a map, of a list of maps, or of a list of names.
fn pairs(source: &Source, node: NodeId) -> Vec<(String, Option<NodeId>)> {
    let entries = |map: NodeId| -> Vec<(String, Option<NodeId>)> {
        source
            .entries(map)
            .iter()
            .map(|(key, value)| (source.str(*key).unwrap_or_default().to_owned(), Some(*value)))
            .collect()
    };
    match source.content(node) {
        Content::List(items) => items
            .iter()
            .flat_map(|item| match source.str(*item) {
                Some(name) => vec![(name.to_owned(), None)],
                None => entries(*item),
            })
            .collect(),
        _ => entries(node),
    }
}

fn items(source: &Source, node: NodeId) -> Vec<NodeId> {
    match source.content(node) {
        Content::List(items) => items.clone(),
        _ => Vec::new(),
    }
}

/// Splits `core.local cmd="date" timeout=3` into the action and its input.
fn action_of(text: &str) -> (String, Vec<(String, Value)>) {
    if has_expression(text.split_whitespace().next().unwrap_or_default()) && !text.contains('=') {
        return (text.to_owned(), Vec::new());
    }
    match text.trim().split_once(char::is_whitespace) {
        Some((action, input)) if !action.starts_with("<%") && !action.starts_with("{{") => {
            (action.to_owned(), inline(input))
        }
        _ => (text.trim().to_owned(), Vec::new()),
    }
}

/// Reads `a=1 b="two words" c=<% ctx().x %>`.
fn inline(text: &str) -> Vec<(String, Value)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let ends = [("<%", "%>"), ("{{", "}}")].into_iter().find(|(open, _)| after.starts_with(open));
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, left) = match (ends, quote) {
            (Some((_, close)), _) => after.find(close).map_or((after, ""), |at| after.split_at(at + 2)),
            (None, Some(quote)) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
            (None, None) => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        let value = match quote.is_some() || ends.is_some() {
            true => Value::from(value),
            false => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        };
        pairs.push((name.trim().trim_start_matches([',', ';']).trim().to_owned(), value));
        rest = left.trim();
    }
    pairs
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_input_is_split() {
        let (action, input) = action_of("core.local cmd=\"echo <% ctx().x %>\" timeout=3 who=<% ctx(a) %> on=true");
        assert_eq!(action, "core.local");
        let expected = [
            ("cmd", json!("echo <% ctx().x %>")),
            ("timeout", json!(3)),
            ("who", json!("<% ctx(a) %>")),
            ("on", json!(true)),
        ];
        assert_eq!(input, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(action_of("<% ctx().action %>").0, "<% ctx().action %>");
    }
}
