//! Which tasks and transitions of a definition are reached by tests.

use super::memory_host::RowStatus;
use super::play::Performance;
use crate::engine::status::TaskEnd;
use crate::finding::shorten;
use crate::graph::{Graph, NodeId};
use crate::interrupt;
use crate::language::parse::Parsed;
use serde::Serialize;
use std::collections::BTreeSet;

/// What was reached, in one execution or in several.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coverage {
    tasks: BTreeSet<NodeId>,
    transitions: BTreeSet<(NodeId, u32)>,
}

/// A task or a transition that was not reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Uncovered {
    /// The line in the definition; 0 if unknown.
    pub line: u32,
    /// A description of it.
    pub what: String,
}

/// How much of a definition was reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoverageReport {
    /// Number of tasks and transitions reached.
    pub covered: usize,
    /// Total number of tasks and transitions.
    pub total: usize,
    /// Those that were not reached, in the order of the definition.
    pub missed: Vec<Uncovered>,
}

impl CoverageReport {
    /// Returns how much was reached, from 0 to 100.
    pub fn percent(&self) -> f64 {
        if self.total == 0 { 100.0 } else { self.covered as f64 * 100.0 / self.total as f64 }
    }
}

impl Coverage {
    /// Returns what one execution has reached. A task that was skipped or that could not begin is not reached.
    pub(super) fn of(performance: &Performance) -> Coverage {
        let ledger = &performance.ledger;
        let begun = performance.attempts.iter().map(|row| ledger.rows[*row].key.node);
        // A routing task, or a task with an empty list of items.
        let ended = ledger.rows.iter().filter(|row| row.status == RowStatus::Ended(TaskEnd::Completed));
        let tasks = begun.chain(ended.map(|row| row.key.node)).collect();
        Coverage { tasks, transitions: ledger.fired.clone() }
    }

    /// Adds what another execution has reached.
    pub fn add(&mut self, other: &Coverage) {
        self.tasks.extend(&other.tasks);
        self.transitions.extend(&other.transitions);
    }

    /// Returns how much of a definition this is.
    pub fn report(&self, graph: &Graph, parsed: &Parsed) -> CoverageReport {
        let mut report = CoverageReport { covered: 0, total: 0, missed: Vec::new() };
        let source = parsed.places.source();
        let line = |path: &str| {
            let place = parsed.places.find(path);
            place.map_or(0, |place| source.line_and_column(source.node(place.node).start).0)
        };
        let mut count = |reached: bool, path: &dyn Fn() -> String, what: &dyn Fn() -> String| {
            report.total += 1;
            report.covered += usize::from(reached);
            if !reached {
                report.missed.push(Uncovered { line: line(&path()), what: what() });
            }
        };
        let definition = parsed.definition.iter().flat_map(|definition| &definition.tasks);
        for (number, task) in definition.enumerate() {
            let Some(id) = graph.find(&task.name) else { continue };
            let reached = self.tasks.contains(&id);
            count(reached, &|| format!("tasks[{number}]"), &|| format!("task {}", task.name));
            if let Some(undo) = graph.node(id).undo.as_ref().filter(|undo| undo.call.is_some()) {
                let path = || format!("tasks[{number}].undo");
                count(self.tasks.contains(&undo.node), &path, &|| format!("undo of task {}", task.name));
            }
            // The graph has no transition for the command `retry` alone.
            let kept = task.next.iter().enumerate().filter(|(_, next)| next.targets != ["retry"]);
            for (place, (written, next)) in interrupt::checked(kept.enumerate()) {
                let reached = self.transitions.contains(&(id, place as u32));
                let what = || {
                    let to = match next.targets.as_slice() {
                        [] => "its end".to_owned(),
                        targets => targets.join(", "),
                    };
                    let when = next.when.as_ref().map(|when| format!(" when {}", shorten(when, 80)));
                    format!("transition from {} to {to}{}", task.name, when.unwrap_or_default())
                };
                count(reached, &|| format!("tasks[{number}].next[{written}]"), &what);
            }
        }
        report
    }
}
