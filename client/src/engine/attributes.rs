//! Attributes of executions.

use super::Engine;
use crate::Result;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgExecutor, query_scalar};

impl Engine {
    /// Merges attributes into those of an execution; a null removes one. Returns the result, or `None` if no attributes
    /// remain.
    pub async fn set_attributes<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        attributes: &Value,
    ) -> Result<Option<Value>> {
        Ok(query_scalar("SELECT pg_catalog.workflow_set_attributes(execution_id => $1, attributes => $2)")
            .bind(execution_id)
            .bind(Json(attributes))
            .fetch_one(executor)
            .await?)
    }
}
