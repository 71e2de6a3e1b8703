//! Pictures of workflows, as SVG or PNG: a graph of tasks, laid out in layers, and bars that show when tasks ran.

mod bars;
mod dot;
mod layout;
mod png;
mod svg;

pub use bars::{Bar, bars, took};
pub use dot::read as of_dot;
pub use layout::{Size, layers, place};
pub use png::{Png, png};
pub use svg::{SHOWN, curve, size, svg};

use conductor::language::definition::Definition;

/// A graph that can be drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

/// A task.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub id: String,
    /// The first line of its label.
    pub name: String,
    /// Its text.
    pub lines: Vec<String>,
    pub shape: Shape,
    pub paint: Paint,
}

/// The outline of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Box,
    Round,
    Decision,
}

/// How a node is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Pending,
    Running,
    Completed,
    Failed,
    Skipped,
    Cancelled,
}

/// A transition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edge {
    /// Places in the list of nodes.
    pub from: usize,
    pub to: usize,
    pub label: String,
    pub dashed: bool,
    /// Whether no test has reached it.
    pub missed: bool,
    /// The name of the task that it leaves, and its number there.
    pub from_name: String,
    pub number: usize,
}

impl Paint {
    /// Every paint with its color, as the engine's diagrams have them.
    pub const COLORS: [(Paint, &'static str); 7] = [
        (Paint::Plain, "#ffffff"),
        (Paint::Pending, "#eeeeee"),
        (Paint::Running, "#9ecbff"),
        (Paint::Completed, "#a6e3a1"),
        (Paint::Failed, "#f5a3a3"),
        (Paint::Skipped, "#dddddd"),
        (Paint::Cancelled, "#f0d58c"),
    ];

    /// Returns the color.
    pub fn color(self) -> &'static str {
        Paint::COLORS.iter().find(|(paint, _)| *paint == self).map_or("#ffffff", |(_, color)| color)
    }

    /// Returns the paint of a status.
    pub fn of_status(status: &str) -> Paint {
        let known = Paint::COLORS.iter().find(|(paint, _)| paint.status() == status);
        known.map_or(Paint::Plain, |(paint, _)| *paint)
    }

    /// Returns the status that it represents.
    pub fn status(self) -> &'static str {
        match self {
            Paint::Plain => "",
            Paint::Pending => "pending",
            Paint::Running => "running",
            Paint::Completed => "completed",
            Paint::Failed => "failed",
            Paint::Skipped => "skipped",
            Paint::Cancelled => "cancelled",
        }
    }
}

/// Returns the graph of a definition.
pub fn of_definition(definition: &Definition) -> Graph {
    let mut graph = of_dot(&conductor::view::diagram::dot(definition, None));
    // The diagram has one edge per target, in the order of the transitions.
    let mut numbers = definition.tasks.iter().flat_map(|task| {
        task.next.iter().enumerate().flat_map(move |(number, next)| {
            let drawn = next.targets.iter().filter(|target| {
                matches!(target.as_str(), "fail" | "retry") || definition.tasks.iter().any(|task| task.name == **target)
            });
            drawn.map(move |_| (task.name.clone(), number))
        })
    });
    for edge in graph.edges.iter_mut().filter(|edge| !edge.dashed) {
        if let Some((name, number)) = numbers.next() {
            (edge.from_name, edge.number) = (name, number);
        }
    }
    graph
}
