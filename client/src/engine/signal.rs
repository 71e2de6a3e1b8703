//! Signals to executions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A signal for an execution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SignalInput {
    /// What tasks wait for.
    pub name: String,
    /// The result of the task that waits.
    pub payload: Option<Value>,
    /// The same name with the same key counts once.
    pub key: Option<String>,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum SignalState {
    /// A task waited for it, and has completed.
    Delivered,
    /// The next task that waits for it has it at once.
    Kept,
}
