//! The rows of tasks.

use crate::engine::state::{Context, TaskEnd, TaskKey};
use crate::expression::Data;

/// How a row stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowStatus {
    /// Waits for its turn among the items.
    Held,
    /// Waits for its time.
    Delayed,
    /// Claimable.
    Ready,
    /// Claimed.
    Running,
    /// Over.
    Ended(TaskEnd),
}

/// A row of `workflow_task_execution`.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// Which task.
    pub key: TaskKey,
    /// Which item.
    pub index: Option<u32>,
    /// How it stands.
    pub status: RowStatus,
    /// What a worker must do.
    pub action: Option<String>,
    /// The signal that it waits for.
    pub signal: Option<String>,
    /// What no worker does has begun: the engine goes on with it, or it waits for its signal.
    pub begun: bool,
    /// The action's input.
    pub input: Option<Data>,
    /// What it sees.
    pub context: Context,
    /// When its delay, its retry's delay or its timeout is over, in seconds since the start.
    pub due: Option<f64>,
    /// Seconds an attempt may run.
    pub timeout: Option<i32>,
    /// When it was made, in seconds since the start.
    pub created: f64,
    /// Its delay is that of a retry, which counts when it is dispatched.
    pub awaits_retry: bool,
    /// Retries dispatched.
    pub retries: u32,
    /// Retries allowed.
    pub max_retries: u32,
    /// It ended without having begun.
    pub withdrawn: bool,
    /// What was reported.
    pub result: Option<Data>,
    /// What was reported of a failure.
    pub error: Option<Data>,
}

impl TaskRow {
    /// Can a worker claim it?
    pub fn is_claimable(&self) -> bool {
        self.status == RowStatus::Ready && self.action.is_some()
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self.status, RowStatus::Held | RowStatus::Delayed | RowStatus::Ready)
    }

    /// It begins, or begins anew, when its time has come.
    pub(super) fn await_time(&mut self, now: f64, delay: f64) {
        self.begun = false;
        (self.status, self.due) = match delay > 0.0 {
            true => (RowStatus::Delayed, Some(now + delay)),
            false => (RowStatus::Ready, None),
        };
    }

    pub(super) fn await_retry(&mut self, now: f64, delay: f64) {
        self.await_time(now, delay);
        self.awaits_retry = delay > 0.0;
        self.retries += u32::from(!self.awaits_retry);
    }
}
