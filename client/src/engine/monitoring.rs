//! Monitoring: the rows of the monitoring views.

use super::Engine;
use crate::Result;
use crate::model::ExecutionStatus;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgExecutor, query_as, query_scalar};

impl Engine {
    /// Returns what can be claimed, one row per action, ordered by the waiting time of the action's first task, longest
    /// first.
    pub async fn queue_summary<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<QueueSummary>> {
        Ok(query_as("SELECT action_ref, ready, oldest FROM workflow.queue_summary ORDER BY oldest, action_ref")
            .fetch_all(executor)
            .await?)
    }

    /// Returns up to `max_rows` tasks that workers hold, oldest claims first.
    pub async fn claims<'e>(executor: impl PgExecutor<'e>, max_rows: i32) -> Result<Vec<ClaimDetail>> {
        Ok(query_as(
            "SELECT part, task, execution, task_name, task_index, action_ref, attempt, worker, claimed, \
             last_seen, lease_until, expired FROM workflow.claim_detail ORDER BY claimed, task LIMIT $1",
        )
        .bind(max_rows)
        .fetch_all(executor)
        .await?)
    }

    /// Returns the actions for which some worker holds a task under an unexpired lease, ordered by name.
    pub async fn served_actions<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<String>> {
        Ok(query_scalar(
            "SELECT DISTINCT action_ref FROM workflow.claim_detail WHERE NOT expired AND action_ref IS NOT NULL ORDER BY action_ref",
        )
        .fetch_all(executor)
        .await?)
    }

    /// Returns the workers that hold leases, ordered by name.
    pub async fn worker_summary<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<WorkerSummary>> {
        Ok(query_as(
            "SELECT worker, leases, tasks, expired, claimed, last_seen, lease_until FROM workflow.worker_summary \
             ORDER BY worker",
        )
        .fetch_all(executor)
        .await?)
    }

    /// Returns statistics on the newest tasks of each action, ordered by action.
    pub async fn action_summary<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<ActionSummary>> {
        Ok(query_as(
            "SELECT action_ref, since, tasks, completed, failed, repeated, ended_per_minute::float8, median_ms, p95_ms \
             FROM workflow.action_summary ORDER BY action_ref",
        )
        .fetch_all(executor)
        .await?)
    }

    /// Returns the number of executions by workflow and status; large numbers are estimates.
    pub async fn execution_counts<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<ExecutionCount>> {
        Ok(query_as(
            "SELECT workflow_ref, status, executions, estimated FROM workflow.execution_count ORDER BY workflow_ref, status",
        )
        .fetch_all(executor)
        .await?)
    }

    /// Returns statistics on the newest executions of each workflow, ordered by workflow.
    pub async fn workflow_summary<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<WorkflowSummary>> {
        Ok(query_as(
            "SELECT workflow_ref, since, started, completed, failed, cancelled, unfinished, \
             started_per_minute::float8, ended_per_minute::float8, failed_per_minute::float8 \
             FROM workflow.workflow_summary ORDER BY workflow_ref",
        )
        .fetch_all(executor)
        .await?)
    }

    /// Returns work that is due but not done yet, one row per kind. While ticks are running, there is either none or it
    /// has been due for only moments.
    pub async fn overdue_summary<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<OverdueSummary>> {
        Ok(query_as("SELECT kind, rows, oldest FROM workflow.overdue_summary ORDER BY oldest, kind")
            .fetch_all(executor)
            .await?)
    }
}

/// Number of executions of a workflow that have one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct ExecutionCount {
    /// Ref of the workflow.
    pub workflow_ref: String,
    /// Their status.
    pub status: ExecutionStatus,
    /// Number of executions.
    pub executions: i64,
    /// Whether the number is an estimate.
    pub estimated: bool,
}

/// Statistics on the newest executions of a workflow: those created in the last hour, limited to the newest 10,000 of
/// all workflows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub struct WorkflowSummary {
    /// Ref of the workflow.
    pub workflow_ref: String,
    /// Start of the period covered.
    pub since: DateTime<Utc>,
    /// Number of executions created in the period.
    pub started: i64,
    /// Number of these that completed.
    pub completed: i64,
    /// Number that failed, timed out or were abandoned.
    pub failed: i64,
    /// Number that were cancelled.
    pub cancelled: i64,
    /// Number that have not ended.
    pub unfinished: i64,
    /// Number of executions started per minute.
    pub started_per_minute: f64,
    /// Number of these that ended, per minute.
    pub ended_per_minute: f64,
    /// Number of these that failed, per minute.
    pub failed_per_minute: f64,
}

/// The queue of one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct QueueSummary {
    /// Ref of the action.
    pub action_ref: String,
    /// Number of tasks that can be claimed.
    pub ready: i64,
    /// When the first of them became claimable.
    pub oldest: DateTime<Utc>,
}

/// A task held by a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct ClaimDetail {
    /// Part of the task.
    pub part: i32,
    /// Id of the task.
    pub task: i64,
    /// The execution it belongs to.
    pub execution: i64,
    /// Its name in the definition.
    pub task_name: String,
    /// Index of the item, starting at 0, if the task runs once per item.
    pub task_index: Option<i32>,
    /// Action that the worker executes.
    pub action_ref: Option<String>,
    /// Number of times it has been claimed.
    pub attempt: i32,
    /// Worker that holds it.
    pub worker: String,
    /// When it was claimed.
    pub claimed: DateTime<Utc>,
    /// When the worker claimed it or last extended its lease.
    pub last_seen: DateTime<Utc>,
    /// When its lease ends.
    pub lease_until: DateTime<Utc>,
    /// Whether the lease has expired: the next claim or tick makes the task available to others.
    pub expired: bool,
}

/// A worker that holds leases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct WorkerSummary {
    /// Name under which it claims.
    pub worker: String,
    /// Number of its leases.
    pub leases: i64,
    /// Number of tasks it holds.
    pub tasks: i64,
    /// How many of these have an expired lease.
    pub expired: i64,
    /// When it claimed the first of them.
    pub claimed: Option<DateTime<Utc>>,
    /// When it last claimed a task or extended a lease.
    pub last_seen: DateTime<Utc>,
    /// When the first of its leases ends.
    pub lease_until: Option<DateTime<Utc>>,
}

/// Statistics on the newest tasks of one action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub struct ActionSummary {
    /// Ref of the action.
    pub action_ref: String,
    /// Start of the period covered: the last hour, or as far as the newest 10,000 tasks go back.
    pub since: DateTime<Utc>,
    /// Number of tasks created, not counting skipped ones.
    pub tasks: i64,
    /// How many of these completed.
    pub completed: i64,
    /// How many failed, timed out or were abandoned.
    pub failed: i64,
    /// How many were claimed more than once.
    pub repeated: i64,
    /// Tasks ended per minute.
    pub ended_per_minute: f64,
    /// Median duration of the ended tasks, in milliseconds.
    pub median_ms: Option<i64>,
    /// 95th percentile of the same, in milliseconds.
    pub p95_ms: Option<i64>,
}

/// Overdue work of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct OverdueSummary {
    /// `lease`, `retry`, `delay`, `wait`, `task timeout`, `workflow`, `schedule`, `retention`, `pending report` or
    /// `bulk_job`.
    pub kind: String,
    /// Number of rows that are due.
    pub rows: i64,
    /// When the first of them became due.
    pub oldest: DateTime<Utc>,
}
