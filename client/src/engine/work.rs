//! The work protocol: claims, leases and reports.

use crate::model::ExecutionStatus;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};
use std::time::Duration;

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
    /// For how long no other task may begin that is under one of the task's limits with the same key or, if the task
    /// has no limits, that has its action.
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
    pub state: Result<ReportedState, Refused>,
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
            fn decode(value: PgValueRef<'_>) -> Result<$name, BoxDynError> {
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
