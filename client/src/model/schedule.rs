//! Schedules.

use crate::Row;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A recurring start of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Schedule {
    /// Key.
    pub id: i64,
    /// Unique name.
    pub name: String,
    /// When: minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// By which clock, a name of the IANA's list.
    pub time_zone: String,
    /// The workflow.
    pub workflow_ref: String,
    /// What it is started with.
    pub parameters: Value,
    /// What becomes of times that nobody saw come.
    #[sqlx(try_from = "String")]
    pub missed: MissedRuns,
    /// With `MissedRuns::Skip`: how late a start may be, in seconds.
    pub grace_seconds: f64,
    /// False: nothing is started while the execution before goes on.
    pub overlap: bool,
    /// The priority of its executions.
    pub priority: i32,
    /// The part of its executions.
    pub part: i32,
    /// Nothing is started until it is resumed.
    pub paused: bool,
    /// When it is due next; none: paused, or never.
    pub next_at: Option<DateTime<Utc>>,
    /// The time for which it last started something.
    pub last_at: Option<DateTime<Utc>>,
    /// What it last started.
    pub last_execution: Option<i64>,
    /// Why nothing was started when it was last due; none: something was.
    pub last_error: Option<String>,
    /// When the row was made.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for Schedule {
    fn id(&self) -> i64 {
        self.id
    }
}

/// What becomes of times that no tick saw come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissedRuns {
    /// What is later than the grace is not started.
    Skip,
    /// One start for all of them.
    #[default]
    Once,
    /// A start for each.
    All,
}

impl MissedRuns {
    /// Its name, as the functions take it.
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
            .ok_or_else(|| format!("no way with missed runs is called {label:?}"))
    }
}

/// Makes a schedule, or replaces what the one of that name says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleInput {
    /// Unique name.
    pub name: String,
    /// When: minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// The workflow.
    pub r#ref: String,
    /// An object that the workflow's parameters schema takes.
    pub parameters: Value,
    /// By which clock, a name of the IANA's list.
    pub time_zone: String,
    /// What becomes of times that nobody saw come.
    pub missed: MissedRuns,
    /// With `MissedRuns::Skip`: how late a start may be.
    pub grace: std::time::Duration,
    /// False: nothing is started while the execution before goes on.
    pub overlap: bool,
    /// -1000 to 1000; higher goes first.
    pub priority: i32,
    /// 0 to 1023: where the executions' rows live.
    pub part: i32,
}

impl Default for ScheduleInput {
    /// By UTC, without parameters, with one start for all missed.
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
            part: 0,
        }
    }
}
