//! What happened to executions.

use crate::Row;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What happened to a workflow execution, or to a task of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Event {
    /// The part of its workflow execution.
    pub part: i32,
    /// Key; orders the events of an execution.
    pub id: i64,
    /// The workflow execution it happened to.
    pub workflow_execution: i64,
    /// The task execution it is about; none: the whole, or all items of a task.
    pub task: Option<i64>,
    /// Which item.
    pub task_index: Option<i32>,
    /// That task's name; none: it is about the whole.
    pub task_name: Option<String>,
    /// `pause`, `retrying`, `failed`, …
    pub kind: String,
    /// The reason that was given, or what went wrong.
    pub message: Option<String>,
    /// The role that called; of what a worker did or lost, its name and its role, `worker-7 (role shop_worker)`; none: the engine.
    pub author: Option<String>,
    /// What else is known.
    pub detail: Option<Value>,
    /// When it happened.
    pub created: DateTime<Utc>,
    /// When the row last changed.
    pub updated: DateTime<Utc>,
}

impl Row for Event {
    fn id(&self) -> i64 {
        self.id
    }
}
