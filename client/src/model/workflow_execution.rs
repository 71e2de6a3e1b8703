//! Workflow executions.

use super::ExecutionStatus;
use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct WorkflowExecution {
    /// The part of its execution.
    pub part: i32,
    /// Key; `id >> 48` is the part.
    pub id: i64,
    /// The execution that it runs.
    pub execution: i64,
    /// The workflow.
    pub workflow_def: i64,
    /// Tasks that have not ended, by name.
    pub current_tasks: Vec<String>,
    /// Tasks that ended well.
    pub completed_tasks: Vec<String>,
    /// Tasks that ended badly.
    pub failed_tasks: Vec<String>,
    /// Tasks whose condition was false.
    pub skipped_tasks: Vec<String>,
    /// The variables; `{}` by default.
    pub variables: Value,
    /// The graph: the pinned version's, where the row has none of its own.
    pub task_graph: Option<Value>,
    /// The verdict so far.
    pub status: ExecutionStatus,
    /// Why it failed.
    pub error_message: Option<String>,
    /// No task of it can be claimed.
    pub paused: bool,
    /// Why it is paused.
    pub pause_reason: Option<String>,
    /// The pinned version of the definition; none where it is driven from outside.
    pub version: Option<i64>,
    /// Higher goes first.
    pub priority: i32,
    /// When the row was made.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for WorkflowExecution {
    fn id(&self) -> i64 {
        self.id
    }
}

/// Makes a workflow execution that is driven from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateWorkflowExecutionInput {
    /// The execution that it runs.
    pub execution: i64,
    /// The workflow.
    pub workflow_def: i64,
    /// Tasks that have not ended, by name.
    pub current_tasks: Vec<String>,
    /// Tasks that ended well.
    pub completed_tasks: Vec<String>,
    /// Tasks that ended badly.
    pub failed_tasks: Vec<String>,
    /// Tasks whose condition was false.
    pub skipped_tasks: Vec<String>,
    /// The variables; `{}` by default.
    pub variables: Value,
    /// The graph: the pinned version's, where the row has none of its own.
    pub task_graph: Option<Value>,
    /// The verdict so far.
    pub status: ExecutionStatus,
    /// Why it failed.
    pub error_message: Option<String>,
    /// No task of it can be claimed.
    pub paused: bool,
    /// Why it is paused.
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

/// Changes what is given of it; nothing given changes nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateWorkflowExecutionInput {
    /// Tasks that have not ended, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_tasks: Option<Vec<String>>,
    /// Tasks that ended well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_tasks: Option<Vec<String>>,
    /// Tasks that ended badly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_tasks: Option<Vec<String>>,
    /// Tasks whose condition was false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped_tasks: Option<Vec<String>>,
    /// The variables; `{}` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<Value>,
    /// The graph: the pinned version's, where the row has none of its own.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub task_graph: Patch<Value>,
    /// The verdict so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ExecutionStatus>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub error_message: Patch<String>,
    /// No task of it can be claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Why it is paused.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub pause_reason: Patch<String>,
}
