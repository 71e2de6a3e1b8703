//! Workflow definitions.

use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A workflow with its current definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct WorkflowDefinition {
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
    /// Purpose.
    pub description: Option<String>,
    /// Version given by the author.
    pub version: String,
    /// JSON Schema of the parameters.
    pub param_schema: Option<Value>,
    /// JSON Schema of the output.
    pub out_schema: Option<Value>,
    /// Definition in normalized form.
    pub definition: Value,
    /// Tags to search by; matched exactly.
    pub tags: Vec<String>,
    /// Whether it can be started.
    pub enabled: bool,
    /// Version that new executions pin; `None` if the engine does not run it.
    pub current_version: Option<i64>,
    /// When the row was created.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for WorkflowDefinition {
    fn id(&self) -> i64 {
        self.id
    }
}

/// A definition to create as plain data, which the engine does not run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateWorkflowDefinitionInput {
    /// Unique name, `pack.name`, lower case.
    pub r#ref: String,
    /// Pack that it belongs to.
    pub pack: i64,
    /// Ref of that pack; optional.
    pub pack_ref: Option<String>,
    /// Display name.
    pub label: String,
    /// Purpose.
    pub description: Option<String>,
    /// Version given by the author.
    pub version: String,
    /// JSON Schema of the parameters.
    pub param_schema: Option<Value>,
    /// JSON Schema of the output.
    pub out_schema: Option<Value>,
    /// Definition in normalized form.
    pub definition: Value,
    /// Tags to search by; matched exactly.
    pub tags: Vec<String>,
    /// Whether it can be started.
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

/// Fields to change. Those not given stay as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateWorkflowDefinitionInput {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Purpose.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub description: Patch<String>,
    /// Version given by the author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// JSON Schema of the parameters.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub param_schema: Patch<Value>,
    /// JSON Schema of the output.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub out_schema: Patch<Value>,
    /// Definition in normalized form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<Value>,
    /// Tags to search by; matched exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Whether it can be started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}
