//! Applying the same operation to many executions.

use super::{Engine, SignalInput};
use crate::{Page, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgExecutor, query_as, query_scalar};

/// Result for one of many executions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct BulkAnswer {
    /// The execution, as given.
    pub execution: Option<i64>,
    /// Its status, or what happened to the signal; `None` if it was refused.
    pub answer: Option<String>,
    /// Code of the refusal; `None` if it was not refused.
    pub code: Option<String>,
    /// Message of the refusal.
    pub message: Option<String>,
}

/// What a bulk job does to each execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum BulkOperation {
    /// Pauses it.
    Pause,
    /// Resumes it.
    Resume,
    /// Cancels it.
    Cancel,
    /// Reruns it.
    Rerun,
    /// Sends it a signal.
    Signal,
    /// Deletes it if it has ended.
    Prune,
}

/// Status of a bulk job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum BulkJobStatus {
    /// Each tick does one step.
    Running,
    /// It was stopped by a user.
    Stopped,
    /// Everything has been processed.
    Completed,
    /// A step has failed.
    Failed,
}

/// A job that applies the same operation to all executions that match a filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct BulkJob {
    /// Id of the job.
    pub job: i64,
    /// Operation applied to each.
    pub action: BulkOperation,
    /// Filter for executions: an object of arguments of `workflow_search`.
    pub filter: Value,
    /// Further arguments of the operation.
    pub arguments: Value,
    /// Status.
    pub status: BulkJobStatus,
    /// Number of executions processed so far.
    pub processed: i64,
    /// Number of executions for which the operation was refused so far.
    pub refused: i64,
    /// Number of executions to be retried because they were locked.
    pub busy: i32,
    /// Number of refusals by code, with a message.
    pub refusals: Value,
    /// Creation time of the last execution processed; the newest ones come first.
    pub reached: Option<DateTime<Utc>>,
    /// Why a step failed.
    pub last_error: Option<String>,
    /// Who created it.
    pub author: String,
    /// When it was created.
    pub created: DateTime<Utc>,
    /// When it last did a step.
    pub updated: DateTime<Utc>,
}

impl crate::Row for BulkJob {
    fn id(&self) -> i64 {
        self.job
    }
}

impl Engine {
    /// Pauses up to 1000 executions and returns one result per execution, in order.
    pub async fn pause_many<'e>(
        executor: impl PgExecutor<'e>,
        executions: &[i64],
        reason: Option<&str>,
    ) -> Result<Vec<BulkAnswer>> {
        Ok(query_as("SELECT execution, answer, code, message FROM pg_catalog.workflow_pause_many(executions => $1, reason => $2)")
            .bind(executions)
            .bind(reason)
            .fetch_all(executor)
            .await?)
    }

    /// Resumes up to 1000 executions and returns one result per execution, in order.
    pub async fn resume_many<'e>(
        executor: impl PgExecutor<'e>,
        executions: &[i64],
        reason: Option<&str>,
    ) -> Result<Vec<BulkAnswer>> {
        Ok(query_as("SELECT execution, answer, code, message FROM pg_catalog.workflow_resume_many(executions => $1, reason => $2)")
            .bind(executions)
            .bind(reason)
            .fetch_all(executor)
            .await?)
    }

    /// Cancels up to 1000 executions, by force or not, and returns one result per execution, in order.
    pub async fn cancel_many<'e>(
        executor: impl PgExecutor<'e>,
        executions: &[i64],
        reason: Option<&str>,
        force: bool,
    ) -> Result<Vec<BulkAnswer>> {
        Ok(query_as(
            "SELECT execution, answer, code, message FROM pg_catalog.workflow_cancel_many(executions => $1, \
             reason => $2, force => $3)",
        )
        .bind(executions)
        .bind(reason)
        .bind(force)
        .fetch_all(executor)
        .await?)
    }

    /// Reruns up to 1000 executions, each from the newest run of these tasks or from its failures, and returns one
    /// result per execution, in order.
    pub async fn rerun_many<'e>(
        executor: impl PgExecutor<'e>,
        executions: &[i64],
        tasks: Option<&[String]>,
        reset_items: bool,
        reason: Option<&str>,
    ) -> Result<Vec<BulkAnswer>> {
        Ok(query_as(
            "SELECT execution, answer, code, message FROM pg_catalog.workflow_rerun_many(executions => $1, tasks => $2, \
             reset_items => $3, reason => $4)",
        )
        .bind(executions)
        .bind(tasks)
        .bind(reset_items)
        .bind(reason)
        .fetch_all(executor)
        .await?)
    }

    /// Sends a signal to up to 1000 executions and returns one result per execution, in order.
    pub async fn signal_many<'e>(
        executor: impl PgExecutor<'e>,
        executions: &[i64],
        input: SignalInput,
    ) -> Result<Vec<BulkAnswer>> {
        Ok(query_as(
            "SELECT execution, answer, code, message FROM pg_catalog.workflow_signal_many(executions => $1, name => $2, \
             payload => $3, key => $4, error => $5)",
        )
        .bind(executions)
        .bind(input.name)
        .bind(input.payload.map(Json))
        .bind(input.key)
        .bind(input.error.map(Json))
        .fetch_all(executor)
        .await?)
    }

    /// Deletes up to 1000 executions that have ended and returns one result per execution, in order.
    pub async fn prune_many<'e>(executor: impl PgExecutor<'e>, executions: &[i64]) -> Result<Vec<BulkAnswer>> {
        Ok(query_as("SELECT execution, answer, code, message FROM pg_catalog.workflow_prune_many(executions => $1)")
            .bind(executions)
            .fetch_all(executor)
            .await?)
    }

    /// Deletes an execution with everything that it calls, whether or not it has ended. Returns the number of
    /// executions deleted.
    pub async fn erase<'e>(executor: impl PgExecutor<'e>, execution_id: i64) -> Result<i32> {
        Ok(query_scalar("SELECT pg_catalog.workflow_erase(execution_id => $1)")
            .bind(execution_id)
            .fetch_one(executor)
            .await?)
    }

    /// Creates a job that applies the same operation to all executions that exist now and match a filter, an object of
    /// arguments of `workflow_search`. Each tick does one step. Returns the job's id.
    pub async fn apply<'e>(
        executor: impl PgExecutor<'e>,
        action: BulkOperation,
        filter: &Value,
        arguments: &Value,
    ) -> Result<i64> {
        Ok(query_scalar("SELECT pg_catalog.workflow_apply(action => $1, filter => $2, arguments => $3)")
            .bind(action)
            .bind(Json(filter))
            .bind(Json(arguments))
            .fetch_one(executor)
            .await?)
    }

    /// Stops a bulk job.
    pub async fn stop_bulk_job<'e>(executor: impl PgExecutor<'e>, job: i64) -> Result<BulkJobStatus> {
        Ok(query_scalar("SELECT pg_catalog.workflow_stop_bulk_job(job => $1)").bind(job).fetch_one(executor).await?)
    }

    /// Resumes a bulk job that was stopped or has failed.
    pub async fn resume_bulk_job<'e>(executor: impl PgExecutor<'e>, job: i64) -> Result<BulkJobStatus> {
        Ok(query_scalar("SELECT pg_catalog.workflow_resume_bulk_job(job => $1)").bind(job).fetch_one(executor).await?)
    }

    /// Returns bulk jobs with their progress, newest first.
    pub async fn list_bulk_jobs<'e>(executor: impl PgExecutor<'e>, page: Page) -> Result<Vec<BulkJob>> {
        Ok(query_as(
            "SELECT job, action, filter, arguments, status, processed, refused, busy, refusals, reached, last_error, \
             author, created, updated FROM pg_catalog.workflow_list_bulk_jobs(max_rows => $1, after => $2)",
        )
        .bind(page.max_rows)
        .bind(page.after)
        .fetch_all(executor)
        .await?)
    }
}
