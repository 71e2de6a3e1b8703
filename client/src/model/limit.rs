//! Limits, holds and weights.

use crate::Row;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A limit: how many tasks of a key run at once, and how many begin in a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Limit {
    /// Unique name.
    pub name: String,
    /// Maximum number of tasks of a key that run at once; `None`: any number.
    pub max_running: Option<i32>,
    /// Number of tasks of a key that may begin per `per_seconds`, evenly spread; `None`: any number.
    pub rate: Option<i32>,
    /// The time that the rate is about, in seconds.
    pub per_seconds: Option<f64>,
    /// Number of tasks of a key that may begin at once after a rest.
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
    /// Maximum number of tasks of a key that run at once.
    pub max_running: Option<i32>,
    /// Number of tasks of a key that may begin in a time, and that time.
    pub rate: Option<(i32, Duration)>,
    /// Number of tasks of a key that may begin at once after a rest; `None`: one.
    pub burst: Option<i32>,
}

/// What is in use of a limit by one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct LimitKey {
    /// The key; empty: the limit counts everything together.
    pub key: String,
    /// Number of running tasks, or executions of a workflow with `concurrency`, counted up to 10,000; `None`: the limit has no `max_running`.
    pub running: Option<i64>,
    /// Number of those that wait, counted up to 10,000.
    pub waiting: i64,
    /// Since when tasks have been waiting without a break.
    pub waiting_since: Option<DateTime<Utc>>,
    /// When the rate lets the next task begin.
    pub next_at: Option<DateTime<Utc>>,
    /// Until when it is held.
    pub held_until: Option<DateTime<Utc>>,
    /// Who holds it.
    pub held_by: Option<String>,
    /// Why it is held.
    pub held_because: Option<String>,
}

/// What a hold is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldTarget<'a> {
    /// Tasks under a limit, by one key or by any.
    Limit {
        /// Name of the limit.
        name: &'a str,
        /// The key; `None`: any.
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

/// Something that must not begin until a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Hold {
    /// Primary key.
    pub id: i64,
    /// `limit`, `action`, `workflow` or `everything`.
    pub target: String,
    /// Name of the limit, or ref of the action or workflow; empty: everything.
    pub name: String,
    /// Key of the limit; empty: any.
    pub key: String,
    /// When it is over.
    pub until: DateTime<Utc>,
    /// Why.
    pub reason: Option<String>,
    /// The role that called, or the worker and its role.
    pub author: String,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// The share that a key gets of the queue among the executions of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct FairWeight {
    /// Ref of the workflow.
    pub workflow_ref: String,
    /// The key.
    pub key: String,
    /// The share; 1 for keys that none was set for.
    pub weight: f64,
}

impl Row for Hold {
    fn id(&self) -> i64 {
        self.id
    }
}
