//! The rows of tasks.

use crate::engine::commands::Again;
use crate::engine::reported::Advice;
use crate::engine::state::{Context, TaskKey};
use crate::engine::status::TaskEnd;
use crate::expression::Data;

/// The status of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowStatus {
    /// Waits for its turn among the items.
    Held,
    /// Waits for its delay to pass.
    Delayed,
    /// Claimable.
    Ready,
    /// Claimed.
    Running,
    /// Ended.
    Ended(TaskEnd),
}

/// A row of `workflow_task_execution`.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// The task.
    pub key: TaskKey,
    /// The item's index.
    pub index: Option<u32>,
    /// The status.
    pub status: RowStatus,
    /// Action for a worker.
    pub action: Option<String>,
    /// The limits that it is under, by name and key.
    pub limits: Vec<(String, String)>,
    /// The signal that it waits for.
    pub signal: Option<String>,
    /// Whether a task without a worker has begun: the engine is processing it, or it is waiting for its signal.
    pub begun: bool,
    /// The action's input.
    pub input: Option<Data>,
    /// The context it sees.
    pub context: Context,
    /// When its delay, its retry's delay or its timeout ends, in seconds since the start.
    pub due: Option<f64>,
    /// What remains of the time that it may wait, during a pause.
    pub due_in: Option<f64>,
    /// Seconds that an attempt may run.
    pub timeout: Option<i32>,
    /// When it was created, in seconds since the start.
    pub created: f64,
    /// Whether its delay is that of a retry, which counts once it is dispatched.
    pub awaits_retry: bool,
    /// Number of retries dispatched.
    pub retries: u32,
    /// Number of retries allowed.
    pub max_retries: u32,
    /// Number of repetitions.
    pub repetitions: u32,
    /// Whether it still runs while the execution closes.
    pub closing: bool,
    /// When it was last claimed, or began to wait, since it was scheduled or last rerun.
    pub started: Option<f64>,
    /// When it ended.
    pub completed: Option<f64>,
    /// Number of times it was claimed.
    pub attempts: u32,
    /// What its worker advises on a retry, for its next report.
    pub advice: Advice,
    /// Number of its leases that have expired.
    pub lost_leases: u32,
    /// Number of leases that may expire, if it is no longer needed; `None` for the task's own limit.
    pub max_lost_leases: Option<u32>,
    /// The reported result.
    pub result: Option<Data>,
    /// The reported error.
    pub error: Option<Data>,
    /// Its undo; before it has ended, what its undo will need.
    pub undo: Option<Data>,
    /// Its number in the order of completion, if it can be undone.
    pub undo_number: Option<u32>,
    /// Whether an attempt ended with its outcome unknown, so that another attempt must find out.
    pub unknown: bool,
    /// The row that it undoes.
    pub undoes: Option<usize>,
}

impl TaskRow {
    /// Whether a worker can claim it.
    pub fn is_claimable(&self) -> bool {
        self.status == RowStatus::Ready && self.action.is_some()
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self.status, RowStatus::Held | RowStatus::Delayed | RowStatus::Ready)
    }

    /// Makes it begin, or start over, once its time has come.
    pub(super) fn await_time(&mut self, now: f64, delay: f64) {
        self.begun = false;
        (self.status, self.due) = match delay > 0.0 {
            true => (RowStatus::Delayed, Some(now + delay)),
            false => (RowStatus::Ready, None),
        };
    }

    /// Makes it run again.
    pub(super) fn await_again(&mut self, now: f64, again: Again) {
        self.await_time(now, again.delay);
        self.input = again.input.or(self.input.take());
        self.awaits_retry = again.delay > 0.0 && !again.repeats;
        self.repetitions += u32::from(again.repeats);
        self.retries += u32::from(again.delay <= 0.0 && !again.repeats);
    }

    pub(super) fn end(&mut self, end: TaskEnd, now: f64) {
        (self.status, self.due, self.due_in, self.completed) = (RowStatus::Ended(end), None, None, Some(now));
    }
}
