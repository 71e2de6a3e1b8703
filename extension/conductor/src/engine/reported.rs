//! Reports of tasks that have ended, as the conductor takes them.

use crate::engine::outcome::{ItemOutcomes, TaskOutcome, Times};
use crate::engine::state::TaskKey;
use crate::engine::status::TaskEnd;
use crate::expression::Data;

/// A reported row.
#[derive(Debug, Clone)]
pub struct Reported<'a> {
    /// The task.
    pub key: TaskKey,
    /// The item's index.
    pub index: Option<u32>,
    /// The context it saw.
    pub context: &'a [u32],
    /// Number of retries dispatched so far.
    pub retries: u32,
    /// Number of retries allowed.
    pub max_retries: u32,
    /// Number of repetitions so far.
    pub repetitions: u32,
    /// Seconds since it was first scheduled.
    pub elapsed: f64,
    /// How it ended.
    pub end: TaskEnd,
    /// The reported result; `None` if not loaded.
    pub result: Option<Data>,
    /// The reported error; `None` if not loaded.
    pub error: Option<Data>,
    /// Where in its range the jitter of a retry falls, from 0 to 1.
    pub jitter: f64,
    /// The worker's advice on a retry, which takes precedence over any rule.
    pub advice: Advice,
    /// Whether it still runs while the execution closes.
    pub closing: bool,
    /// When it was started, and how many times.
    pub times: Times,
    /// Its input; `None` if its undo does not read it.
    pub input: Option<Data>,
    /// What was stored for its undo.
    pub undo: Option<Data>,
    /// Whether the execution that it called, if any, has completed something that it has not undone.
    pub undoable: Option<bool>,
    /// Its place in the order in which tasks were created.
    pub order: i64,
}

impl Reported<'_> {
    /// Returns it as expressions see it.
    pub(crate) fn outcome(&self, items: ItemOutcomes) -> TaskOutcome {
        let (result, error) = (self.result.clone(), self.error.clone());
        TaskOutcome { end: self.end, result, error, times: Some(self.times), items }
    }
}

/// A worker's advice on a retry.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Advice {
    /// No advice: the task's rule decides.
    #[default]
    None,
    /// Do not retry.
    Never,
    /// Retry after this many seconds, if the rule allows a retry.
    After(f64),
}
