//! The work protocol: claims, leases and reports.

use super::{Engine, interval};
use crate::Result;
use crate::model::ExecutionStatus;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::PgInterval;
use sqlx::postgres::{PgRow, PgTypeInfo, PgValueRef};
use sqlx::types::Json;
use sqlx::{Decode, FromRow, PgExecutor, Postgres, Row, Type, query, query_as, query_scalar};
use std::time::Duration;

const CLAIM: &str = "SELECT task, lease_token, execution, task_name, task_index, action, input, attempt, \
     lease_until, deadline, last_error, progress, traceparent, workflow_ref FROM pg_catalog.workflow_claim(worker => $1, max_tasks => $2, actions => $3, lease => $4, parts => $5)";

/// Builds the outcomes from nine parallel arrays, $1 to $9. A single array of the composite type would need its OID.
macro_rules! outcomes {
    () => {
        "outcomes => coalesce((SELECT array_agg(ROW(o.task, o.lease_token, o.status::workflow.execution_status, \
         o.result, o.error, o.may_retry, o.retry_in, o.hold_for, o.progress)::workflow.outcome ORDER BY o.place) \
         FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::jsonb[], $5::jsonb[], $6::boolean[], $7::interval[], \
         $8::jsonb[], $9::interval[]) \
         WITH ORDINALITY AS o (task, lease_token, status, result, error, may_retry, retry_in, progress, hold_for, place)), '{}')"
    };
}

const FINISH: &str =
    concat!("SELECT task, lease_token, state, code, message FROM pg_catalog.workflow_finish(", outcomes!(), ")");

const FINISH_AND_CLAIM: &str = concat!(
    "SELECT task, lease_token, state, code, message, execution, task_name, task_index, action, input, attempt, \
     lease_until, deadline, last_error, progress, traceparent, workflow_ref FROM pg_catalog.workflow_finish_and_claim(worker => $10, ",
    outcomes!(),
    ", max_tasks => $11, actions => $12, lease => $13, parts => $14)"
);

impl Engine {
    /// Claims tasks that are ready, each with a lease.
    pub async fn claim<'e>(executor: impl PgExecutor<'e>, input: &ClaimInput) -> Result<Vec<ClaimedTask>> {
        Ok(query_as(CLAIM)
            .bind(&input.worker)
            .bind(input.max_tasks)
            .bind(&input.actions)
            .bind(interval(input.lease))
            .bind(&input.parts)
            .fetch_all(executor)
            .await?)
    }

    /// Reports that a task has completed.
    pub async fn complete<'e>(
        executor: impl PgExecutor<'e>,
        task: i64,
        lease_token: i64,
        result: Option<&Value>,
    ) -> Result<ReportedState> {
        Ok(query_scalar("SELECT pg_catalog.workflow_complete(task => $1, lease_token => $2, result => $3)")
            .bind(task)
            .bind(lease_token)
            .bind(result.map(Json))
            .fetch_one(executor)
            .await?)
    }

    /// Reports that a task has failed, or ended in the other unsuccessful status that the outcome gives.
    pub async fn fail<'e>(executor: impl PgExecutor<'e>, outcome: &Outcome) -> Result<ReportedState> {
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_fail(task => $1, lease_token => $2, error => $3, status => $4, result => $5, \
             may_retry => $6, retry_in => $7, progress => $8, hold_for => $9)",
        )
        .bind(outcome.task)
        .bind(outcome.lease_token)
        .bind(outcome.error.as_ref().map(Json))
        .bind(outcome.status.as_str())
        .bind(outcome.result.as_ref().map(Json))
        .bind(outcome.may_retry)
        .bind(outcome.retry_in.map(interval))
        .bind(outcome.progress.as_ref().map(Json))
        .bind(outcome.hold_for.map(interval))
        .fetch_one(executor)
        .await?)
    }

    /// Reports up to 10,000 outcomes and returns one answer per outcome, in the same order. A refused report does not
    /// affect the others.
    pub async fn finish<'e>(executor: impl PgExecutor<'e>, outcomes: &[Outcome]) -> Result<Vec<Answer>> {
        let columns = Columns::of(outcomes);
        Ok(query_as(FINISH)
            .bind(columns.tasks)
            .bind(columns.lease_tokens)
            .bind(columns.statuses)
            .bind(columns.results)
            .bind(columns.errors)
            .bind(columns.may_retry)
            .bind(columns.retry_in)
            .bind(columns.progress)
            .bind(columns.hold_for)
            .fetch_all(executor)
            .await?)
    }

    /// Combines `finish` and `claim` in one round trip and one commit. Tasks that follow from the reports are handed
    /// over immediately.
    pub async fn finish_and_claim<'e>(
        executor: impl PgExecutor<'e>,
        outcomes: &[Outcome],
        input: &ClaimInput,
    ) -> Result<(Vec<Answer>, Vec<ClaimedTask>)> {
        let columns = Columns::of(outcomes);
        let rows = query(FINISH_AND_CLAIM)
            .bind(columns.tasks)
            .bind(columns.lease_tokens)
            .bind(columns.statuses)
            .bind(columns.results)
            .bind(columns.errors)
            .bind(columns.may_retry)
            .bind(columns.retry_in)
            .bind(columns.progress)
            .bind(columns.hold_for)
            .bind(&input.worker)
            .bind(input.max_tasks)
            .bind(&input.actions)
            .bind(interval(input.lease))
            .bind(&input.parts)
            .fetch_all(executor)
            .await?;
        let (mut answers, mut claimed) = (Vec::new(), Vec::new());
        for row in &rows {
            match row.try_get::<Option<&str>, _>("state")? {
                Some("claimed") => claimed.push(ClaimedTask::from_row(row)?),
                _ => answers.push(Answer::from_row(row)?),
            }
        }
        Ok((answers, claimed))
    }

    /// Extends the leases of tasks, each given with its lease token, and returns, in the same order, which are still
    /// held.
    pub async fn heartbeat<'e>(
        executor: impl PgExecutor<'e>,
        leases: &[(i64, i64)],
        lease: Duration,
    ) -> Result<Vec<Heartbeat>> {
        let (tasks, tokens): (Vec<i64>, Vec<i64>) = leases.iter().copied().unzip();
        Ok(query_as(
            "SELECT task, state FROM pg_catalog.workflow_heartbeat(tasks => $1, lease_tokens => $2, lease => $3)",
        )
        .bind(tasks)
        .bind(tokens)
        .bind(interval(lease))
        .fetch_all(executor)
        .await?)
    }

    /// Extends leases like [`Engine::heartbeat`], and stores the progress of each task; `None` leaves it unchanged.
    pub async fn heartbeat_with_progress<'e>(
        executor: impl PgExecutor<'e>,
        leases: &[(i64, i64)],
        progress: &[Option<Value>],
        lease: Duration,
    ) -> Result<Vec<Heartbeat>> {
        let (tasks, tokens): (Vec<i64>, Vec<i64>) = leases.iter().copied().unzip();
        let progress: Vec<Option<Json<&Value>>> = progress.iter().map(|value| value.as_ref().map(Json)).collect();
        Ok(query_as(
            "SELECT task, state FROM pg_catalog.workflow_heartbeat(tasks => $1, lease_tokens => $2, lease => $3, \
             progress => $4)",
        )
        .bind(tasks)
        .bind(tokens)
        .bind(interval(lease))
        .bind(progress)
        .fetch_all(executor)
        .await?)
    }

    /// Announces, on a listener's connection, that its worker is idle, so that sessions that queue tasks of these
    /// actions notify the channel `pg_workflow`. `None` means all actions; an empty list ends the announcement. Returns
    /// when to look for tasks held back by the rate or the hold of a limit, which are not announced, or `None` if there
    /// are none.
    pub async fn announce_idle<'e>(
        executor: impl PgExecutor<'e>,
        actions: Option<&[&str]>,
    ) -> Result<Option<Duration>> {
        let seconds: Option<f64> =
            query_scalar("SELECT extract(epoch FROM pg_catalog.workflow_announce_idle(actions => $1))::float8")
                .bind(actions)
                .fetch_one(executor)
                .await?;
        Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
    }
}

/// A request for tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimInput {
    /// Name of the worker.
    pub worker: String,
    /// Maximum number of tasks, 1 to 10,000.
    pub max_tasks: i32,
    /// Actions to claim tasks of; `None` for any.
    pub actions: Option<Vec<String>>,
    /// How long the worker may go without a heartbeat.
    pub lease: Duration,
    /// Parts to look in; `None` for all.
    pub parts: Option<Vec<i32>>,
}

impl Default for ClaimInput {
    /// Returns a request for one task of any action in any part, with a lease of 30 seconds.
    fn default() -> Self {
        ClaimInput { worker: String::new(), max_tasks: 1, actions: None, lease: Duration::from_secs(30), parts: None }
    }
}

/// A claimed task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
#[non_exhaustive]
pub struct ClaimedTask {
    /// Id of the task.
    pub task: i64,
    /// Token that its report must carry.
    pub lease_token: i64,
    /// The execution it belongs to.
    pub execution: i64,
    /// Its name in the definition.
    pub task_name: String,
    /// Index of the item, starting at 0, if the task runs once per item.
    pub task_index: Option<i32>,
    /// Action to execute.
    pub action: String,
    /// Input of the action.
    pub input: Option<Value>,
    /// Number of times it has been claimed, including this one.
    pub attempt: i32,
    /// When the lease expires.
    pub lease_until: DateTime<Utc>,
    /// When the task's timeout ends this attempt.
    pub deadline: Option<DateTime<Utc>>,
    /// Error of the previous attempt.
    pub last_error: Option<Value>,
    /// Progress reported by an earlier attempt.
    pub progress: Option<Value>,
    /// The span that started its execution, in the format of W3C Trace Context; `None` if it is not part of a trace.
    pub traceparent: Option<String>,
    /// Ref of its workflow, for spans; `None` if the execution is not part of a trace.
    #[serde(default)]
    pub workflow_ref: Option<String>,
}

/// Outcome of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Id of the task.
    pub task: i64,
    /// Token of the lease it was claimed with.
    pub lease_token: i64,
    /// Completed, failed, timeout, abandoned or cancelled.
    pub status: ExecutionStatus,
    /// Result.
    pub result: Option<Value>,
    /// Error.
    pub error: Option<Value>,
    /// Whether a retry is allowed; false forbids it.
    pub may_retry: Option<bool>,
    /// Delay before the next retry, overriding the task's retry policy.
    pub retry_in: Option<Duration>,
    /// How long other tasks must not begin: those under one of the task's limits with the same key or, if the task has
    /// no limits, those of its action.
    pub hold_for: Option<Duration>,
    /// Progress of the task, for the next attempt.
    pub progress: Option<Value>,
}

impl Outcome {
    /// Returns the outcome of a task that has completed.
    pub fn completed(task: i64, lease_token: i64, result: impl Into<Option<Value>>) -> Outcome {
        Outcome {
            task,
            lease_token,
            status: ExecutionStatus::Completed,
            result: result.into(),
            error: None,
            may_retry: None,
            retry_in: None,
            hold_for: None,
            progress: None,
        }
    }

    /// Returns the outcome of a task that has failed.
    pub fn failed(task: i64, lease_token: i64, error: impl Into<Option<Value>>) -> Outcome {
        let error = error.into();
        Outcome { status: ExecutionStatus::Failed, error, ..Outcome::completed(task, lease_token, None) }
    }
}

/// The engine's answer to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Id of the task.
    pub task: i64,
    /// Token of the lease it was reported with.
    pub lease_token: i64,
    /// State of the task now, or the reason why the report changed nothing.
    pub state: std::result::Result<ReportedState, Refused>,
}

/// Reason why a report changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// Documented code, such as `WF615`.
    pub code: String,
    /// Error message.
    pub message: String,
}

/// State of a task after its report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportedState {
    /// It has ended with this status.
    Ended(ExecutionStatus),
    /// It will be retried.
    Retrying,
}

/// Whether a worker still holds a task.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Heartbeat {
    /// Id of the task.
    pub task: i64,
    /// State of its lease.
    pub state: LeaseState,
}

/// State of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseState {
    /// The lease has been extended.
    Held,
    /// The lease has been extended, but the workflow is being stopped: the result no longer matters.
    Stop,
    /// Another worker has the task, or it has ended.
    Lost,
    /// The task is in a part that is moving or has moved to another server. Nothing was done: extend the lease there.
    Elsewhere,
}

/// Implements decoding for enums that the functions return as text.
macro_rules! from_text {
    ($name:ident: $($label:pat => $value:expr),+) => {
        impl Type<Postgres> for $name {
            fn type_info() -> PgTypeInfo {
                <str as Type<Postgres>>::type_info()
            }

            fn compatible(type_info: &PgTypeInfo) -> bool {
                <str as Type<Postgres>>::compatible(type_info)
            }
        }

        impl Decode<'_, Postgres> for $name {
            fn decode(value: PgValueRef<'_>) -> std::result::Result<$name, BoxDynError> {
                Ok(match value.as_str()? { $($label => $value),+ })
            }
        }
    };
}

from_text!(ReportedState:
    "retrying" => ReportedState::Retrying,
    status => ReportedState::Ended(status.parse()?));

from_text!(LeaseState:
    "held" => LeaseState::Held,
    "stop" => LeaseState::Stop,
    "lost" => LeaseState::Lost,
    "elsewhere" => LeaseState::Elsewhere,
    other => return Err(format!("unknown lease state {other:?}").into()));

/// Outcomes in columnar form.
#[derive(Default)]
struct Columns<'o> {
    tasks: Vec<i64>,
    lease_tokens: Vec<i64>,
    statuses: Vec<&'static str>,
    results: Vec<Option<Json<&'o Value>>>,
    errors: Vec<Option<Json<&'o Value>>>,
    may_retry: Vec<Option<bool>>,
    retry_in: Vec<Option<PgInterval>>,
    progress: Vec<Option<Json<&'o Value>>>,
    hold_for: Vec<Option<PgInterval>>,
}

impl<'o> Columns<'o> {
    fn of(outcomes: &'o [Outcome]) -> Columns<'o> {
        let mut columns = Columns::default();
        for outcome in outcomes {
            columns.tasks.push(outcome.task);
            columns.lease_tokens.push(outcome.lease_token);
            columns.statuses.push(outcome.status.as_str());
            columns.results.push(outcome.result.as_ref().map(Json));
            columns.errors.push(outcome.error.as_ref().map(Json));
            columns.may_retry.push(outcome.may_retry);
            columns.retry_in.push(outcome.retry_in.map(interval));
            columns.progress.push(outcome.progress.as_ref().map(Json));
            columns.hold_for.push(outcome.hold_for.map(interval));
        }
        columns
    }
}

/// Decoded by hand, because one column determines the meaning of the others.
impl FromRow<'_, PgRow> for Answer {
    fn from_row(row: &PgRow) -> sqlx::Result<Answer> {
        let state = match row.try_get::<Option<String>, _>("code")? {
            Some(code) => Err(Refused { code, message: row.try_get("message")? }),
            None => Ok(row.try_get("state")?),
        };
        Ok(Answer { task: row.try_get("task")?, lease_token: row.try_get("lease_token")?, state })
    }
}
