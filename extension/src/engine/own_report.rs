//! Who reports, and what the engine itself reports of a task.

use conductor::engine::state::TaskEnd;
use pgrx::pg_sys;

/// A task that the engine itself ends: its signal came, its child ended, its time is over.
pub struct OwnReport {
    /// Its id.
    pub task: i64,
    /// How it ends.
    pub end: TaskEnd,
    /// JSON.
    pub result: Option<String>,
    /// JSON.
    pub error: Option<String>,
    /// If it has called an execution: whether that has completed something that it has not undone.
    pub undoable: Option<bool>,
}

/// Who reports.
#[derive(Clone, Copy, PartialEq)]
pub enum Reporter {
    /// A worker, who must have the lease; the role that it calls as.
    Worker(pg_sys::Oid),
    /// The engine.
    Engine,
    /// Somebody who resolves a task by hand.
    Operator,
}

impl Reporter {
    /// Whether it is a worker.
    pub fn is_worker(self) -> bool {
        matches!(self, Reporter::Worker(_))
    }
}
