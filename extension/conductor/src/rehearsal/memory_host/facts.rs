//! The facts that the rows of a ledger provide to the conductor.

use super::{Ledger, RowStatus, TaskRow};
use crate::engine::facts::{Facts, Missing, Undoable, Unrendered};
use crate::engine::moment::Moment;
use crate::engine::outcome::{RowEnd, TaskOutcome, Times};
use crate::engine::state::{Phase, TaskKey};
use crate::engine::status::TaskEnd;
use crate::expression::Data;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

impl Ledger {
    /// Returns all facts, given how rows that are being reported end.
    pub(super) fn facts(&self, reported: &BTreeMap<usize, TaskEnd>) -> Facts {
        let mut runs: BTreeMap<TaskKey, Vec<usize>> = BTreeMap::new();
        for (place, row) in self.rows.iter().enumerate() {
            runs.entry(row.key).or_default().push(place);
        }
        let canceling = self.execution.state.canceling_since;
        let mut items = BTreeMap::new();
        // The newest run of each name.
        let mut tasks: BTreeMap<String, (usize, Data)> = BTreeMap::new();
        for (key, places) in runs {
            let newest = places.last().copied().unwrap_or_default();
            let rows: Vec<RowEnd> = places.iter().map(|place| self.row_end(*place, reported)).collect();
            let ended = places.iter().all(|place| matches!(self.rows[*place].status, RowStatus::Ended(_)));
            let of_items = self.graph.node(key.node).items.as_ref();
            if ended {
                let value = TaskOutcome::of_rows(of_items, &rows, canceling).value(&Missing::default());
                match tasks.entry(self.name(key.node).to_owned()) {
                    Entry::Occupied(mut entry) if entry.get().0 < newest => drop(entry.insert((newest, value))),
                    Entry::Occupied(_) => {}
                    Entry::Vacant(entry) => drop(entry.insert((newest, value))),
                }
            }
            if of_items.is_some() {
                items.insert(key, rows);
            }
        }
        Facts {
            parameters: Some(self.parameters.clone()),
            variables: Some(self.base.clone()),
            changes: self.changes.clone(),
            tasks: Arc::new(tasks.into_iter().map(|(name, (place, value))| (name, (place as i64, value))).collect()),
            all_tasks: true,
            items,
            undoable: Some(self.undoable()),
            now: self.moment(self.now),
            system: Some(Data::from_pairs([
                ("workflow_ref", Data::from(self.graph.reference.as_str())),
                ("execution", Data::from(1)),
                ("now", self.moment(self.now).value()),
                ("scheduled_for", Data::from(())),
                ("verdict", Data::from(())),
                (
                    "errors",
                    Data::from(self.errors.iter().map(|(at, cause)| cause.entry(self.moment(*at))).collect::<Vec<_>>()),
                ),
            ])),
        }
    }

    /// Returns what remains to be undone, and what could not be rendered.
    fn undoable(&self) -> Vec<Undoable> {
        let below = self.execution.state.undo.as_ref().filter(|undo| undo.phase == Phase::Running);
        let below = below.map_or(u32::MAX, |undo| undo.below);
        let numbered = self.rows.iter().enumerate().filter_map(|(place, row)| Some((place, row, row.undo_number?)));
        let mut all: Vec<Undoable> = numbered
            .filter_map(|(place, row, number)| {
                let call = row.undo.clone()?;
                let is_rendered = call.get_attr("error").is_ok_and(|error| error.is_undefined());
                let unrendered = (!is_rendered).then(|| {
                    let outcome = TaskOutcome::of_rows(None, &[self.row_end(place, &BTreeMap::new())], None);
                    Box::new(Unrendered { input: row.input.clone().unwrap_or_default(), outcome })
                });
                let node = self.graph.node(row.key.node).undo.as_ref()?.node;
                let (action, context, row) = (row.action.clone(), row.context.clone(), place as i64);
                (number < below || unrendered.is_some()).then_some(Undoable {
                    row,
                    action,
                    node,
                    number,
                    context,
                    call,
                    unrendered,
                })
            })
            .collect();
        all.sort_by_key(|undoable| std::cmp::Reverse(undoable.number));
        all
    }

    pub(super) fn row_end(&self, place: usize, reported: &BTreeMap<usize, TaskEnd>) -> RowEnd {
        let row = &self.rows[place];
        let (end, completed) = match (reported.get(&place), row.status) {
            (Some(end), _) => (Some(*end), Some(self.now)),
            (None, RowStatus::Ended(end)) => (Some(end), row.completed),
            _ => (None, None),
        };
        let nothing = || Data::from(());
        RowEnd {
            index: row.index,
            end,
            result: row.result.clone().unwrap_or_else(nothing),
            error: row.error.clone().unwrap_or_else(nothing),
            times: Times { completed: completed.map(|at| self.moment(at)), ..self.times(row) },
        }
    }

    /// Returns when a row that has not ended was started.
    pub(super) fn times(&self, row: &TaskRow) -> Times {
        Times { started: row.started.map(|at| self.moment(at)), completed: None, attempts: row.attempts }
    }

    pub(super) fn moment(&self, seconds: f64) -> Moment {
        Moment((seconds * 1e6).round() as i64)
    }
}
