//! Hooks.

use super::ExecutionStatus;
use crate::Row;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

/// A workflow that is started when executions end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// Primary key.
    pub id: i64,
    /// Unique name.
    pub name: String,
    /// Final statuses that it applies to; `None` for all.
    pub statuses: Option<Vec<ExecutionStatus>>,
    /// Workflows whose executions it applies to: a ref, in which `*` matches any characters; `None` for all.
    pub workflow_pattern: Option<String>,
    /// Attributes that an execution must have; `None` for any.
    pub attributes: Option<Value>,
    /// Ref of the workflow that it starts.
    pub start_workflow: String,
    /// When the row was created.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl FromRow<'_, PgRow> for Hook {
    fn from_row(row: &PgRow) -> sqlx::Result<Hook> {
        let decode = |error: super::UnknownStatus| sqlx::Error::Decode(error.into());
        let statuses = row.try_get::<Option<Vec<String>>, _>("statuses")?;
        let statuses = statuses.map(|list| list.iter().map(|label| label.parse()).collect::<Result<Vec<_>, _>>());
        Ok(Hook {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            statuses: statuses.transpose().map_err(decode)?,
            workflow_pattern: row.try_get("workflow_pattern")?,
            attributes: row.try_get("attributes")?,
            start_workflow: row.try_get("start_workflow")?,
            created: row.try_get("created")?,
            updated: row.try_get("updated")?,
        })
    }
}

impl Row for Hook {
    fn id(&self) -> i64 {
        self.id
    }
}

/// A hook to create, or to replace if the name exists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookInput {
    /// Unique name.
    pub name: String,
    /// Final statuses that it applies to; `None` for all.
    pub statuses: Option<Vec<ExecutionStatus>>,
    /// Workflows whose executions it applies to: a ref, in which `*` matches any characters; `None` for all.
    pub workflow_pattern: Option<String>,
    /// Attributes that an execution must have; `None` for any.
    pub attributes: Option<Value>,
    /// Ref of the workflow that it starts.
    pub start_workflow: String,
}
