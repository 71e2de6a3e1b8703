//! Packs.

use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A named set of actions and workflows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Pack {
    /// Primary key.
    pub id: i64,
    /// Unique name: a lower-case letter, then letters, digits, `_` and `-`.
    pub r#ref: String,
    /// Display name.
    pub label: String,
    /// Purpose.
    pub description: Option<String>,
    /// Version given by the author.
    pub version: String,
    /// JSON Schema of `config`.
    pub conf_schema: Option<Value>,
    /// Settings shared by its actions.
    pub config: Option<Value>,
    /// Arbitrary metadata of the author; `{}` by default.
    pub meta: Value,
    /// Tags to search by; matched exactly.
    pub tags: Vec<String>,
    /// Whether it is part of the platform.
    pub is_standard: bool,
    /// When the row was created.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for Pack {
    fn id(&self) -> i64 {
        self.id
    }
}

/// A pack to create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreatePackInput {
    /// Unique name: a lower-case letter, then letters, digits, `_` and `-`.
    pub r#ref: String,
    /// Display name.
    pub label: String,
    /// Purpose.
    pub description: Option<String>,
    /// Version given by the author.
    pub version: String,
    /// JSON Schema of `config`.
    pub conf_schema: Option<Value>,
    /// Settings shared by its actions.
    pub config: Option<Value>,
    /// Arbitrary metadata of the author; `{}` by default.
    pub meta: Value,
    /// Tags to search by; matched exactly.
    pub tags: Vec<String>,
    /// Whether it is part of the platform.
    pub is_standard: bool,
}

impl Default for CreatePackInput {
    fn default() -> Self {
        CreatePackInput {
            r#ref: String::new(),
            label: String::new(),
            description: None,
            version: String::new(),
            conf_schema: None,
            config: None,
            meta: Value::Object(Default::default()),
            tags: Vec::new(),
            is_standard: false,
        }
    }
}

/// Fields to change. Those not given stay as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdatePackInput {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Purpose.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub description: Patch<String>,
    /// Version given by the author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// JSON Schema of `config`.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub conf_schema: Patch<Value>,
    /// Settings shared by its actions.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub config: Patch<Value>,
    /// Arbitrary metadata of the author; `{}` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
    /// Tags to search by; matched exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Whether it is part of the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_standard: Option<bool>,
}
