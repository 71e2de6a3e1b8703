//! Events of executions.

use crate::Row;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened to an execution or one of its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Event {
    /// Part of its execution.
    pub part: i32,
    /// Primary key; orders the events of an execution.
    pub id: i64,
    /// Execution that it happened to.
    pub execution: i64,
    /// Task execution concerned; `None` for the whole execution, or all items of a task.
    pub task: Option<i64>,
    /// Index of the item.
    pub task_index: Option<i32>,
    /// Name of the task; `None` for the whole execution.
    pub task_name: Option<String>,
    /// `pause`, `retrying`, `failed`, …
    pub kind: String,
    /// Reason given, or error message.
    pub message: Option<String>,
    /// Role of the caller; for events of a worker, its name and role, such as `worker-7 (role shop_worker)`; `None` for
    /// the engine.
    pub author: Option<String>,
    /// Further details.
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
