//! The outcome of a task as a function of its rows: how it ended, with which result and error. It depends only on the
//! rows, in item order, so that it is the same for everybody at any time, whatever was reported together.
//! `transition.rs` and `failure.rs` decide what follows from it.

use crate::engine::moment::Moment;
use crate::engine::status::TaskEnd;
use crate::expression::{Data, json};
use crate::graph::node::Items;
use minijinja::value::ValueKind;

/// When a task ran, and how many times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// When it was last claimed, called its workflow, or began to wait.
    pub started: Option<Moment>,
    /// When it ended.
    pub completed: Option<Moment>,
    /// Number of times it was claimed.
    pub attempts: u32,
}

/// How a task ended.
#[derive(Debug, Clone)]
pub struct TaskOutcome {
    /// Its end.
    pub end: TaskEnd,
    /// The reported result; `None` if not loaded.
    pub result: Option<Data>,
    /// The reported error; `None` if not loaded.
    pub error: Option<Data>,
    /// When it ran; `None` if not loaded.
    pub times: Option<Times>,
    /// What became of its items.
    pub items: ItemOutcomes,
}

/// The row of a task, or of one of its items.
#[derive(Debug, Clone)]
pub struct RowEnd {
    /// Index of the item.
    pub index: Option<u32>,
    /// How it ended; `None` if it has not.
    pub end: Option<TaskEnd>,
    /// Its result.
    pub result: Data,
    /// Its error.
    pub error: Data,
    /// When it ran.
    pub times: Times,
}

/// What became of the items of a task.
#[derive(Debug, Clone)]
pub enum ItemOutcomes {
    /// It has no items.
    None,
    /// It has items, but their rows were not loaded.
    NotLoaded,
    /// Its items, as loaded.
    Loaded(ItemSummary),
}

/// The items of a task that has ended.
#[derive(Debug, Clone)]
pub struct ItemSummary {
    /// Errors of the failed items, in item order, each with its `item`.
    pub errors: Vec<Data>,
    /// Number of items: `{total, completed, failed, cancelled}`.
    pub counts: Data,
    /// Index of the item whose failure was one too many; `None` if there was none.
    pub ended_by: Option<u32>,
    /// Index of the first failed item in order.
    pub first_failed: Option<u32>,
}

impl TaskOutcome {
    /// Returns the outcome of a task from its rows, all of which have ended, given when the cancellation of the
    /// execution began, if it did. A task whose items were never created, because it was skipped, had none or could not
    /// begin, has a single row of its own.
    pub fn of_rows(items: Option<&Items>, rows: &[RowEnd], canceling: Option<Moment>) -> TaskOutcome {
        match (items, rows) {
            (Some(items), rows) if rows.iter().any(|row| row.index.is_some()) => {
                TaskOutcome::of_items(items, rows, canceling)
            }
            (items, rows) => {
                let row = rows.first();
                TaskOutcome {
                    end: row.and_then(|row| row.end).unwrap_or(TaskEnd::Completed),
                    result: row.map(|row| row.result.clone()),
                    error: row.map(|row| row.error.clone()),
                    times: row.map(|row| row.times),
                    items: ItemOutcomes::of_no_rows(items),
                }
            }
        }
    }

    fn of_items(items: &Items, rows: &[RowEnd], canceling: Option<Moment>) -> TaskOutcome {
        let tolerated = items.tolerated(rows.len() as u32);
        let ended = |wanted: fn(TaskEnd) -> bool| rows.iter().filter(move |row| row.end.is_some_and(wanted));
        let failed: Vec<&RowEnd> = ended(TaskEnd::is_failure).collect();
        let cancelled = ended(|end| end == TaskEnd::Cancelled).count();
        let completed = ended(|end| end == TaskEnd::Completed).count();
        let errors: Vec<Data> = failed.iter().map(|row| row.error_with_item()).collect();
        let too_many = tolerated.unwrap_or(0) as usize;
        // Others were withdrawn: by a cancel, or because the task had failed.
        let is_cancelled = rows.iter().any(|row| row.end == Some(TaskEnd::Cancelled) && row.times.started.is_some());
        let completed_at = rows.iter().filter_map(|row| row.times.completed).max();
        let is_enough = items.needed(rows.len() as u32).is_some_and(|needed| completed >= needed as usize);
        let end = match failed.first() {
            _ if is_enough && !rows.is_empty() => TaskEnd::Completed,
            _ if is_cancelled => TaskEnd::Cancelled,
            Some(_) if failed.len() > too_many && canceling.is_some_and(|since| Some(since) <= completed_at) => {
                TaskEnd::Cancelled
            }
            Some(first) if failed.len() > too_many => first.end.unwrap_or(TaskEnd::Failed),
            _ if cancelled > 0 => TaskEnd::Cancelled,
            _ => TaskEnd::Completed,
        };
        let mut by_time = failed.clone();
        by_time.sort_by_key(|row| (row.times.completed, row.index));
        let count = |count: usize| Data::from(count);
        let summary = ItemSummary {
            counts: Data::from_pairs([
                ("total", count(rows.len())),
                ("completed", count(completed)),
                ("failed", count(failed.len())),
                ("cancelled", count(cancelled)),
            ]),
            ended_by: tolerated.and_then(|most| by_time.get(most as usize)).and_then(|row| row.index),
            first_failed: failed.first().and_then(|row| row.index),
            errors,
        };
        // Items at the end that never began have no place in it.
        let has_place = |row: &RowEnd| row.times.started.is_some() || row.end == Some(TaskEnd::Completed);
        let places = rows.iter().rposition(has_place).map_or(0, |last| last + 1);
        let results = rows[..places].iter().map(|row| row.result.clone());
        TaskOutcome {
            end,
            result: Some(Data::from(results.collect::<Vec<_>>())),
            error: Some(summary.errors.first().cloned().unwrap_or_else(|| Data::from(()))),
            times: Some(Times {
                started: rows.iter().filter_map(|row| row.times.started).min(),
                completed: completed_at,
                attempts: rows.iter().map(|row| row.times.attempts).sum(),
            }),
            items: ItemOutcomes::Loaded(summary),
        }
    }

    /// Returns the outcome of a task with items whose rows were not loaded.
    pub(crate) fn of_unread_items(end: TaskEnd) -> TaskOutcome {
        TaskOutcome { end, result: None, error: None, times: None, items: ItemOutcomes::NotLoaded }
    }

    /// Returns the index of the first failed item in order, or `None` if no item failed or there are no items.
    pub(crate) fn first_failed_item(&self) -> Option<u32> {
        match &self.items {
            ItemOutcomes::Loaded(summary) => summary.first_failed,
            _ => None,
        }
    }
}

impl ItemOutcomes {
    /// Returns the item outcomes of a task that has no row for any item.
    pub(crate) fn of_no_rows(items: Option<&Items>) -> ItemOutcomes {
        items.map_or(ItemOutcomes::None, |items| TaskOutcome::of_items(items, &[], None).items)
    }
}

impl RowEnd {
    /// Returns its error as an object that names the item.
    fn error_with_item(&self) -> Data {
        let item = ("item".to_owned(), Data::from(self.index));
        if self.error.kind() == ValueKind::Map {
            let fields = self.error.try_iter().into_iter().flatten().filter_map(|name| {
                let value = self.error.get_item(&name).ok()?;
                Some((name.as_str()?.to_owned(), value))
            });
            return Data::from_pairs(fields.filter(|(name, _)| name != "item").chain([item]));
        }
        let kind = self.end.map(|end| ("type".to_owned(), Data::from(end.name())));
        let message = match json(&self.error) {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        let message = message.map(|message| ("message".to_owned(), Data::from(message)));
        Data::from_pairs(kind.into_iter().chain(message).chain([item]))
    }
}
