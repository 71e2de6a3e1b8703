//! The engine's own reports on tasks.

use conductor::engine::status::TaskEnd;

/// A report on a task that the engine itself ends: its signal arrived, its child ended, or its time limit elapsed.
pub struct OwnReport {
    /// Id of the task.
    pub task: i64,
    /// Its final status.
    pub end: TaskEnd,
    /// JSON.
    pub result: Option<String>,
    /// JSON.
    pub error: Option<String>,
    /// For a call: whether the called execution has completed anything that it has not undone.
    pub undoable: Option<bool>,
}
