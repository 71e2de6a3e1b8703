//! Actions.

use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An action that workers can execute, or that is implemented by a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Action {
    /// Primary key.
    pub id: i64,
    /// Unique name, `pack.name`, lower case.
    pub r#ref: String,
    /// Pack that it belongs to.
    pub pack: i64,
    /// Ref of that pack.
    pub pack_ref: String,
    /// Display name.
    pub label: String,
    /// What it does.
    pub description: String,
    /// What the worker runs; opaque to the engine.
    pub entrypoint: String,
    /// The worker's runtime; opaque to the engine.
    pub runtime: Option<i64>,
    /// JSON Schema of its input.
    pub param_schema: Option<Value>,
    /// JSON Schema of its result.
    pub out_schema: Option<Value>,
    /// Whether it is implemented by a workflow.
    pub is_workflow: bool,
    /// Definition of that workflow.
    pub workflow_def: Option<i64>,
    /// Limits that apply to all its tasks.
    pub limits: Option<Value>,
    /// When the row was created.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for Action {
    fn id(&self) -> i64 {
        self.id
    }
}

/// An action to create.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateActionInput {
    /// Unique name, `pack.name`, lower case.
    pub r#ref: String,
    /// Pack that it belongs to.
    pub pack: i64,
    /// Ref of that pack; optional.
    pub pack_ref: Option<String>,
    /// Display name.
    pub label: String,
    /// What it does.
    pub description: String,
    /// What the worker runs; opaque to the engine.
    pub entrypoint: String,
    /// The worker's runtime; opaque to the engine.
    pub runtime: Option<i64>,
    /// JSON Schema of its input.
    pub param_schema: Option<Value>,
    /// JSON Schema of its result.
    pub out_schema: Option<Value>,
    /// Whether it is implemented by a workflow.
    pub is_workflow: bool,
    /// Definition of that workflow.
    pub workflow_def: Option<i64>,
}

/// Fields to change. Those not given stay as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateActionInput {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the worker runs; opaque to the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// The worker's runtime; opaque to the engine.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub runtime: Patch<i64>,
    /// JSON Schema of its input.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub param_schema: Patch<Value>,
    /// JSON Schema of its result.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub out_schema: Patch<Value>,
    /// Whether it is implemented by a workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_workflow: Option<bool>,
    /// Definition of that workflow.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub workflow_def: Patch<i64>,
}
