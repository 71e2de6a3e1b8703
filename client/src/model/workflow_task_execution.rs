//! Task executions.

use super::ExecutionStatus;
use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One run of a task, or of one item of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct WorkflowTaskExecution {
    /// Part of its workflow execution.
    pub part: i32,
    /// Primary key; `id >> 48` is the part.
    pub id: i64,
    /// Workflow execution that it belongs to.
    pub workflow_execution: i64,
    /// Child execution that does the work; `None` if the row itself is the work.
    pub execution: Option<i64>,
    /// Name of the task in the definition.
    pub task_name: String,
    /// Index of the item, starting at 0.
    pub task_index: Option<i32>,
    /// Index of the batch of items, starting at 0.
    pub task_batch: Option<i32>,
    /// Route that led to the task, if there are several.
    pub route: i32,
    /// Number of times the task ran before in a cycle.
    pub visit: i32,
    /// Number of times it has been claimed.
    pub attempt: i32,
    /// Status.
    pub status: ExecutionStatus,
    /// When it last started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// From `started_at` to `completed_at`, in milliseconds.
    pub duration_ms: Option<i64>,
    /// Result.
    pub result: Option<Value>,
    /// Error.
    pub error: Option<Value>,
    /// Number of retries already dispatched.
    pub retry_count: i32,
    /// Maximum number of retries.
    pub max_retries: i32,
    /// When its next retry is due.
    pub next_retry_at: Option<DateTime<Utc>>,
    /// Timeout of one attempt, in seconds.
    pub timeout_seconds: Option<i32>,
    /// Whether it exceeded the timeout.
    pub timed_out: bool,
    /// Whether it was skipped: its condition was false, so it ended without having run.
    pub skipped: bool,
    /// Ref of the action to execute.
    pub action_ref: Option<String>,
    /// Input of the action.
    pub input: Option<Value>,
    /// When it needs attention: the end of its timeout, delay or wait.
    pub due_at: Option<DateTime<Utc>>,
    /// When the row was created.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for WorkflowTaskExecution {
    fn id(&self) -> i64 {
        self.id
    }
}

/// A task of an externally driven workflow execution to create.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateWorkflowTaskExecutionInput {
    /// Workflow execution that it belongs to.
    pub workflow_execution: i64,
    /// Child execution that does the work; `None` if the row itself is the work.
    pub execution: Option<i64>,
    /// Name of the task in the definition.
    pub task_name: String,
    /// Index of the item, starting at 0.
    pub task_index: Option<i32>,
    /// Index of the batch of items, starting at 0.
    pub task_batch: Option<i32>,
    /// Status.
    pub status: ExecutionStatus,
    /// When it last started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// From `started_at` to `completed_at`, in milliseconds.
    pub duration_ms: Option<i64>,
    /// Result.
    pub result: Option<Value>,
    /// Error.
    pub error: Option<Value>,
    /// Number of retries already dispatched.
    pub retry_count: i32,
    /// Maximum number of retries.
    pub max_retries: i32,
    /// When its next retry is due.
    pub next_retry_at: Option<DateTime<Utc>>,
    /// Timeout of one attempt, in seconds.
    pub timeout_seconds: Option<i32>,
    /// Whether it exceeded the timeout.
    pub timed_out: bool,
    /// Whether it was skipped: its condition was false, so it ended without having run.
    pub skipped: bool,
    /// Ref of the action to execute.
    pub action_ref: Option<String>,
    /// Input of the action.
    pub input: Option<Value>,
}

/// Fields to change. Those not given stay as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateWorkflowTaskExecutionInput {
    /// Child execution that does the work; `None` if the row itself is the work.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub execution: Patch<i64>,
    /// Status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ExecutionStatus>,
    /// When it last started.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub started_at: Patch<DateTime<Utc>>,
    /// When it ended.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub completed_at: Patch<DateTime<Utc>>,
    /// From `started_at` to `completed_at`, in milliseconds.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub duration_ms: Patch<i64>,
    /// Result.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub result: Patch<Value>,
    /// Error.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub error: Patch<Value>,
    /// Number of retries already dispatched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<i32>,
    /// Maximum number of retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i32>,
    /// When its next retry is due.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub next_retry_at: Patch<DateTime<Utc>>,
    /// Timeout of one attempt, in seconds.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub timeout_seconds: Patch<i32>,
    /// Whether it exceeded the timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timed_out: Option<bool>,
    /// Whether it was skipped: its condition was false, so it ended without having run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<bool>,
    /// Ref of the action to execute.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub action_ref: Patch<String>,
    /// Input of the action.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub input: Patch<Value>,
}
