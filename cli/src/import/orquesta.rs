//! Orquesta's workflows: their inputs, variables and output, and what each name in them means.

mod task;
mod written;

use super::render::{self, Scope};
use super::{Report, jinja, names, yaql};
use conductor::bounds::Bounds;
use conductor::source::{Content, NodeId, Source};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use written::{has_expression, inline, next_expression};

const WORKFLOW: [&str; 7] = ["version", "description", "input", "vars", "output", "tasks", "tags"];

/// Returns a workflow in our language. Anything that can't be converted is reported. The error says why nothing can be.
pub fn import(text: &[u8], reference: &str, report: &mut Report) -> Result<Value, String> {
    let (source, defects) = Source::read(text, &Bounds::default());
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
    let version = source.get(root, "version").map(|node| source.literal(node).trim_matches(['\'', '"']).to_owned());
    let version = version.as_deref().unwrap_or("1.0");
    if has("workflows") || version.starts_with('2') {
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
    if version != "1" && !version.starts_with("1.0") {
        return Err(format!("its version is {version}: only version 1.0 of Orquesta can be imported"));
    }
    Ok(())
}

struct Import<'i> {
    source: &'i Source,
    scope: Scope,
    report: &'i mut Report,
    /// What is being read, for messages.
    place: String,
    /// Whether an assignment is visible only to those after it.
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

    /// Determines what each name means before anything is converted.
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
        self.scope.parameters = inputs.into_iter().collect();
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
        // Inputs that tasks publish, and variables that are only published, exist from the start. A declaration may
        // read those before it.
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
                    // As plain text, it does no harm and is easy to find.
                    out += &format!("UNTRANSLATED({})", inner.trim());
                }
            }
            rest = after;
        }
        out + rest
    }
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
