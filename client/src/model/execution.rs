//! Executions.

use super::ExecutionStatus;
use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One run of an action (which may be a workflow): what was requested and what the result was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Execution {
    /// Part that distributes the load, 0 to 1023; shared by a tree of executions.
    pub part: i32,
    /// Primary key; `id >> 48` is the part.
    pub id: i64,
    /// Action, as long as it exists.
    pub action: Option<i64>,
    /// Ref of the action.
    pub action_ref: String,
    /// Parameters.
    pub config: Option<Value>,
    /// Parent execution.
    pub parent: Option<i64>,
    /// What caused it to run; opaque to the engine.
    pub enforcement: Option<i64>,
    /// Who runs it; opaque to the engine.
    pub executor: Option<i64>,
    /// Status.
    pub status: ExecutionStatus,
    /// Result.
    pub result: Option<Value>,
    /// When the row was created.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for Execution {
    fn id(&self) -> i64 {
        self.id
    }
}

/// An externally driven execution to create.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateExecutionInput {
    /// Part of a root execution, 0 to 1023; 0 if omitted. A child has the part of its parent.
    pub part: Option<i32>,
    /// Action, as long as it exists.
    pub action: Option<i64>,
    /// Ref of the action.
    pub action_ref: String,
    /// Parameters.
    pub config: Option<Value>,
    /// Parent execution.
    pub parent: Option<i64>,
    /// What caused it to run; opaque to the engine.
    pub enforcement: Option<i64>,
    /// Who runs it; opaque to the engine.
    pub executor: Option<i64>,
    /// Status.
    pub status: ExecutionStatus,
    /// Result.
    pub result: Option<Value>,
}

/// Fields to change. Those not given stay as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateExecutionInput {
    /// Parameters.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub config: Patch<Value>,
    /// What caused it to run; opaque to the engine.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub enforcement: Patch<i64>,
    /// Who runs it; opaque to the engine.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub executor: Patch<i64>,
    /// Status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ExecutionStatus>,
    /// Result.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub result: Patch<Value>,
}
