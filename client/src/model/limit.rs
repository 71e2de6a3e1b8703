//! Limits, holds and weights.

use crate::Row;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A limit: how many tasks per key run at once, and how many begin per period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Limit {
    /// Unique name.
    pub name: String,
    /// Maximum number of tasks per key that run at once; `None` for unlimited.
    pub max_running: Option<i32>,
    /// Number of tasks per key that may begin per `per_seconds`, evenly spaced; `None` for unlimited.
    pub rate: Option<i32>,
    /// Period of the rate, in seconds.
    pub per_seconds: Option<f64>,
    /// Number of tasks per key that may begin at once after an idle period.
    pub burst: Option<i32>,
    /// When it was created.
    pub created: DateTime<Utc>,
    /// When it was last set.
    pub updated: DateTime<Utc>,
}

/// A limit to set. At least one of `max_running` and `rate` must be given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LimitInput {
    /// Unique name: lower-case letters, digits, `_`, `-` and dots.
    pub name: String,
    /// Maximum number of tasks per key that run at once.
    pub max_running: Option<i32>,
    /// Number of tasks per key that may begin in a period, and that period.
    pub rate: Option<(i32, Duration)>,
    /// Number of tasks per key that may begin at once after an idle period; `None` for one.
    pub burst: Option<i32>,
}

/// Usage of a limit by one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct LimitKey {
    /// The key; empty if the limit counts everything together.
    pub key: String,
    /// Number of running tasks, or of running executions of a workflow with `concurrency`, counted up to 10,000; `None`
    /// if the limit has no `max_running`.
    pub running: Option<i64>,
    /// Number of waiting tasks or executions, counted up to 10,000.
    pub waiting: i64,
    /// When the current, unbroken period of waiting began.
    pub waiting_since: Option<DateTime<Utc>>,
    /// When the rate allows the next task to begin.
    pub next_at: Option<DateTime<Utc>>,
    /// Until when it is held.
    pub held_until: Option<DateTime<Utc>>,
    /// Who holds it.
    pub held_by: Option<String>,
    /// Why it is held.
    pub held_because: Option<String>,
}

/// Target of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldTarget<'a> {
    /// Tasks under a limit, for one key or all.
    Limit {
        /// Name of the limit.
        name: &'a str,
        /// The key; `None` for all.
        key: Option<&'a str>,
    },
    /// Tasks of an action.
    Action(&'a str),
    /// Tasks of a workflow's own executions.
    Workflow(&'a str),
    /// All tasks.
    Everything,
}

impl<'a> HoldTarget<'a> {
    /// Returns target, name and key as the SQL functions take them.
    pub(crate) fn parts(&self) -> (&'static str, Option<&'a str>, Option<&'a str>) {
        match self {
            HoldTarget::Limit { name, key } => ("limit", Some(name), *key),
            HoldTarget::Action(name) => ("action", Some(name), None),
            HoldTarget::Workflow(name) => ("workflow", Some(name), None),
            HoldTarget::Everything => ("everything", None, None),
        }
    }
}

/// A hold: the tasks it targets must not begin until a given time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Hold {
    /// Primary key.
    pub id: i64,
    /// `limit`, `action`, `workflow` or `everything`.
    pub target: String,
    /// Name of the limit, or ref of the action or workflow; empty for everything.
    pub name: String,
    /// Key of the limit; empty for all.
    pub key: String,
    /// When it ends.
    pub until: DateTime<Utc>,
    /// Reason.
    pub reason: Option<String>,
    /// The calling role, or the worker and its role.
    pub author: String,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// A key's share of the queue among the executions of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct FairWeight {
    /// Ref of the workflow.
    pub workflow_ref: String,
    /// The key.
    pub key: String,
    /// The share; 1 for keys without one.
    pub weight: f64,
}

impl Row for Hold {
    fn id(&self) -> i64 {
        self.id
    }
}
