//! What people do to an execution, and what happened to it.

use super::{Engine, interval};
use crate::model::{Event, ExecutionStatus};
use crate::{Page, Result};
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, query_as, query_scalar};
use std::time::Duration;

impl Engine {
    /// No task of it can be claimed until it is resumed; what runs may finish.
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

    /// Ends a pause. With nothing left to do, the execution ends.
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

    /// Nothing of it starts any more: `canceling` while tasks run, and then `cancelled`.
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

    /// Runs one that ended without success on from where it stopped, with what it had called and what called it.
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

    /// What happened to an execution, oldest first.
    pub async fn list_events<'e>(executor: impl PgExecutor<'e>, execution_id: i64, page: Page) -> Result<Vec<Event>> {
        Ok(query_as(
            "SELECT part, id, workflow_execution, task, task_index, task_name, kind, message, author, detail, created, \
             updated FROM pg_catalog.workflow_list_events(execution_id => $1, max_rows => $2, after => $3)",
        )
        .bind(execution_id)
        .bind(page.max_rows)
        .bind(page.after)
        .fetch_all(executor)
        .await?)
    }

    /// Deletes up to `max_rows` (1 to 10,000) executions of workflows that ended at least so long ago, in one of these
    /// ways or in any, with all that hangs on them. Gives how many: call it again while that is `max_rows`.
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
}

/// What to run again, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RerunInput {
    /// These tasks; none: those whose failure nothing handled, and all that would have started.
    pub tasks: Option<Vec<String>>,
    /// Which way led to each of them; none: 0.
    pub routes: Option<Vec<i32>>,
    /// Of a task with items, also those that succeeded; and workflows that they had called are called anew.
    pub reset_items: bool,
    /// Why.
    pub reason: Option<String>,
}
