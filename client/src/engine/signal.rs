//! Signals to executions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A signal for an execution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SignalInput {
    /// Name that tasks wait for.
    pub name: String,
    /// Result of the task that waits for it.
    pub payload: Option<Value>,
    /// Deduplication key: signals with the same name and key count once.
    pub key: Option<String>,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum SignalState {
    /// A task was waiting for it and has completed.
    Delivered,
    /// Stored for the next task that waits for it, which then gets it immediately.
    Kept,
}
