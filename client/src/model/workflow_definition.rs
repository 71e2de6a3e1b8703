//! Workflow definitions.

use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The current head of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct WorkflowDefinition {
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
    /// What it is for.
    pub description: Option<String>,
    /// The author's version.
    pub version: String,
    /// JSON Schema of the parameters.
    pub param_schema: Option<Value>,
    /// JSON Schema of the output.
    pub out_schema: Option<Value>,
    /// The definition in its normal form.
    pub definition: Value,
    /// Exact words to find it by.
    pub tags: Vec<String>,
    /// False: it cannot be started.
    pub enabled: bool,
    /// The version that new executions pin; none where the engine does not run it.
    pub current_version: Option<i64>,
    /// When the row was made.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for WorkflowDefinition {
    fn id(&self) -> i64 {
        self.id
    }
}

/// Makes a definition as plain data, which the engine does not run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateWorkflowDefinitionInput {
    /// Unique name, `pack.name`, lower case.
    pub r#ref: String,
    /// The pack it belongs to.
    pub pack: i64,
    /// That pack's ref; it may be left out.
    pub pack_ref: Option<String>,
    /// What people call it.
    pub label: String,
    /// What it is for.
    pub description: Option<String>,
    /// The author's version.
    pub version: String,
    /// JSON Schema of the parameters.
    pub param_schema: Option<Value>,
    /// JSON Schema of the output.
    pub out_schema: Option<Value>,
    /// The definition in its normal form.
    pub definition: Value,
    /// Exact words to find it by.
    pub tags: Vec<String>,
    /// False: it cannot be started.
    pub enabled: bool,
}

impl Default for CreateWorkflowDefinitionInput {
    fn default() -> Self {
        CreateWorkflowDefinitionInput {
            r#ref: String::new(),
            pack: 0,
            pack_ref: None,
            label: String::new(),
            description: None,
            version: String::new(),
            param_schema: None,
            out_schema: None,
            definition: Value::Null,
            tags: Vec::new(),
            enabled: true,
        }
    }
}

/// Changes what is given of it; nothing given changes nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateWorkflowDefinitionInput {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub description: Patch<String>,
    /// The author's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// JSON Schema of the parameters.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub param_schema: Patch<Value>,
    /// JSON Schema of the output.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub out_schema: Patch<Value>,
    /// The definition in its normal form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<Value>,
    /// Exact words to find it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// False: it cannot be started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}
