//! Schedules.

use crate::Row;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A recurring start of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Schedule {
    /// Primary key.
    pub id: i64,
    /// Unique name.
    pub name: String,
    /// Cron expression: minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// IANA time zone name.
    pub time_zone: String,
    /// Ref of the workflow.
    pub workflow_ref: String,
    /// Parameters of its executions.
    pub parameters: Value,
    /// Policy for missed runs.
    #[sqlx(try_from = "String")]
    pub missed: MissedRuns,
    /// Maximum delay of a start with `MissedRuns::Skip`, in seconds.
    pub grace_seconds: f64,
    /// Whether executions may overlap; if false, nothing is started while the previous execution is running.
    pub overlap: bool,
    /// Priority of its executions.
    pub priority: i32,
    /// Part of its executions.
    pub part: i32,
    /// Whether it is paused: nothing is started until it is resumed.
    pub paused: bool,
    /// When it is due next; `None` if it is paused or will never be due again.
    pub next_at: Option<DateTime<Utc>>,
    /// Scheduled time of its last start.
    pub last_at: Option<DateTime<Utc>>,
    /// Execution that it last started.
    pub last_execution: Option<i64>,
    /// Reason why nothing was started when it was last due; `None` if something was.
    pub last_error: Option<String>,
    /// When the row was created.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for Schedule {
    fn id(&self) -> i64 {
        self.id
    }
}

/// Policy for missed runs: times that passed without a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissedRuns {
    /// Runs that are late by more than the grace period are not started.
    Skip,
    /// One start for all missed runs.
    #[default]
    Once,
    /// One start for each missed run.
    All,
}

impl MissedRuns {
    /// Returns the policy's name, as the functions take it.
    pub fn as_str(self) -> &'static str {
        match self {
            MissedRuns::Skip => "skip",
            MissedRuns::Once => "once",
            MissedRuns::All => "all",
        }
    }
}

impl TryFrom<String> for MissedRuns {
    type Error = String;

    fn try_from(label: String) -> Result<MissedRuns, String> {
        [MissedRuns::Skip, MissedRuns::Once, MissedRuns::All]
            .into_iter()
            .find(|missed| missed.as_str() == label)
            .ok_or_else(|| format!("unknown policy for missed runs {label:?}"))
    }
}

/// A schedule to create, or to replace if the name exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleInput {
    /// Unique name.
    pub name: String,
    /// Cron expression: minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// Ref of the workflow.
    pub r#ref: String,
    /// Parameters: an object that is valid against the workflow's parameter schema.
    pub parameters: Value,
    /// IANA time zone name.
    pub time_zone: String,
    /// Policy for missed runs.
    pub missed: MissedRuns,
    /// Maximum delay of a start with `MissedRuns::Skip`.
    pub grace: std::time::Duration,
    /// Whether executions may overlap; if false, nothing is started while the previous execution is running.
    pub overlap: bool,
    /// Priority, -1000 to 1000; higher goes first.
    pub priority: i32,
    /// Part that the executions' rows belong to, 0 to 1023; `None` to derive it from the schedule's name, according to
    /// `pg_workflow.default_parts`.
    pub part: Option<i32>,
}

impl Default for ScheduleInput {
    /// Returns a schedule in UTC, without parameters, with one start for all missed runs.
    fn default() -> Self {
        ScheduleInput {
            name: String::new(),
            cron: String::new(),
            r#ref: String::new(),
            parameters: Value::Object(Default::default()),
            time_zone: "UTC".into(),
            missed: MissedRuns::Once,
            grace: std::time::Duration::from_secs(300),
            overlap: true,
            priority: 0,
            part: None,
        }
    }
}
