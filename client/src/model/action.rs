//! Actions.

use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a worker can do, or a workflow that stands for an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Action {
    /// Key.
    pub id: i64,
    /// Unique name, `pack.name`, lower case.
    pub r#ref: String,
    /// The pack it belongs to.
    pub pack: i64,
    /// That pack's ref.
    pub pack_ref: String,
    /// What people call it.
    pub label: String,
    /// What it does.
    pub description: String,
    /// What the worker runs: its own affair.
    pub entrypoint: String,
    /// The worker's runtime: its own affair.
    pub runtime: Option<i64>,
    /// JSON Schema of its input.
    pub param_schema: Option<Value>,
    /// JSON Schema of its result.
    pub out_schema: Option<Value>,
    /// A workflow stands for it.
    pub is_workflow: bool,
    /// That workflow.
    pub workflow_def: Option<i64>,
    /// When the row was made.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for Action {
    fn id(&self) -> i64 {
        self.id
    }
}

/// Makes an action.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateActionInput {
    /// Unique name, `pack.name`, lower case.
    pub r#ref: String,
    /// The pack it belongs to.
    pub pack: i64,
    /// That pack's ref; it may be left out.
    pub pack_ref: Option<String>,
    /// What people call it.
    pub label: String,
    /// What it does.
    pub description: String,
    /// What the worker runs: its own affair.
    pub entrypoint: String,
    /// The worker's runtime: its own affair.
    pub runtime: Option<i64>,
    /// JSON Schema of its input.
    pub param_schema: Option<Value>,
    /// JSON Schema of its result.
    pub out_schema: Option<Value>,
    /// A workflow stands for it.
    pub is_workflow: bool,
    /// That workflow.
    pub workflow_def: Option<i64>,
}

/// Changes what is given of it; nothing given changes nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateActionInput {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the worker runs: its own affair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// The worker's runtime: its own affair.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub runtime: Patch<i64>,
    /// JSON Schema of its input.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub param_schema: Patch<Value>,
    /// JSON Schema of its result.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub out_schema: Patch<Value>,
    /// A workflow stands for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_workflow: Option<bool>,
    /// That workflow.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub workflow_def: Patch<i64>,
}
