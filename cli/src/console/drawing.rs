//! Graphs as SVG, colored by style sheets: tasks with their status, the numbers of their items, and links to them.

use super::form::encoded;
use super::page;
use crate::picture::{Graph, Node, Shape, Size, curve, place, size};
use maud::{Markup, html};
use pg_workflow_client::TaskCount;
use std::collections::HashMap;

/// Data for drawing a graph.
#[derive(Default)]
pub struct Subject<'s> {
    /// The execution; `None` for a definition.
    pub execution: Option<i64>,
    pub counts: &'s [TaskCount],
}

/// Draws a graph.
pub fn draw(graph: &Graph, subject: &Subject, label: &str) -> Markup {
    if graph.nodes.is_empty() {
        return page::nothing("There is nothing to draw.");
    }
    let counts: HashMap<&str, &TaskCount> =
        subject.counts.iter().filter(|count| !count.is_undo).map(|count| (count.task_name.as_str(), count)).collect();
    let undone: HashMap<&str, &TaskCount> =
        subject.counts.iter().filter(|count| count.is_undo).map(|count| (count.task_name.as_str(), count)).collect();
    let notes: Vec<Vec<String>> = graph
        .nodes
        .iter()
        .map(|node| notes(counts.get(node.name.as_str()).copied(), undone.get(node.name.as_str()).copied()))
        .collect();
    let sizes: Vec<Size> = graph
        .nodes
        .iter()
        .zip(&notes)
        .map(|(node, notes)| {
            let lines = [node.lines.clone(), notes.clone()].concat();
            size(&Node { lines, ..node.clone() })
        })
        .collect();
    let layout = place(graph, &sizes);
    let (width, height) = (layout.width.ceil(), layout.height.ceil());
    html! {
        div.graph data-graph {
            div.tools role="group" aria-label="Zoom" {
                button type="button" data-zoom="in" aria-label="Zoom in" { "+" }
                button type="button" data-zoom="out" aria-label="Zoom out" { "−" }
                button type="button" data-zoom="fit" { "Fit" }
            }
            svg viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) role="group" aria-label=(label) {
                defs { marker #to viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse" {
                    path.head d="M0,0 L10,5 L0,10 z" {}
                } }
                @for (number, (edge, points)) in graph.edges.iter().zip(&layout.edges).enumerate() {
                    path class=(if edge.missed { "edge missed" } else if edge.dashed { "edge dashed" } else { "edge" })
                        d=(curve(points, sizes[edge.from].width / 2.0)) marker-end="url(#to)" {}
                    @if let ([(ax, ay), (bx, by), ..], false) = (&points[..], edge.label.is_empty()) {
                        text.when x=(format!("{:.0}", ax + (bx - ax) * along(number))) y=(format!("{:.0}", ay + (by - ay) * along(number))) { (short(&edge.label)) }
                    }
                }
                @for (at, node) in graph.nodes.iter().enumerate() {
                    (task(node, sizes[at], layout.nodes[at], &notes[at], counts.get(node.name.as_str()).copied(), subject.execution))
                }
            }
        }
    }
}

/// Names the statuses that occur in the graph of an execution, and the signs that its tasks have.
pub fn legend(graph: &Graph, counts: &[TaskCount]) -> Markup {
    let occurs = |status: &str| graph.nodes.iter().any(|node| node.paint.status() == status);
    let names = ["pending", "running", "completed", "failed", "skipped", "cancelled"];
    let signs = [
        (counts.iter().any(|count| count.retries > 0), "↻ retries"),
        (counts.iter().any(|count| count.is_undo), "↶ undo"),
        (counts.iter().any(|count| count.closing), "⤓ closing"),
    ];
    html! {
        p.legend {
            @for name in names { @if occurs(name) { span class=(format!("key k-{name}")) { (name) } } }
            @if occurs("") { span.key.k-untouched { "not reached" } }
            @for (_, sign) in signs.iter().filter(|(occurs, _)| *occurs) { span.dim { (sign) } }
        }
    }
}

/// Returns the position of an edge's label along the edge, so that labels of neighboring edges do not overlap.
fn along(number: usize) -> f64 {
    0.36 + 0.22 * (number % 2) as f64
}

/// Returns additional text about a task: its items, its retries, and whether it was undone.
fn notes(count: Option<&TaskCount>, undo: Option<&TaskCount>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(count) = count {
        if count.has_items || count.total > 1 {
            let failed =
                if count.failed > 0 { format!(", {} failed", page::number(count.failed)) } else { String::new() };
            notes.push(format!("{} of {} done{failed}", page::number(count.completed), page::number(count.total)));
        }
        if count.retries > 0 {
            notes.push(format!(
                "↻ {} {}",
                page::number(count.retries),
                if count.retries == 1 { "retry" } else { "retries" }
            ));
        }
        if count.closing {
            notes.push("⤓ closing".to_owned());
        }
    }
    if let Some(undo) = undo {
        let word = if undo.failed > 0 {
            "undo failed"
        } else if undo.ended_at.is_some() {
            "undone"
        } else {
            "undoing"
        };
        notes.push(format!("↶ {word}"));
    }
    notes
}

fn task(
    node: &Node,
    size: Size,
    (x, y): (f64, f64),
    notes: &[String],
    count: Option<&TaskCount>,
    execution: Option<i64>,
) -> Markup {
    let status = match node.paint.status() {
        "" if execution.is_some() => "untouched",
        "" => "plain",
        status => status,
    };
    let closing = if count.is_some_and(|count| count.closing) { " closing" } else { "" };
    let class = format!("node n-{status}{closing}");
    let name = match status {
        "plain" => node.name.clone(),
        "untouched" => format!("{}: not reached", node.name),
        status => format!("{}: {status}", node.name),
    };
    // The accessible name begins with the visible text, so that the task can be referred to by what is seen.
    let lines: Vec<String> = node.lines.iter().chain(notes).map(|line| short(line)).collect();
    let label = format!("{}, {status}", lines.join(" "));
    let shape = html! {
        (outline(node, size, x, y))
        @for (at, line) in lines.iter().enumerate() {
            text class=(if at == 0 { "name" } else if at >= node.lines.len() { "note" } else { "line" })
                x=(format!("{x:.0}")) y=(format!("{:.0}", y - size.height / 2.0 + 19.0 + 16.0 * at as f64)) { (line) } " "
        }
    };
    match (execution, count) {
        (Some(execution), Some(_)) => html! {
            a class=(class) href=(format!("/executions/{execution}?task={}#tasks", encoded(&node.name))) aria-label=(label) { (shape) }
        },
        _ => html! { g class=(class) { title { (name) } (shape) } },
    }
}

fn outline(node: &Node, size: Size, x: f64, y: f64) -> Markup {
    let (left, top) = (x - size.width / 2.0, y - size.height / 2.0);
    let (right, bottom) = (left + size.width, top + size.height);
    match node.shape {
        Shape::Decision => {
            let points = format!(
                "{:.0},{y:.0} {left:.0},{top:.0} {right:.0},{top:.0} {:.0},{y:.0} {right:.0},{bottom:.0} {left:.0},{bottom:.0}",
                left - 12.0,
                right + 12.0
            );
            html! { polygon points=(points) {} }
        }
        shape => {
            let radius = if shape == Shape::Round { size.height / 2.0 } else { 6.0 };
            html! { rect x=(format!("{left:.0}")) y=(format!("{top:.0}")) width=(format!("{:.0}", size.width)) height=(format!("{:.0}", size.height)) rx=(format!("{radius:.0}")) {} }
        }
    }
}

/// Returns text shortened to fit, without control characters.
fn short(text: &str) -> String {
    crate::output::visible(&conductor::finding::shorten(text, crate::picture::SHOWN))
}
