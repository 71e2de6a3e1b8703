//! Workflow executions.

use super::ExecutionStatus;
use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct WorkflowExecution {
    /// Part of its execution.
    pub part: i32,
    /// Primary key; `id >> 48` is the part.
    pub id: i64,
    /// Execution that it runs.
    pub execution: i64,
    /// Definition of the workflow.
    pub workflow_def: i64,
    /// Tasks that have not ended, by name.
    pub current_tasks: Vec<String>,
    /// Tasks that ended successfully.
    pub completed_tasks: Vec<String>,
    /// Tasks that ended unsuccessfully.
    pub failed_tasks: Vec<String>,
    /// Tasks whose condition was false.
    pub skipped_tasks: Vec<String>,
    /// Variables; `{}` by default.
    pub variables: Value,
    /// Graph; that of the pinned version if the row has none of its own.
    pub task_graph: Option<Value>,
    /// Status so far.
    pub status: ExecutionStatus,
    /// Reason for the failure.
    pub error_message: Option<String>,
    /// Whether it is paused: none of its tasks can be claimed.
    pub paused: bool,
    /// Reason for the pause.
    pub pause_reason: Option<String>,
    /// Pinned version of the definition; `None` if it is driven externally.
    pub version: Option<i64>,
    /// Priority; higher goes first.
    pub priority: i32,
    /// When the row was created.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for WorkflowExecution {
    fn id(&self) -> i64 {
        self.id
    }
}

/// An externally driven workflow execution to create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateWorkflowExecutionInput {
    /// Execution that it runs.
    pub execution: i64,
    /// Definition of the workflow.
    pub workflow_def: i64,
    /// Tasks that have not ended, by name.
    pub current_tasks: Vec<String>,
    /// Tasks that ended successfully.
    pub completed_tasks: Vec<String>,
    /// Tasks that ended unsuccessfully.
    pub failed_tasks: Vec<String>,
    /// Tasks whose condition was false.
    pub skipped_tasks: Vec<String>,
    /// Variables; `{}` by default.
    pub variables: Value,
    /// Graph; that of the pinned version if the row has none of its own.
    pub task_graph: Option<Value>,
    /// Status so far.
    pub status: ExecutionStatus,
    /// Reason for the failure.
    pub error_message: Option<String>,
    /// Whether it is paused: none of its tasks can be claimed.
    pub paused: bool,
    /// Reason for the pause.
    pub pause_reason: Option<String>,
}

impl Default for CreateWorkflowExecutionInput {
    fn default() -> Self {
        CreateWorkflowExecutionInput {
            execution: 0,
            workflow_def: 0,
            current_tasks: Vec::new(),
            completed_tasks: Vec::new(),
            failed_tasks: Vec::new(),
            skipped_tasks: Vec::new(),
            variables: Value::Object(Default::default()),
            task_graph: None,
            status: ExecutionStatus::Requested,
            error_message: None,
            paused: false,
            pause_reason: None,
        }
    }
}

/// Fields to change. Those not given stay as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateWorkflowExecutionInput {
    /// Tasks that have not ended, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_tasks: Option<Vec<String>>,
    /// Tasks that ended successfully.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_tasks: Option<Vec<String>>,
    /// Tasks that ended unsuccessfully.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_tasks: Option<Vec<String>>,
    /// Tasks whose condition was false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped_tasks: Option<Vec<String>>,
    /// Variables; `{}` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<Value>,
    /// Graph; that of the pinned version if the row has none of its own.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub task_graph: Patch<Value>,
    /// Status so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ExecutionStatus>,
    /// Reason for the failure.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub error_message: Patch<String>,
    /// Whether it is paused: none of its tasks can be claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Reason for the pause.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub pause_reason: Patch<String>,
}
