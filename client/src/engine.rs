//! Namespace of the SQL functions of the engine: each method calls one.

use sqlx::postgres::types::PgInterval;
use std::time::Duration;

mod attributes;
mod bulk;
mod by_key;
mod console;
mod control;
mod definition;
mod hook;
mod limit;
mod listing;
mod monitoring;
mod part;
mod privilege;
mod schedule;
mod search;
mod signal;
mod start;
mod status;
mod ticker;
mod work;

pub use bulk::{BulkAnswer, BulkJob, BulkJobStatus, BulkOperation};
pub use by_key::ExecutionKey;
pub use console::{
    DefinitionVersion, ExecutionRate, ExecutionSubject, LastClaim, QueuedTask, TaskCount, TaskFilter, TaskOverview,
};
pub use control::{Archive, RerunInput};
pub use definition::{Finding, GraphFormat, RegisterActionInput, Severity, StartInput, StartManyInput, TestResult};
pub use listing::{ExecutionFilter, ExecutionSummary, TaskDetail};
pub use monitoring::{
    ActionSummary, ClaimDetail, ExecutionCount, OverdueSummary, QueueSummary, WorkerSummary, WorkflowSummary,
};
pub use part::{Arriving, PartPlace};
pub use privilege::Level;
pub use search::{FoundExecution, SearchFilter};
pub use signal::{SignalInput, SignalState, Wait, WaitFilter};
pub use status::{BrokenInvariant, Reason, TreeRow, WorkflowStatus};
pub use work::{Answer, ClaimInput, ClaimedTask, Heartbeat, LeaseState, Outcome, Refused, ReportedState};

/// Namespace for the engine's functions. Like a repository, it holds no data.
pub struct Engine;

/// Converts a duration to a PostgreSQL interval. A duration that does not fit becomes the longest interval, which the
/// server refuses.
fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}
