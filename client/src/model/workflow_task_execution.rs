//! Task executions.

use super::ExecutionStatus;
use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One run of a task, or of one item of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct WorkflowTaskExecution {
    /// The part of its workflow execution.
    pub part: i32,
    /// Key; `id >> 48` is the part.
    pub id: i64,
    /// The workflow execution it belongs to.
    pub workflow_execution: i64,
    /// A child execution that does the work; none: the row itself is the work.
    pub execution: Option<i64>,
    /// The task's name in the definition.
    pub task_name: String,
    /// Which item, from 0.
    pub task_index: Option<i32>,
    /// Which batch of items, from 0.
    pub task_batch: Option<i32>,
    /// Which way led here, where several may.
    pub route: i32,
    /// How often the task ran before in a cycle.
    pub visit: i32,
    /// How often a worker claimed it.
    pub attempt: i32,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// When it last began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// From `started_at` to `completed_at`, in milliseconds.
    pub duration_ms: Option<i64>,
    /// What came out.
    pub result: Option<Value>,
    /// What went wrong.
    pub error: Option<Value>,
    /// Retries already dispatched.
    pub retry_count: i32,
    /// Retries allowed.
    pub max_retries: i32,
    /// When its next retry is due.
    pub next_retry_at: Option<DateTime<Utc>>,
    /// How long one attempt may run.
    pub timeout_seconds: Option<i32>,
    /// It ran longer.
    pub timed_out: bool,
    /// Its condition was false: it ended without having run.
    pub skipped: bool,
    /// What is to be done.
    pub action_ref: Option<String>,
    /// With what.
    pub input: Option<Value>,
    /// When something must be done about it: the end of its timeout, delay or wait.
    pub due_at: Option<DateTime<Utc>>,
    /// When the row was made.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for WorkflowTaskExecution {
    fn id(&self) -> i64 {
        self.id
    }
}

/// Makes a task of a workflow execution that is driven from outside.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateWorkflowTaskExecutionInput {
    /// The workflow execution it belongs to.
    pub workflow_execution: i64,
    /// A child execution that does the work; none: the row itself is the work.
    pub execution: Option<i64>,
    /// The task's name in the definition.
    pub task_name: String,
    /// Which item, from 0.
    pub task_index: Option<i32>,
    /// Which batch of items, from 0.
    pub task_batch: Option<i32>,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// When it last began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// From `started_at` to `completed_at`, in milliseconds.
    pub duration_ms: Option<i64>,
    /// What came out.
    pub result: Option<Value>,
    /// What went wrong.
    pub error: Option<Value>,
    /// Retries already dispatched.
    pub retry_count: i32,
    /// Retries allowed.
    pub max_retries: i32,
    /// When its next retry is due.
    pub next_retry_at: Option<DateTime<Utc>>,
    /// How long one attempt may run.
    pub timeout_seconds: Option<i32>,
    /// It ran longer.
    pub timed_out: bool,
    /// Its condition was false: it ended without having run.
    pub skipped: bool,
    /// What is to be done.
    pub action_ref: Option<String>,
    /// With what.
    pub input: Option<Value>,
}

/// Changes what is given of it; nothing given changes nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateWorkflowTaskExecutionInput {
    /// A child execution that does the work; none: the row itself is the work.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub execution: Patch<i64>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ExecutionStatus>,
    /// When it last began.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub started_at: Patch<DateTime<Utc>>,
    /// When it ended.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub completed_at: Patch<DateTime<Utc>>,
    /// From `started_at` to `completed_at`, in milliseconds.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub duration_ms: Patch<i64>,
    /// What came out.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub result: Patch<Value>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub error: Patch<Value>,
    /// Retries already dispatched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<i32>,
    /// Retries allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i32>,
    /// When its next retry is due.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub next_retry_at: Patch<DateTime<Utc>>,
    /// How long one attempt may run.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub timeout_seconds: Patch<i32>,
    /// It ran longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timed_out: Option<bool>,
    /// Its condition was false: it ended without having run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<bool>,
    /// What is to be done.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub action_ref: Patch<String>,
    /// With what.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub input: Patch<Value>,
}
