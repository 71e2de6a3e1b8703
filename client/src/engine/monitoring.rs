//! What operators watch: a row of each of the monitoring views.

use super::Engine;
use crate::Result;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgExecutor, query_as};

impl Engine {
    /// What can be claimed, an action a row, that whose first task has waited longest first.
    pub async fn queue_summary<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<QueueSummary>> {
        Ok(query_as("SELECT action_ref, ready, oldest FROM workflow.queue_summary ORDER BY oldest, action_ref")
            .fetch_all(executor)
            .await?)
    }

    /// Tasks that workers hold, oldest claims first, up to `max_rows`.
    pub async fn claims<'e>(executor: impl PgExecutor<'e>, max_rows: i32) -> Result<Vec<ClaimDetail>> {
        Ok(query_as(
            "SELECT part, task, workflow_execution, task_name, task_index, action_ref, attempt, worker, claimed, \
             last_seen, lease_until, expired FROM workflow.claim_detail ORDER BY claimed, task LIMIT $1",
        )
        .bind(max_rows)
        .fetch_all(executor)
        .await?)
    }

    /// Workers that hold leases, by name.
    pub async fn worker_summary<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<WorkerSummary>> {
        Ok(query_as(
            "SELECT worker, leases, tasks, expired, claimed, last_seen, lease_until FROM workflow.worker_summary \
             ORDER BY worker",
        )
        .fetch_all(executor)
        .await?)
    }

    /// How the newest tasks of each action went, by action.
    pub async fn action_summary<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<ActionSummary>> {
        Ok(query_as(
            "SELECT action_ref, since, tasks, completed, failed, repeated, ended_per_minute::float8, median_ms, p95_ms \
             FROM workflow.action_summary ORDER BY action_ref",
        )
        .fetch_all(executor)
        .await?)
    }

    /// What time has made due and nobody has done yet, a kind a row: empty, or moments old, where somebody ticks.
    pub async fn overdue_summary<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<OverdueSummary>> {
        Ok(query_as("SELECT kind, rows, oldest FROM workflow.overdue_summary ORDER BY oldest, kind")
            .fetch_all(executor)
            .await?)
    }
}

/// The queue of one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct QueueSummary {
    /// The action.
    pub action_ref: String,
    /// How many tasks can be claimed.
    pub ready: i64,
    /// Since when the first of them can be.
    pub oldest: DateTime<Utc>,
}

/// A task that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct ClaimDetail {
    /// Its part.
    pub part: i32,
    /// The task.
    pub task: i64,
    /// The workflow execution it belongs to.
    pub workflow_execution: i64,
    /// Its name in the definition.
    pub task_name: String,
    /// Which item, from 0, where it runs once an item.
    pub task_index: Option<i32>,
    /// What the worker does.
    pub action_ref: Option<String>,
    /// How often it was claimed.
    pub attempt: i32,
    /// Who holds it.
    pub worker: String,
    /// Since when.
    pub claimed: DateTime<Utc>,
    /// When the worker claimed it, or last prolonged its lease.
    pub last_seen: DateTime<Utc>,
    /// When its lease ends.
    pub lease_until: DateTime<Utc>,
    /// The lease has ended: the next claim or tick gives the task to others.
    pub expired: bool,
}

/// A worker that holds leases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct WorkerSummary {
    /// The name it claims by.
    pub worker: String,
    /// Its leases.
    pub leases: i64,
    /// The tasks it holds.
    pub tasks: i64,
    /// Of these, those whose lease has ended.
    pub expired: i64,
    /// When it claimed the first of them.
    pub claimed: Option<DateTime<Utc>>,
    /// When it last claimed or prolonged a lease.
    pub last_seen: DateTime<Utc>,
    /// When the first of its leases ends.
    pub lease_until: Option<DateTime<Utc>>,
}

/// How the newest tasks of one action went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub struct ActionSummary {
    /// The action.
    pub action_ref: String,
    /// Made since then: the last hour, or what the newest 10,000 tasks go back to.
    pub since: DateTime<Utc>,
    /// How many tasks were made; skipped ones are not counted.
    pub tasks: i64,
    /// Of these, ended well.
    pub completed: i64,
    /// Failed, timed out or abandoned.
    pub failed: i64,
    /// Claimed more than once.
    pub repeated: i64,
    /// How many ended a minute.
    pub ended_per_minute: f64,
    /// How long half of those that ended ran at most, in milliseconds.
    pub median_ms: Option<i64>,
    /// How long 95 of 100 did.
    pub p95_ms: Option<i64>,
}

/// What is overdue of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct OverdueSummary {
    /// `lease`, `retry`, `delay`, `wait`, `task timeout`, `workflow` or `schedule`.
    pub kind: String,
    /// How many are due.
    pub rows: i64,
    /// Since when the first of them is.
    pub oldest: DateTime<Utc>,
}
