//! Searching executions.

use super::Engine;
use crate::Result;
use crate::model::ExecutionStatus;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::types::PgRange;
use sqlx::types::Json;
use sqlx::{PgExecutor, query_as};

/// Filter for executions; by default, all match.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchFilter {
    /// Ref of their workflow.
    pub workflow: Option<String>,
    /// Statuses, one of which they must have.
    pub statuses: Option<Vec<ExecutionStatus>>,
    /// Attributes that they must have.
    pub attributes: Option<Value>,
    /// When they were created.
    pub created: Option<PgRange<DateTime<Utc>>>,
    /// When they ended.
    pub ended: Option<PgRange<DateTime<Utc>>>,
    /// Code of their first error, or its type as the worker reported it.
    pub error_code: Option<String>,
    /// Substring of one of their error messages.
    pub text: Option<String>,
    /// Whether one of their tasks has failed.
    pub has_failed_task: Option<bool>,
}

/// An execution that was found, or how far the search got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct FoundExecution {
    /// Id of the execution; `None`, like all other fields, if the search must be continued from the cursor.
    pub execution: Option<i64>,
    /// Ref of its workflow.
    pub workflow_ref: Option<String>,
    /// Status so far.
    pub status: Option<ExecutionStatus>,
    /// Whether it has ended.
    pub ended: Option<bool>,
    /// Whether it is paused.
    pub paused: Option<bool>,
    /// Code of its first error.
    pub error_code: Option<String>,
    /// Reason for the failure.
    pub error_message: Option<String>,
    /// Attributes.
    pub attributes: Option<Value>,
    /// When it was created.
    pub created: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Where to continue from here.
    pub cursor: String,
}

impl Engine {
    /// Finds executions, newest first: up to `max_rows` (1 to 10,000) after a cursor. To continue, pass the cursor of
    /// the last row, until no rows are returned. A last row without an execution means that the search stopped before
    /// the page was full, because it had examined enough executions.
    pub async fn search<'e>(
        executor: impl PgExecutor<'e>,
        filter: &SearchFilter,
        max_rows: i32,
        after: Option<&str>,
    ) -> Result<Vec<FoundExecution>> {
        let statuses = filter.statuses.as_ref();
        let statuses: Option<Vec<&str>> = statuses.map(|all| all.iter().map(|status| status.as_str()).collect());
        Ok(query_as(
            "SELECT execution, workflow_ref, status, ended, paused, error_code, error_message, attributes, created, \
             ended_at, cursor FROM pg_catalog.workflow_search(workflow => $1, \
             statuses => $2::text[]::workflow.execution_status[], attributes => $3, created => $4, ended => $5, \
             error_code => $6, text => $7, has_failed_task => $8, max_rows => $9, after => $10)",
        )
        .bind(&filter.workflow)
        .bind(statuses)
        .bind(filter.attributes.as_ref().map(Json))
        .bind(filter.created)
        .bind(filter.ended)
        .bind(&filter.error_code)
        .bind(&filter.text)
        .bind(filter.has_failed_task)
        .bind(max_rows)
        .bind(after)
        .fetch_all(executor)
        .await?)
    }
}
