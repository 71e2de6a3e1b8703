//! Signals to executions.

use super::Engine;
use crate::Result;
use crate::model::ExecutionStatus;
use crate::page::Page;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgExecutor, query, query_as, query_scalar};

impl Engine {
    /// Sends a signal to an execution. The task waiting for it completes, with the payload as its result.
    pub async fn signal<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        input: SignalInput,
    ) -> Result<SignalState> {
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_signal(execution_id => $1, name => $2, payload => $3, key => $4, error => $5)",
        )
        .bind(execution_id)
        .bind(input.name)
        .bind(input.payload.map(Json))
        .bind(input.key)
        .bind(input.error.map(Json))
        .fetch_one(executor)
        .await?)
    }

    /// Sends a signal to the execution of a workflow that was started with an idempotency key in part 0.
    pub async fn signal_by_key<'e>(
        executor: impl PgExecutor<'e>,
        r#ref: &str,
        idempotency_key: &str,
        input: SignalInput,
    ) -> Result<SignalState> {
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_signal_by_key(ref => $1, idempotency_key => $2, name => $3, payload => $4, \
             key => $5, error => $6)",
        )
        .bind(r#ref)
        .bind(idempotency_key)
        .bind(input.name)
        .bind(input.payload.map(Json))
        .bind(input.key)
        .bind(input.error.map(Json))
        .fetch_one(executor)
        .await?)
    }

    /// Extends the waits of an execution for a signal by their heartbeat. Returns when the first of them times out, or
    /// `None` if its clock is stopped by a pause.
    pub async fn extend_wait<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        signal: &str,
    ) -> Result<Option<DateTime<Utc>>> {
        Ok(query_scalar("SELECT pg_catalog.workflow_extend_wait(execution_id => $1, signal => $2)")
            .bind(execution_id)
            .bind(signal)
            .fetch_one(executor)
            .await?)
    }

    /// Returns tasks that are waiting for signals, ordered by id.
    pub async fn list_waits<'e>(executor: impl PgExecutor<'e>, filter: &WaitFilter, page: Page) -> Result<Vec<Wait>> {
        Ok(query_as(
            "SELECT task, execution, workflow_ref, task_name, task_index, signal_name, input, schema, since, until \
             FROM pg_catalog.workflow_list_waits(signal => $1, execution_id => $2, max_rows => $3, after => $4)",
        )
        .bind(&filter.signal)
        .bind(filter.execution_id)
        .bind(page.max_rows)
        .bind(page.after)
        .fetch_all(executor)
        .await?)
    }

    /// Settles a task that waits, or that has failed while its execution closes, by counting it as completed or failed.
    pub async fn resolve<'e>(
        executor: impl PgExecutor<'e>,
        task: i64,
        status: ExecutionStatus,
        result: Option<&Value>,
        reason: Option<&str>,
    ) -> Result<()> {
        query("SELECT pg_catalog.workflow_resolve(task => $1, status => $2, result => $3, reason => $4)")
            .bind(task)
            .bind(status.as_str())
            .bind(result.map(Json))
            .bind(reason)
            .execute(executor)
            .await?;
        Ok(())
    }
}

/// A signal for an execution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SignalInput {
    /// Name that tasks wait for.
    pub name: String,
    /// Result of the task that waits for it.
    pub payload: Option<Value>,
    /// Deduplication key: signals with the same name and key count once.
    pub key: Option<String>,
    /// Error with which the task that waits for it fails, instead of completing.
    pub error: Option<Value>,
}

/// A task that is waiting for a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Wait {
    /// Id of the task.
    pub task: i64,
    /// Id of its execution.
    pub execution: i64,
    /// Workflow of the execution.
    pub workflow_ref: String,
    /// Name of the task.
    pub task_name: String,
    /// Index of the item; `None` if the task has no items.
    pub task_index: Option<i32>,
    /// Name of the signal.
    pub signal_name: String,
    /// What there is to decide.
    pub input: Option<Value>,
    /// JSON Schema that a payload must satisfy.
    pub schema: Option<Value>,
    /// When it began to wait.
    pub since: DateTime<Utc>,
    /// When it times out; `None` if it never does, or its clock is stopped by a pause.
    pub until: Option<DateTime<Utc>>,
}

/// Which waiting tasks to list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitFilter {
    /// Only those that wait for this signal.
    pub signal: Option<String>,
    /// Only those of this execution.
    pub execution_id: Option<i64>,
}

/// What happened to a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum SignalState {
    /// A task was waiting for it and has completed.
    Delivered,
    /// Stored for the next task that waits for it, which then gets it immediately.
    Kept,
}
