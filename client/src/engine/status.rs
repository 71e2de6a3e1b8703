//! Where an execution stands, and whether all is well.

use super::{Engine, interval};
use crate::Result;
use crate::model::ExecutionStatus;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgExecutor, query_as, query_scalar};
use std::time::Duration;

/// The columns by name, so that one that an upgrade of the extension adds disturbs nobody.
macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT execution, workflow_execution, workflow_ref, status, ended, paused, pause_reason, current_tasks, \
             completed_tasks, failed_tasks, skipped_tasks, variables, output, error_message, created, updated \
             FROM pg_catalog.",
            $from
        )
    };
}

impl Engine {
    /// Where an execution stands, by the id that `start` gave.
    pub async fn status<'e>(executor: impl PgExecutor<'e>, execution_id: i64) -> Result<WorkflowStatus> {
        let status = query_as(select!("workflow_status(execution_id => $1)"));
        Ok(status.bind(execution_id).fetch_one(executor).await?)
    }

    /// Waits until an execution has ended, at most so long (up to 10 minutes): `ended` tells which of the two it was. A
    /// transaction that has started or changed the execution cannot wait for it, nor can one above READ COMMITTED.
    pub async fn wait<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        timeout: Duration,
    ) -> Result<WorkflowStatus> {
        let wait = query_as(select!("workflow_wait(execution_id => $1, timeout => $2)"));
        Ok(wait.bind(execution_id).bind(interval(timeout)).fetch_one(executor).await?)
    }

    /// What an execution waits for, in words: at least one sentence, at most `max_rows`.
    pub async fn why<'e>(executor: impl PgExecutor<'e>, execution_id: i64, max_rows: i32) -> Result<Vec<Reason>> {
        Ok(query_as("SELECT task, why, hint FROM pg_catalog.workflow_why(execution_id => $1, max_rows => $2)")
            .bind(execution_id)
            .bind(max_rows)
            .fetch_all(executor)
            .await?)
    }

    /// When the tasks of an execution ran, as Mermaid gantt text with up to `max_rows` bars.
    pub async fn timeline<'e>(executor: impl PgExecutor<'e>, execution_id: i64, max_rows: i32) -> Result<String> {
        Ok(query_scalar("SELECT pg_catalog.workflow_timeline(execution_id => $1, max_rows => $2)")
            .bind(execution_id)
            .bind(max_rows)
            .fetch_one(executor)
            .await?)
    }
}

/// Where an execution stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct WorkflowStatus {
    /// The execution, as `start` gave it.
    pub execution: i64,
    /// Its workflow execution.
    pub workflow_execution: i64,
    /// The workflow.
    pub workflow_ref: String,
    /// The verdict so far.
    pub status: ExecutionStatus,
    /// Has its last task ended too?
    pub ended: bool,
    /// No task of it can be claimed.
    pub paused: bool,
    /// Why it is paused.
    pub pause_reason: Option<String>,
    /// Tasks that have not ended, by name.
    pub current_tasks: Vec<String>,
    /// Tasks that ended well.
    pub completed_tasks: Vec<String>,
    /// Tasks that ended badly.
    pub failed_tasks: Vec<String>,
    /// Tasks whose condition was false.
    pub skipped_tasks: Vec<String>,
    /// The variables.
    pub variables: Value,
    /// What came out, when it has ended.
    pub output: Option<Value>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// When it was started.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub updated: DateTime<Utc>,
}

/// An execution in the tree of those that call each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct TreeRow {
    /// The execution.
    pub execution: i64,
    /// The one that called it.
    pub parent: Option<i64>,
    /// How deep below the first.
    pub depth: i32,
    /// Its workflow's ref, indented by depth.
    pub tree: String,
    /// Its workflow.
    pub workflow_ref: String,
    /// The task that called it; none: of a former attempt, or of no task.
    pub task_name: Option<String>,
    /// Which item of that.
    pub task_index: Option<i32>,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// No task of it can be claimed.
    pub paused: bool,
    /// When it was started.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub updated: DateTime<Utc>,
}

/// Something that an execution waits for, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Reason {
    /// The task that it is about, by name; none: the whole.
    pub task: Option<String>,
    /// What is the matter, as the rest of a sentence about it.
    pub why: String,
    /// What can be done.
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

/// Something that must never be and is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct BrokenInvariant {
    /// What should be true.
    pub invariant: String,
    /// The table.
    pub subject: String,
    /// The row.
    pub id: i64,
    /// What is there.
    pub detail: Option<String>,
}
