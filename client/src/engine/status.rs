//! Where an execution stands, and whether all is well.

use crate::model::ExecutionStatus;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where an execution stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct WorkflowStatus {
    /// The execution, as `start` gave it.
    pub execution: i64,
    /// Its workflow execution.
    pub workflow_execution: i64,
    /// The workflow.
    pub workflow_ref: String,
    /// The verdict so far.
    pub status: ExecutionStatus,
    /// Has its last task ended too?
    pub ended: bool,
    /// No task of it can be claimed.
    pub paused: bool,
    /// Why it is paused.
    pub pause_reason: Option<String>,
    /// Tasks that have not ended, by name.
    pub current_tasks: Vec<String>,
    /// Tasks that ended well.
    pub completed_tasks: Vec<String>,
    /// Tasks that ended badly.
    pub failed_tasks: Vec<String>,
    /// Tasks whose condition was false.
    pub skipped_tasks: Vec<String>,
    /// The variables.
    pub variables: Value,
    /// What came out, when it has ended.
    pub output: Option<Value>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// When it was started.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub updated: DateTime<Utc>,
}

/// Something that must never be and is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct BrokenInvariant {
    /// What should be true.
    pub invariant: String,
    /// The table.
    pub subject: String,
    /// The row.
    pub id: i64,
    /// What is there.
    pub detail: Option<String>,
}
