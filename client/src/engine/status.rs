//! Status and diagnosis of executions.

use super::{Engine, ExecutionKey, interval};
use crate::model::ExecutionStatus;
use crate::{Error, Result};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgExecutor, query_as, query_scalar};
use std::time::Duration;

impl Engine {
    /// Returns an execution and those that it has called, up to `max_rows`, in call order.
    pub async fn tree<'e>(executor: impl PgExecutor<'e>, execution_id: i64, max_rows: i32) -> Result<Vec<TreeRow>> {
        Ok(query_as(
            "SELECT execution, parent, depth, tree, workflow_ref, task_name, task_index, status, paused, created, \
             updated FROM pg_catalog.workflow_tree(execution_id => $1, max_rows => $2)",
        )
        .bind(execution_id)
        .bind(max_rows)
        .fetch_all(executor)
        .await?)
    }

    /// Returns up to `max_rows` broken invariants; none if all is well. Reads all data.
    pub async fn check<'e>(executor: impl PgExecutor<'e>, max_rows: i32) -> Result<Vec<BrokenInvariant>> {
        Ok(query_as("SELECT invariant, subject, id, detail FROM pg_catalog.workflow_check(max_rows => $1)")
            .bind(max_rows)
            .fetch_all(executor)
            .await?)
    }
}

/// Lists the columns by name, so that a column added by an extension upgrade causes no trouble.
macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT execution, workflow_ref, status, ended, paused, pause_reason, current_tasks, completed_tasks, \
             failed_tasks, skipped_tasks, closing_tasks, undo, parameters, variables, output, error_message, errors, \
             idempotency_key, created, updated, attributes, traceparent \
             FROM pg_catalog.",
            $from
        )
    };
}

impl Engine {
    /// Returns the status of an execution, given the id that `start` returned.
    pub async fn status<'e>(executor: impl PgExecutor<'e>, execution_id: i64) -> Result<WorkflowStatus> {
        let status = query_as(select!("workflow_status(execution_id => $1)"));
        Ok(status.bind(execution_id).fetch_one(executor).await?)
    }

    /// Returns the status of the execution that was started with an idempotency key.
    pub async fn status_by_key<'e>(executor: impl PgExecutor<'e>, key: ExecutionKey<'_>) -> Result<WorkflowStatus> {
        let status = query_as(select!("workflow_status_by_key(ref => $1, idempotency_key => $2, part => $3)"));
        Ok(status.bind(key.r#ref).bind(key.idempotency_key).bind(key.part).fetch_one(executor).await?)
    }

    /// Waits until an execution has ended or the timeout (up to 10 minutes) has expired; `ended` says which. A
    /// transaction that has started or changed the execution cannot wait for it, and neither can one with an isolation
    /// level above READ COMMITTED.
    pub async fn wait<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        timeout: Duration,
    ) -> Result<WorkflowStatus> {
        let wait = query_as(select!("workflow_wait(execution_id => $1, timeout => $2)"));
        Ok(wait.bind(execution_id).bind(interval(timeout)).fetch_one(executor).await?)
    }

    /// Returns what an execution is waiting for, in words: at least one sentence, at most `max_rows`.
    pub async fn why<'e>(executor: impl PgExecutor<'e>, execution_id: i64, max_rows: i32) -> Result<Vec<Reason>> {
        Ok(query_as("SELECT task, why, hint FROM pg_catalog.workflow_why(execution_id => $1, max_rows => $2)")
            .bind(execution_id)
            .bind(max_rows)
            .fetch_all(executor)
            .await?)
    }

    /// Returns a Mermaid Gantt chart, with up to `max_rows` bars, of when the tasks of an execution ran.
    pub async fn timeline<'e>(executor: impl PgExecutor<'e>, execution_id: i64, max_rows: i32) -> Result<String> {
        Ok(query_scalar("SELECT pg_catalog.workflow_timeline(execution_id => $1, max_rows => $2)")
            .bind(execution_id)
            .bind(max_rows)
            .fetch_one(executor)
            .await?)
    }
}

/// Status of an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
#[non_exhaustive]
pub struct WorkflowStatus {
    /// Id of the execution, as returned by `start`.
    pub execution: i64,
    /// Ref of the workflow.
    pub workflow_ref: String,
    /// Status so far.
    pub status: ExecutionStatus,
    /// Whether its last task has ended too.
    pub ended: bool,
    /// Whether it is paused: none of its tasks can be claimed.
    pub paused: bool,
    /// Why it is paused.
    pub pause_reason: Option<String>,
    /// Tasks that have not ended, by name.
    pub current_tasks: Vec<String>,
    /// Tasks that ended successfully.
    pub completed_tasks: Vec<String>,
    /// Tasks that ended unsuccessfully.
    pub failed_tasks: Vec<String>,
    /// Tasks whose condition was false.
    pub skipped_tasks: Vec<String>,
    /// Tasks that have begun, to close an execution that failed, timed out or was cancelled.
    pub closing_tasks: Vec<String>,
    /// How far completed work has been undone: `pending`, `running`, `done`, `failed`, or `stopped` by force; `None` if
    /// nothing is to be undone.
    pub undo: Option<String>,
    /// Parameters, with defaults.
    pub parameters: Option<Value>,
    /// Variables.
    pub variables: Value,
    /// Output, once it has ended.
    pub output: Option<Value>,
    /// Why it failed: the message of the first of `errors`.
    pub error_message: Option<String>,
    /// Everything that went wrong, as an array of objects with time, message, task, item and code.
    pub errors: Value,
    /// Idempotency key that it was started with.
    pub idempotency_key: Option<String>,
    /// When it was started.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub updated: DateTime<Utc>,
    /// Attributes; `None` if it has none.
    pub attributes: Option<Value>,
    /// The span that started it, in the format of W3C Trace Context; `None` if it is not part of a trace.
    pub traceparent: Option<String>,
}

impl WorkflowStatus {
    /// Deserializes the output of a completed execution; null if it has none. If the execution has not completed, the
    /// error says why; any output that it has nevertheless is in `output`.
    pub fn output_as<T: DeserializeOwned>(&self) -> Result<T> {
        if self.status != ExecutionStatus::Completed {
            let (execution, status, message) = (self.execution, self.status, self.error_message.clone());
            return Err(Error::NotCompleted { execution, status, message });
        }
        serde_path_to_error::deserialize(self.output.as_ref().unwrap_or(&Value::Null)).map_err(Error::Output)
    }
}

/// An execution in the call tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct TreeRow {
    /// Id of the execution.
    pub execution: i64,
    /// Execution that called it.
    pub parent: Option<i64>,
    /// Depth below the root of the tree.
    pub depth: i32,
    /// Ref of its workflow, indented by depth.
    pub tree: String,
    /// Ref of its workflow.
    pub workflow_ref: String,
    /// Task that called it; `None` if an earlier attempt did, or no task.
    pub task_name: Option<String>,
    /// Index of that task's item.
    pub task_index: Option<i32>,
    /// Status.
    pub status: ExecutionStatus,
    /// Whether it is paused: none of its tasks can be claimed.
    pub paused: bool,
    /// When it was started.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub updated: DateTime<Utc>,
}

/// Something that an execution is waiting for, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Reason {
    /// Name of the task concerned; `None` for the whole execution.
    pub task: Option<String>,
    /// Explanation, phrased as the rest of a sentence about it.
    pub why: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(task) = &self.task {
            write!(f, "task {task} ")?;
        }
        f.write_str(&self.why)
    }
}

/// A violated invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct BrokenInvariant {
    /// The invariant.
    pub invariant: String,
    /// Table concerned.
    pub subject: String,
    /// Id of the row.
    pub id: i64,
    /// Actual state.
    pub detail: Option<String>,
}
