//! Lists of executions and their tasks, and the text of definitions.

use super::Engine;
use crate::Result;
use crate::model::{ExecutionStatus, TaskStatus};
use crate::page::{Page, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, PgExecutor, query_as, query_scalar};

impl Engine {
    /// Returns executions, newest first. `after` is the id of the last one of the previous page.
    pub async fn list_executions<'e>(
        executor: impl PgExecutor<'e>,
        filter: &ExecutionFilter,
        page: Page,
    ) -> Result<Vec<ExecutionSummary>> {
        let statuses: Option<Vec<&str>> =
            filter.statuses.as_ref().map(|all| all.iter().map(|status| status.as_str()).collect());
        // In the order of the primary key, which is that of the ids.
        Ok(query_as(
            "SELECT s.execution, s.workflow_ref, s.workflow_version, s.status, s.paused, s.current_task_count, \
             s.completed_task_count, s.failed_task_count, s.skipped_task_count, s.error_message, s.created, s.updated \
             FROM workflow.workflow_execution_summary AS s \
             WHERE ($1::text IS NULL OR s.workflow_ref OPERATOR(pg_catalog.=) $1) \
             AND ($2::text[] IS NULL OR s.status::text OPERATOR(pg_catalog.=) ANY ($2)) \
             AND ($3::bool IS NULL OR s.paused OPERATOR(pg_catalog.=) $3) \
             AND ($4::bigint IS NULL OR ROW(s.part, s.id) OPERATOR(pg_catalog.<) ROW(($4 OPERATOR(pg_catalog.>>) 48)::int, $4)) \
             ORDER BY s.part DESC, s.id DESC LIMIT $5",
        )
        .bind(&filter.workflow_ref)
        .bind(statuses)
        .bind(filter.paused)
        .bind(page.after)
        .bind(i64::from(page.max_rows))
        .fetch_all(executor)
        .await?)
    }

    /// Returns the tasks of an execution with their inputs, results and errors, in the order in which they were
    /// created.
    pub async fn list_tasks<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        page: Page,
    ) -> Result<Vec<TaskDetail>> {
        Ok(query_as(
            "SELECT task, task_name, task_index, label, status, summary, action, signal, child_execution, input, result, \
             error, progress, attempt, retry_count, max_retries, worker, closing, undoes, created, started_at, completed_at \
             FROM pg_catalog.workflow_list_tasks(execution_id => $1, max_rows => $2, after => $3)",
        )
        .bind(execution_id)
        .bind(page.max_rows)
        .bind(page.after)
        .fetch_all(executor)
        .await?)
    }

    /// Returns the text of a workflow's current version, or `None` if there is no such workflow or it was not defined
    /// from text.
    pub async fn definition_source<'e>(executor: impl PgExecutor<'e>, r#ref: &str) -> Result<Option<String>> {
        Ok(query_scalar(
            "SELECT v.source FROM workflow.workflow_definition AS d \
             JOIN workflow.workflow_definition_version AS v ON v.id OPERATOR(pg_catalog.=) d.current_version \
             WHERE d.ref OPERATOR(pg_catalog.=) $1",
        )
        .bind(r#ref)
        .fetch_optional(executor)
        .await?)
    }
}

/// Which executions to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutionFilter {
    /// Only those of this workflow.
    pub workflow_ref: Option<String>,
    /// Only those in one of these statuses.
    pub statuses: Option<Vec<ExecutionStatus>>,
    /// Only those that are paused, or that are not.
    pub paused: Option<bool>,
}

/// An execution at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct ExecutionSummary {
    /// Id of the execution, as returned by `start`.
    pub execution: i64,
    /// Ref of the workflow.
    pub workflow_ref: String,
    /// Version that the author gave the definition that it runs.
    pub workflow_version: String,
    /// Status so far.
    pub status: ExecutionStatus,
    /// Whether it is paused: none of its tasks can be claimed.
    pub paused: bool,
    /// Number of tasks, by name, that have not ended.
    pub current_task_count: i32,
    /// Number of tasks that ended successfully.
    pub completed_task_count: i32,
    /// Number of tasks that ended unsuccessfully.
    pub failed_task_count: i32,
    /// Number of tasks whose condition was false.
    pub skipped_task_count: i32,
    /// Why it failed.
    pub error_message: Option<String>,
    /// When it was started.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub updated: DateTime<Utc>,
}

impl Row for ExecutionSummary {
    fn id(&self) -> i64 {
        self.execution
    }
}

/// A task of an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub struct TaskDetail {
    /// Id of the task.
    pub task: i64,
    /// Its name in the definition.
    pub task_name: String,
    /// Index of the item, starting at 0, if the task runs once per item.
    pub task_index: Option<i32>,
    /// Label of the item, if its `with_items` gives one.
    pub label: Option<String>,
    /// Status.
    pub status: ExecutionStatus,
    /// Status at a glance.
    pub summary: TaskStatus,
    /// Action that a worker executes.
    pub action: Option<String>,
    /// Signal that it waits for.
    pub signal: Option<String>,
    /// Execution of the workflow that it calls.
    pub child_execution: Option<i64>,
    /// Input.
    pub input: Option<Value>,
    /// Result.
    pub result: Option<Value>,
    /// Error of the last attempt.
    pub error: Option<Value>,
    /// How far it has got, as its worker reported.
    pub progress: Option<Value>,
    /// Number of times it has been claimed.
    pub attempt: i32,
    /// Number of retries so far.
    pub retry_count: i32,
    /// Maximum number of retries.
    pub max_retries: i32,
    /// Worker that holds it or, unless it has completed, the last one that lost it.
    pub worker: Option<String>,
    /// Whether it closes an execution that failed, timed out or was cancelled.
    pub closing: bool,
    /// Task that it undoes.
    pub undoes: Option<i64>,
    /// When it was created.
    pub created: DateTime<Utc>,
    /// When it last started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
}

impl TaskDetail {
    /// Returns its name, with the label or index of its item.
    pub fn title(&self) -> String {
        match (&self.label, self.task_index) {
            (Some(label), _) => format!("{}[{label}]", self.task_name),
            (None, Some(index)) => format!("{}[{index}]", self.task_name),
            (None, None) => self.task_name.clone(),
        }
    }
}

impl Row for TaskDetail {
    fn id(&self) -> i64 {
        self.task
    }
}
