//! What a worker takes, holds and reports.

use crate::model::ExecutionStatus;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};
use std::time::Duration;

/// Asks for tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimInput {
    /// Who asks.
    pub worker: String,
    /// How many at most, 1 to 10,000.
    pub max_tasks: i32,
    /// Of which actions; none: of any.
    pub actions: Option<Vec<String>>,
    /// How long it may work on them without a word.
    pub lease: Duration,
    /// Where to look; none: everywhere.
    pub parts: Option<Vec<i32>>,
}

impl Default for ClaimInput {
    /// One task of any action from anywhere, for 30 seconds.
    fn default() -> Self {
        ClaimInput { worker: String::new(), max_tasks: 1, actions: None, lease: Duration::from_secs(30), parts: None }
    }
}

/// A task to work on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct ClaimedTask {
    /// Its id.
    pub task: i64,
    /// What its report must carry.
    pub lease_token: i64,
    /// The workflow execution it belongs to.
    pub workflow_execution: i64,
    /// Its name in the definition.
    pub task_name: String,
    /// Which item, from 0, where it runs once an item.
    pub task_index: Option<i32>,
    /// What is to be done.
    pub action: String,
    /// With what.
    pub input: Option<Value>,
    /// How often it has been claimed, this time included.
    pub attempt: i32,
    /// When the lease ends.
    pub lease_until: DateTime<Utc>,
}

/// What came of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The task.
    pub task: i64,
    /// The lease it was claimed with.
    pub lease_token: i64,
    /// Completed, failed, timeout, abandoned or cancelled.
    pub status: ExecutionStatus,
    /// What came out.
    pub result: Option<Value>,
    /// What went wrong.
    pub error: Option<Value>,
    /// False forbids a retry.
    pub may_retry: Option<bool>,
    /// When the next retry is due, instead of by the task's rule.
    pub retry_in: Option<Duration>,
}

impl Outcome {
    /// The task was done.
    pub fn completed(task: i64, lease_token: i64, result: impl Into<Option<Value>>) -> Outcome {
        Outcome {
            task,
            lease_token,
            status: ExecutionStatus::Completed,
            result: result.into(),
            error: None,
            may_retry: None,
            retry_in: None,
        }
    }

    /// The task failed.
    pub fn failed(task: i64, lease_token: i64, error: impl Into<Option<Value>>) -> Outcome {
        let error = error.into();
        Outcome { status: ExecutionStatus::Failed, error, ..Outcome::completed(task, lease_token, None) }
    }
}

/// What the engine says to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The task.
    pub task: i64,
    /// The lease it was reported with.
    pub lease_token: i64,
    /// Where the task stands now, or why the report changed nothing.
    pub state: Result<ReportedState, Refused>,
}

/// Why a report changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// `WF615`: the documented code.
    pub code: String,
    /// What is wrong.
    pub message: String,
}

/// Where a task stands after its report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportedState {
    /// It has ended so.
    Ended(ExecutionStatus),
    /// It will be tried again.
    Retrying,
    /// Other items of it have not ended.
    Running,
}

/// Does a worker still hold a task?
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Heartbeat {
    /// The task.
    pub task: i64,
    /// Whether it is still held.
    pub state: LeaseState,
}

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// It is good for another while.
    Held,
    /// It is, but the workflow is to stop: the result matters no more.
    Stop,
    /// Somebody else has the task, or it has ended.
    Lost,
}

/// Enums that the functions give as text.
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
    "running" => ReportedState::Running,
    status => ReportedState::Ended(status.parse()?));

from_text!(LeaseState:
    "held" => LeaseState::Held,
    "stop" => LeaseState::Stop,
    "lost" => LeaseState::Lost,
    other => return Err(format!("no state of a lease is called {other:?}").into()));
