//! Controlling executions, and reading their events.

use super::{Engine, interval};
use crate::model::{Event, ExecutionStatus};
use crate::{Page, Result};
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, query, query_as, query_scalar};
use std::time::Duration;

impl Engine {
    /// Pauses an execution: none of its tasks can be claimed until it is resumed. Running tasks may finish.
    pub async fn pause<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        reason: Option<&str>,
    ) -> Result<ExecutionStatus> {
        Ok(query_scalar("SELECT pg_catalog.workflow_pause(execution_id => $1, reason => $2)")
            .bind(execution_id)
            .bind(reason)
            .fetch_one(executor)
            .await?)
    }

    /// Ends a pause. If nothing is left to do, the execution ends.
    pub async fn resume<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        reason: Option<&str>,
    ) -> Result<ExecutionStatus> {
        Ok(query_scalar("SELECT pg_catalog.workflow_resume(execution_id => $1, reason => $2)")
            .bind(execution_id)
            .bind(reason)
            .fetch_one(executor)
            .await?)
    }

    /// Cancels an execution: nothing new starts. It is `canceling` while tasks are running, and then `cancelled`.
    pub async fn cancel<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        reason: Option<&str>,
    ) -> Result<ExecutionStatus> {
        Ok(query_scalar("SELECT pg_catalog.workflow_cancel(execution_id => $1, reason => $2)")
            .bind(execution_id)
            .bind(reason)
            .fetch_one(executor)
            .await?)
    }

    /// Ends an execution at once, including what would close it: handlers, the `finally` task, and what it calls.
    pub async fn force_cancel<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        reason: Option<&str>,
    ) -> Result<ExecutionStatus> {
        Ok(query_scalar("SELECT pg_catalog.workflow_cancel(execution_id => $1, reason => $2, force => true)")
            .bind(execution_id)
            .bind(reason)
            .fetch_one(executor)
            .await?)
    }

    /// Continues an execution that ended unsuccessfully from where it stopped, together with the executions it called
    /// and those that called it.
    pub async fn rerun<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        input: RerunInput,
    ) -> Result<ExecutionStatus> {
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_rerun(execution_id => $1, tasks => $2, reset_items => $3, routes => $4, \
             reason => $5)",
        )
        .bind(execution_id)
        .bind(input.tasks)
        .bind(input.reset_items)
        .bind(input.routes)
        .bind(input.reason)
        .fetch_one(executor)
        .await?)
    }

    /// Returns the events of an execution, oldest first.
    pub async fn list_events<'e>(executor: impl PgExecutor<'e>, execution_id: i64, page: Page) -> Result<Vec<Event>> {
        Ok(query_as(
            "SELECT part, id, execution, task, task_index, task_name, kind, message, author, detail, created, \
             updated FROM pg_catalog.workflow_list_events(execution_id => $1, max_rows => $2, after => $3)",
        )
        .bind(execution_id)
        .bind(page.max_rows)
        .bind(page.after)
        .fetch_all(executor)
        .await?)
    }

    /// Deletes up to `max_rows` (1 to 10,000) executions of workflows that ended at least `older_than` ago, in one of
    /// these statuses or in any, with all dependent rows. Returns how many were deleted; call it again while that is
    /// `max_rows`.
    pub async fn prune<'e>(
        executor: impl PgExecutor<'e>,
        older_than: Duration,
        max_rows: i32,
        statuses: Option<&[ExecutionStatus]>,
    ) -> Result<i32> {
        let statuses: Option<Vec<&str>> = statuses.map(|all| all.iter().map(|status| status.as_str()).collect());
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_prune(older_than => $1, max_rows => $2, \
             statuses => $3::text[]::workflow.execution_status[])",
        )
        .bind(interval(older_than))
        .bind(max_rows)
        .bind(statuses)
        .fetch_one(executor)
        .await?)
    }

    /// Sets where executions are archived when they are deleted, in the same transaction and with the privileges of the
    /// role that calls this: `schema.name(jsonb)`, a function, or `schema.name`, a table with the columns `execution`
    /// and `data`; `None` turns archiving off.
    pub async fn archive_to<'e>(executor: impl PgExecutor<'e>, target: Option<&str>) -> Result<()> {
        query("SELECT pg_catalog.workflow_archive_to(target => $1)").bind(target).execute(executor).await?;
        Ok(())
    }

    /// Returns where executions are archived when they are deleted, or `None` if they are not.
    pub async fn find_archive<'e>(executor: impl PgExecutor<'e>) -> Result<Option<Archive>> {
        Ok(query_as("SELECT kind, target, role FROM pg_catalog.workflow_find_archive()")
            .fetch_optional(executor)
            .await?)
    }
}

/// Where executions are archived when they are deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Archive {
    /// `function` or `table`.
    pub kind: String,
    /// Its name, with its schema.
    pub target: String,
    /// The role that set it, with whose privileges it is used.
    pub role: String,
}

/// What to rerun, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RerunInput {
    /// Tasks to rerun; `None` for those whose failure was not handled, and all that would have started.
    pub tasks: Option<Vec<String>>,
    /// Route to each of these tasks; `None` for route 0.
    pub routes: Option<Vec<i32>>,
    /// Whether to rerun the successful items of a task, too, and to start the workflows they called from scratch.
    pub reset_items: bool,
    /// Reason for the rerun.
    pub reason: Option<String>,
}
