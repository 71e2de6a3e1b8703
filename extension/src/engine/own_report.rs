//! Who makes a report, and the engine's own reports on tasks.

use conductor::engine::state::TaskEnd;
use pgrx::pg_sys;

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

/// Who makes a report.
#[derive(Clone, Copy, PartialEq)]
pub enum Reporter {
    /// A worker, which must hold the lease, with the role that it calls as.
    Worker(pg_sys::Oid),
    /// The engine.
    Engine,
    /// Someone who resolves a task manually.
    Operator,
}

impl Reporter {
    /// Whether the reporter is a worker.
    pub fn is_worker(self) -> bool {
        matches!(self, Reporter::Worker(_))
    }
}
