//! Executions.

use super::ExecutionStatus;
use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One run of an action, a workflow being one too: what was asked for and what came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Execution {
    /// Spreads work: 0 to 1023, shared by a tree of executions.
    pub part: i32,
    /// Key; `id >> 48` is the part.
    pub id: i64,
    /// The action, while it exists.
    pub action: Option<i64>,
    /// The action's ref.
    pub action_ref: String,
    /// The parameters.
    pub config: Option<Value>,
    /// The execution that this one is a part of.
    pub parent: Option<i64>,
    /// What made it run: its caller's own affair.
    pub enforcement: Option<i64>,
    /// Who runs it: its caller's own affair.
    pub executor: Option<i64>,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// What came out.
    pub result: Option<Value>,
    /// When the row was made.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for Execution {
    fn id(&self) -> i64 {
        self.id
    }
}

/// Makes an execution that is driven from outside.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateExecutionInput {
    /// The part of a root, 0 to 1023, 0 if left out; a child has its parent's.
    pub part: Option<i32>,
    /// The action, while it exists.
    pub action: Option<i64>,
    /// The action's ref.
    pub action_ref: String,
    /// The parameters.
    pub config: Option<Value>,
    /// The execution that this one is a part of.
    pub parent: Option<i64>,
    /// What made it run: its caller's own affair.
    pub enforcement: Option<i64>,
    /// Who runs it: its caller's own affair.
    pub executor: Option<i64>,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// What came out.
    pub result: Option<Value>,
}

/// Changes what is given of it; nothing given changes nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateExecutionInput {
    /// The parameters.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub config: Patch<Value>,
    /// What made it run: its caller's own affair.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub enforcement: Patch<i64>,
    /// Who runs it: its caller's own affair.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub executor: Patch<i64>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ExecutionStatus>,
    /// What came out.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub result: Patch<Value>,
}
