//! Who makes a report.

use pgrx::pg_sys;

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
