//! Data for a console: each call reads as little as possible, however much data there is.

use super::{Engine, WorkflowStatus};
use crate::model::{ExecutionStatus, TaskStatus};
use crate::{Page, Result, Row};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, PgExecutor, query_as, query_scalar};

/// The first parts that have queued tasks, found one after the other in the index of the queue, which may have many
/// rows.
const QUEUED_PARTS: &str = "WITH RECURSIVE queued AS ( \
    SELECT (SELECT t.part FROM workflow.workflow_task_execution AS t WHERE t.queue_at IS NOT NULL ORDER BY t.part LIMIT 1) AS part, \
    1 AS number \
    UNION ALL \
    SELECT (SELECT t.part FROM workflow.workflow_task_execution AS t \
    WHERE t.queue_at IS NOT NULL AND t.part OPERATOR(pg_catalog.>) q.part ORDER BY t.part LIMIT 1), q.number OPERATOR(pg_catalog.+) 1 \
    FROM queued AS q WHERE q.part IS NOT NULL AND q.number OPERATOR(pg_catalog.<) 64) ";

impl Engine {
    /// Names the person on whose behalf the current transaction controls executions. The name becomes part of the
    /// author of events.
    pub async fn act_for<'e>(executor: impl PgExecutor<'e>, person: &str) -> Result<()> {
        let _: String = query_scalar("SELECT pg_catalog.set_config('pg_workflow.actor', $1, true)")
            .bind(person)
            .fetch_one(executor)
            .await?;
        Ok(())
    }

    /// Returns a text that changes as soon as anything has been committed on the server, or work has become due that no
    /// tick processes. While it stays the same, so does everything else that can be read, except what depends on the
    /// time. Reads only what is due; on a standby, the text says how much has been replayed.
    pub async fn fingerprint<'e>(executor: impl PgExecutor<'e>) -> Result<String> {
        Ok(query_scalar(
            "SELECT pg_catalog.concat_ws(' ', CASE WHEN pg_catalog.pg_is_in_recovery() \
             THEN pg_catalog.pg_last_wal_replay_lsn()::text ELSE pg_catalog.pg_current_snapshot()::text END, \
             (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', o.kind, o.rows, o.late OPERATOR(pg_catalog.>) '10 seconds'::interval), ',' ORDER BY o.kind) \
             FROM workflow.overdue_summary AS o))",
        )
        .fetch_one(executor)
        .await?)
    }

    /// Returns the status of an execution. Parameters, variables and output whose stored size exceeds this number of
    /// bytes are not read; a text with their size takes their place.
    pub async fn status_at_a_glance<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        max_bytes: i32,
    ) -> Result<WorkflowStatus> {
        Ok(query_as(
            "SELECT s.execution, s.workflow_ref, s.status, s.ended, s.paused, s.pause_reason, s.current_tasks, \
             s.completed_tasks, s.failed_tasks, s.skipped_tasks, s.closing_tasks, s.undo, \
             CASE WHEN size.parameters OPERATOR(pg_catalog.>) $2 THEN pg_catalog.to_jsonb(pg_catalog.pg_size_pretty(size.parameters::bigint)) \
             ELSE s.parameters END AS parameters, \
             CASE WHEN size.variables OPERATOR(pg_catalog.>) $2 THEN pg_catalog.to_jsonb(pg_catalog.pg_size_pretty(size.variables::bigint)) \
             ELSE s.variables END AS variables, \
             CASE WHEN size.output OPERATOR(pg_catalog.>) $2 THEN pg_catalog.to_jsonb(pg_catalog.pg_size_pretty(size.output::bigint)) \
             ELSE s.output END AS output, \
             s.error_message, s.errors, s.idempotency_key, s.created, s.updated, s.attributes, s.traceparent \
             FROM pg_catalog.workflow_status(execution_id => $1) AS s \
             CROSS JOIN LATERAL (SELECT pg_catalog.pg_column_size(s.parameters) AS parameters, \
             pg_catalog.pg_column_size(s.variables) AS variables, pg_catalog.pg_column_size(s.output) AS output) AS size",
        )
        .bind(execution_id)
        .bind(max_bytes)
        .fetch_one(executor)
        .await?)
    }

    /// Returns the progress of each task of an execution, with its items and repetitions counted together.
    pub async fn count_tasks<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        max_rows: i32,
    ) -> Result<Vec<TaskCount>> {
        Ok(query_as(
            "SELECT task_name, is_undo, closing, has_items, total, pending, running, completed, failed, skipped, cancelled, \
             retries, first_task, child_execution, started_at, ended_at \
             FROM pg_catalog.workflow_count_tasks(execution_id => $1, max_rows => $2)",
        )
        .bind(execution_id)
        .bind(max_rows)
        .fetch_all(executor)
        .await?)
    }

    /// Returns tasks of an execution without their data, in the order in which they were created.
    pub async fn list_task_overviews<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        filter: &TaskFilter,
        page: Page,
    ) -> Result<Vec<TaskOverview>> {
        Ok(query_as(
            "SELECT t.id AS task, t.task_name, t.task_index, t.action_ref AS action, t.child_execution, t.status, t.summary, \
             t.retry_count, t.max_retries, t.next_retry_at, t.created, t.started_at, t.completed_at \
             FROM workflow.workflow_task_detail AS t \
             WHERE t.part OPERATOR(pg_catalog.=) ($1 OPERATOR(pg_catalog.>>) 48)::int AND t.execution OPERATOR(pg_catalog.=) $1 \
             AND ($2::text IS NULL OR t.task_name OPERATOR(pg_catalog.=) $2) \
             AND ($3::text IS NULL OR t.summary::text OPERATOR(pg_catalog.=) $3) \
             AND ($4::bigint IS NULL OR t.id OPERATOR(pg_catalog.>) $4) ORDER BY t.id LIMIT $5",
        )
        .bind(execution_id)
        .bind(&filter.task_name)
        .bind(filter.summary.map(TaskStatus::as_str))
        .bind(page.after)
        .bind(i64::from(page.max_rows))
        .fetch_all(executor)
        .await?)
    }

    /// Returns what executions are about, for example those whose tasks wait for an answer. Parameters whose stored
    /// size exceeds this number of bytes are not read; a text with their size takes their place.
    pub async fn execution_subjects<'e>(
        executor: impl PgExecutor<'e>,
        executions: &[i64],
        max_bytes: i32,
    ) -> Result<Vec<ExecutionSubject>> {
        Ok(query_as(
            "SELECT w.id AS execution, d.label, \
             CASE WHEN size.parameters OPERATOR(pg_catalog.>) $2 THEN pg_catalog.to_jsonb(pg_catalog.pg_size_pretty(size.parameters::bigint)) \
             ELSE e.config END AS parameters, w.attributes \
             FROM pg_catalog.unnest($1::bigint[]) AS named (id) \
             JOIN workflow.workflow_execution AS w ON w.part OPERATOR(pg_catalog.=) (named.id OPERATOR(pg_catalog.>>) 48)::int AND w.id OPERATOR(pg_catalog.=) named.id \
             JOIN workflow.execution AS e ON e.part OPERATOR(pg_catalog.=) w.part AND e.id OPERATOR(pg_catalog.=) w.execution \
             LEFT JOIN workflow.workflow_definition AS d ON d.id OPERATOR(pg_catalog.=) w.workflow_def \
             CROSS JOIN LATERAL (SELECT pg_catalog.pg_column_size(e.config) AS parameters) AS size",
        )
        .bind(executions)
        .bind(max_bytes)
        .fetch_all(executor)
        .await?)
    }

    /// Returns when tasks of each of these actions were last claimed, judging by up to 64 parts in which some are
    /// queued.
    pub async fn last_claims<'e>(executor: impl PgExecutor<'e>, actions: &[String]) -> Result<Vec<LastClaim>> {
        Ok(query_as(AssertSqlSafe(format!(
            "{QUEUED_PARTS} SELECT a.ref AS action_ref, pg_catalog.max(workflow.last_claim(q.part, a.ref)) AS claimed \
             FROM pg_catalog.unnest($1::text[]) AS a (ref) CROSS JOIN queued AS q \
             CROSS JOIN LATERAL (SELECT FROM workflow.workflow_task_execution AS t WHERE t.part OPERATOR(pg_catalog.=) q.part \
             AND t.action_ref OPERATOR(pg_catalog.=) a.ref AND t.queue_at IS NOT NULL LIMIT 1) AS t GROUP BY a.ref"
        )))
        .bind(actions)
        .fetch_all(executor)
        .await?)
    }

    /// Returns up to `max_rows` tasks of an action that are queued, in up to 64 parts, first in line first.
    pub async fn queued_tasks<'e>(
        executor: impl PgExecutor<'e>,
        action_ref: &str,
        max_rows: i32,
    ) -> Result<Vec<QueuedTask>> {
        Ok(query_as(AssertSqlSafe(format!(
            "{QUEUED_PARTS} SELECT t.id AS task, t.workflow_execution AS execution, t.task_name, t.task_index, t.updated AS since \
             FROM queued AS q CROSS JOIN LATERAL (SELECT t.* FROM workflow.workflow_task_execution AS t \
             WHERE t.part OPERATOR(pg_catalog.=) q.part AND t.action_ref OPERATOR(pg_catalog.=) $1 AND t.queue_at IS NOT NULL \
             ORDER BY t.queue_at, t.id LIMIT $2) AS t ORDER BY t.queue_at, t.id LIMIT $2"
        )))
        .bind(action_ref)
        .bind(i64::from(max_rows))
        .fetch_all(executor)
        .await?)
    }

    /// Returns counts of recent executions per minute, oldest first.
    pub async fn execution_rates<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<ExecutionRate>> {
        Ok(query_as(
            "SELECT minute, started, completed, failed, cancelled FROM workflow.execution_rate ORDER BY minute",
        )
        .fetch_all(executor)
        .await?)
    }

    /// Returns the versions of a workflow without their texts, newest first. `after` is the number of the last one of
    /// the previous page.
    pub async fn list_definition_versions<'e>(
        executor: impl PgExecutor<'e>,
        r#ref: &str,
        page: Page,
    ) -> Result<Vec<DefinitionVersion>> {
        Ok(query_as(
            "SELECT v.number, v.definition OPERATOR(pg_catalog.->>) 'version' AS version, v.created \
             FROM workflow.workflow_definition AS d \
             JOIN workflow.workflow_definition_version AS v ON v.workflow_def OPERATOR(pg_catalog.=) d.id \
             WHERE d.ref OPERATOR(pg_catalog.=) $1 AND ($2::bigint IS NULL OR v.number OPERATOR(pg_catalog.<) $2) \
             ORDER BY v.number DESC LIMIT $3",
        )
        .bind(r#ref)
        .bind(page.after)
        .bind(i64::from(page.max_rows))
        .fetch_all(executor)
        .await?)
    }

    /// Returns the text of one version of a workflow, or `None` if there is no such version.
    pub async fn definition_version_source<'e>(
        executor: impl PgExecutor<'e>,
        r#ref: &str,
        number: i32,
    ) -> Result<Option<String>> {
        Ok(query_scalar(
            "SELECT v.source FROM workflow.workflow_definition AS d \
             JOIN workflow.workflow_definition_version AS v ON v.workflow_def OPERATOR(pg_catalog.=) d.id \
             WHERE d.ref OPERATOR(pg_catalog.=) $1 AND v.number OPERATOR(pg_catalog.=) $2",
        )
        .bind(r#ref)
        .bind(number)
        .fetch_optional(executor)
        .await?)
    }
}

/// Progress of a task, with its items and repetitions counted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct TaskCount {
    /// Its name in the definition.
    pub task_name: String,
    /// Whether these rows undo the task.
    pub is_undo: bool,
    /// Whether one of them closes an execution that failed, timed out or was cancelled.
    pub closing: bool,
    /// Whether it has items.
    pub has_items: bool,
    /// Number of rows.
    pub total: i64,
    /// How many have not started.
    pub pending: i64,
    /// How many are running.
    pub running: i64,
    /// How many completed.
    pub completed: i64,
    /// How many failed, timed out or were abandoned.
    pub failed: i64,
    /// How many were skipped.
    pub skipped: i64,
    /// How many were cancelled.
    pub cancelled: i64,
    /// Number of retries so far.
    pub retries: i64,
    /// Id of the first of them.
    pub first_task: i64,
    /// The newest execution that it calls.
    pub child_execution: Option<i64>,
    /// When the first of them began.
    pub started_at: Option<DateTime<Utc>>,
    /// When the last of them ended; `None` if one has not.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Which tasks to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only those with this name.
    pub task_name: Option<String>,
    /// Only those in this status at a glance.
    pub summary: Option<TaskStatus>,
}

/// A task without its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct TaskOverview {
    /// Id of the task.
    pub task: i64,
    /// Its name in the definition.
    pub task_name: String,
    /// Index of the item.
    pub task_index: Option<i32>,
    /// Action that a worker executes.
    pub action: Option<String>,
    /// Execution that it calls.
    pub child_execution: Option<i64>,
    /// Status.
    pub status: ExecutionStatus,
    /// Status at a glance.
    pub summary: TaskStatus,
    /// Number of retries so far.
    pub retry_count: i32,
    /// Maximum number of retries.
    pub max_retries: i32,
    /// When the next retry is due.
    pub next_retry_at: Option<DateTime<Utc>>,
    /// When it was created.
    pub created: DateTime<Utc>,
    /// When it last started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
}

impl Row for TaskOverview {
    fn id(&self) -> i64 {
        self.task
    }
}

/// What an execution is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
pub struct ExecutionSubject {
    /// Id of the execution.
    pub execution: i64,
    /// Label of its workflow.
    pub label: Option<String>,
    /// Its parameters.
    pub parameters: Option<Value>,
    /// Its attributes; `None` if it has none.
    pub attributes: Option<Value>,
}

/// When a task of an action was last claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct LastClaim {
    /// The action.
    pub action_ref: String,
    /// When; `None` if none of its recent tasks has been claimed.
    pub claimed: Option<DateTime<Utc>>,
}

/// A task in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct QueuedTask {
    /// Id of the task.
    pub task: i64,
    /// Id of its execution.
    pub execution: i64,
    /// Its name in the definition.
    pub task_name: String,
    /// Index of the item.
    pub task_index: Option<i32>,
    /// When it was queued.
    pub since: DateTime<Utc>,
}

/// Counts of executions for one minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct ExecutionRate {
    /// The minute.
    pub minute: DateTime<Utc>,
    /// Number of executions created in it.
    pub started: i64,
    /// Number that completed in it.
    pub completed: i64,
    /// Number that failed, timed out or were abandoned in it.
    pub failed: i64,
    /// Number whose cancellation ended in it.
    pub cancelled: i64,
}

/// A version of a workflow, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct DefinitionVersion {
    /// Number, counting from 1 for each workflow.
    pub number: i32,
    /// Version that the author gave it.
    pub version: Option<String>,
    /// When it was stored.
    pub created: DateTime<Utc>,
}
