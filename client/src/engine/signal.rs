//! Signals to executions.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A signal for an execution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SignalInput {
    /// Name that tasks wait for.
    pub name: String,
    /// Result of the task that waits for it.
    pub payload: Option<Value>,
    /// Deduplication key: signals with the same name and key count once.
    pub key: Option<String>,
    /// Error with which the task that waits for it fails, instead of completing.
    pub error: Option<Value>,
}

/// A task that is waiting for a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Wait {
    /// Id of the task.
    pub task: i64,
    /// Id of its execution.
    pub execution: i64,
    /// Workflow of the execution.
    pub workflow_ref: String,
    /// Name of the task.
    pub task_name: String,
    /// Index of the item; `None` if the task has no items.
    pub task_index: Option<i32>,
    /// Name of the signal.
    pub signal_name: String,
    /// What there is to decide.
    pub input: Option<Value>,
    /// JSON Schema that a payload must satisfy.
    pub schema: Option<Value>,
    /// When it began to wait.
    pub since: DateTime<Utc>,
    /// When it times out; `None` if it never does, or its clock is stopped by a pause.
    pub until: Option<DateTime<Utc>>,
}

/// Which waiting tasks to list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitFilter {
    /// Only those that wait for this signal.
    pub signal: Option<String>,
    /// Only those of this execution.
    pub execution_id: Option<i64>,
}

/// What happened to a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum SignalState {
    /// A task was waiting for it and has completed.
    Delivered,
    /// Stored for the next task that waits for it, which then gets it immediately.
    Kept,
}
