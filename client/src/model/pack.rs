//! Packs.

use crate::{Patch, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A named set of actions and workflows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Pack {
    /// Key.
    pub id: i64,
    /// Unique name: a lower-case letter, then letters, digits, `_` and `-`.
    pub r#ref: String,
    /// What people call it.
    pub label: String,
    /// What it is for.
    pub description: Option<String>,
    /// The author's version.
    pub version: String,
    /// JSON Schema of `config`.
    pub conf_schema: Option<Value>,
    /// Settings shared by its actions.
    pub config: Option<Value>,
    /// Anything else its author wants kept; `{}` by default.
    pub meta: Value,
    /// Exact words to find it by.
    pub tags: Vec<String>,
    /// It came with the platform.
    pub is_standard: bool,
    /// When the row was made.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for Pack {
    fn id(&self) -> i64 {
        self.id
    }
}

/// Makes a pack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreatePackInput {
    /// Unique name: a lower-case letter, then letters, digits, `_` and `-`.
    pub r#ref: String,
    /// What people call it.
    pub label: String,
    /// What it is for.
    pub description: Option<String>,
    /// The author's version.
    pub version: String,
    /// JSON Schema of `config`.
    pub conf_schema: Option<Value>,
    /// Settings shared by its actions.
    pub config: Option<Value>,
    /// Anything else its author wants kept; `{}` by default.
    pub meta: Value,
    /// Exact words to find it by.
    pub tags: Vec<String>,
    /// It came with the platform.
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

/// Changes what is given of it; nothing given changes nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdatePackInput {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub description: Patch<String>,
    /// The author's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// JSON Schema of `config`.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub conf_schema: Patch<Value>,
    /// Settings shared by its actions.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub config: Patch<Value>,
    /// Anything else its author wants kept; `{}` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
    /// Exact words to find it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// It came with the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_standard: Option<bool>,
}
