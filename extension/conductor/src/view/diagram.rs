//! A definition as a diagram: Mermaid or DOT text, with tasks colored by status.

use crate::graph::undo::undo_name;
use crate::interrupt;
use crate::language::definition::{Definition, Task};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// Status words of tasks, by task name.
pub type Statuses = BTreeMap<String, String>;

const COLOURS: [(&str, &str); 6] = [
    ("pending", "#eeeeee"),
    ("running", "#9ecbff"),
    ("completed", "#a6e3a1"),
    ("failed", "#f5a3a3"),
    ("skipped", "#dddddd"),
    ("cancelled", "#f0d58c"),
];

/// Returns Mermaid text.
pub fn mermaid(definition: &Definition, statuses: Option<&Statuses>) -> String {
    let mut text = String::from("flowchart TD\n");
    for (id, task) in definition.tasks.iter().enumerate() {
        let label = escape(&label(task));
        let _ = match shape(task) {
            Shape::Work => writeln!(text, "  t{id}[\"{label}\"]"),
            Shape::Decision => writeln!(text, "  t{id}{{\"{label}\"}}"),
            Shape::Join => writeln!(text, "  t{id}[[\"{label}\"]]"),
        };
    }
    for (from, to, when) in interrupt::checked(edges(definition)) {
        let _ = match when {
            None => writeln!(text, "  t{from} --> {to}"),
            Some(when) => writeln!(text, "  t{from} -- \"{}\" --> {to}", escape(when)),
        };
    }
    for command in commands(definition) {
        let _ = writeln!(text, "  {command}([\"{command}\"])");
    }
    for (id, label, _) in undos(definition, statuses) {
        let _ = writeln!(text, "  u{id}[/\"{}\"/]\n  t{id} -. \"undo\" .-> u{id}", escape(&label));
    }
    if let Some(statuses) = statuses {
        for (status, colour) in COLOURS {
            let _ = writeln!(text, "  classDef {status} fill:{colour},stroke:#333333,color:#000000");
        }
        for (id, task) in definition.tasks.iter().enumerate() {
            if let Some(status) =
                statuses.get(&task.name).filter(|status| COLOURS.iter().any(|(known, _)| known == status))
            {
                let _ = writeln!(text, "  class t{id} {status}");
            }
        }
        for (id, _, status) in undos(definition, Some(statuses)) {
            if let Some(status) = status.filter(|status| COLOURS.iter().any(|(known, _)| known == status)) {
                let _ = writeln!(text, "  class u{id} {status}");
            }
        }
    }
    text
}

/// Returns DOT text, for Graphviz.
pub fn dot(definition: &Definition, statuses: Option<&Statuses>) -> String {
    let mut text = String::from("digraph workflow {\n  node [fontname=\"sans-serif\"];\n");
    for (id, task) in definition.tasks.iter().enumerate() {
        let shape = match shape(task) {
            Shape::Work => "box",
            Shape::Decision => "diamond",
            Shape::Join => "box3d",
        };
        let status = statuses.and_then(|statuses| statuses.get(&task.name));
        let fill = fill(status.map(String::as_str));
        let _ = writeln!(text, "  t{id} [shape={shape}, label=\"{}\"{fill}];", quote(&label(task)));
    }
    for (id, label, status) in undos(definition, statuses) {
        let (label, fill) = (quote(&label), fill(status));
        let _ = writeln!(text, "  u{id} [shape=parallelogram, label=\"{label}\"{fill}];");
        let _ = writeln!(text, "  t{id} -> u{id} [style=dotted, label=\"undo\"];");
    }
    for (from, to, when) in interrupt::checked(edges(definition)) {
        let label = when.map(|when| format!(" [label=\"{}\"]", quote(when))).unwrap_or_default();
        let _ = writeln!(text, "  t{from} -> {to}{label};");
    }
    text.push_str("}\n");
    text
}

enum Shape {
    Work,
    Decision,
    Join,
}

fn shape(task: &Task) -> Shape {
    match (&task.action, task.next.len() > 1, task.join.is_some()) {
        (None, true, _) => Shape::Decision,
        (_, _, true) => Shape::Join,
        _ => Shape::Work,
    }
}

fn label(task: &Task) -> String {
    let items = if task.with_items.is_some() { " (each item)" } else { "" };
    match &task.action {
        Some(action) => format!("{}{items}\n{action}", task.name),
        None => task.name.clone(),
    }
}

fn fill(status: Option<&str>) -> String {
    let colour = COLOURS.iter().find(|(known, _)| Some(*known) == status).map(|(_, colour)| *colour);
    colour.map(|colour| format!(", style=filled, fillcolor=\"{colour}\"")).unwrap_or_default()
}

/// Returns what undoes tasks: the task's number, the label, the status. A call without an undo of its own is shown once
/// the execution that it called undoes itself.
fn undos<'a>(
    definition: &'a Definition,
    statuses: Option<&'a Statuses>,
) -> impl Iterator<Item = (usize, String, Option<&'a str>)> {
    definition.tasks.iter().enumerate().filter_map(move |(id, task)| {
        let name = undo_name(&task.name);
        let status = statuses.and_then(|statuses| statuses.get(&name)).map(String::as_str);
        match &task.undo {
            Some(undo) => Some((id, format!("{name}\n{}", undo.action), status)),
            None => status.map(|status| (id, name, Some(status))),
        }
    })
}

/// Returns source, target and condition of every transition. `fail` is drawn; the other commands lead nowhere.
fn edges(definition: &Definition) -> Vec<(usize, String, Option<&str>)> {
    let numbers: HashMap<&str, usize> =
        definition.tasks.iter().enumerate().rev().map(|(number, task)| (task.name.as_str(), number)).collect();
    let mut edges = Vec::new();
    for (from, task) in definition.tasks.iter().enumerate() {
        for next in interrupt::checked(&task.next) {
            for target in interrupt::checked(&next.targets) {
                let to = match (numbers.get(target.as_str()), target.as_str()) {
                    (Some(to), _) => format!("t{to}"),
                    (None, "fail") => "fail".to_owned(),
                    (None, "retry") => format!("t{from}"),
                    (None, _) => continue,
                };
                edges.push((from, to, next.when.as_deref().map(condition)));
            }
        }
    }
    edges
}

fn commands(definition: &Definition) -> Vec<&'static str> {
    let fails = definition
        .tasks
        .iter()
        .flat_map(|task| &task.next)
        .any(|next| next.targets.iter().any(|target| target == "fail"));
    if fails { vec!["fail"] } else { Vec::new() }
}

/// Returns a condition without its braces.
fn condition(when: &str) -> &str {
    let trimmed = when.trim();
    let inner = trimmed.strip_prefix("{{").and_then(|inner| inner.strip_suffix("}}"));
    inner.map_or(trimmed, str::trim)
}

/// Escapes text for Mermaid, which supports entities inside quotes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("#quot;"),
            '#' => escaped.push_str("#35;"),
            '&' => escaped.push_str("#amp;"),
            '<' => escaped.push_str("#lt;"),
            '>' => escaped.push_str("#gt;"),
            '\n' => escaped.push_str("<br/>"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Quotes text for DOT.
fn quote(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
