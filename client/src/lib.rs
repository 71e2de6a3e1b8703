//! The Rust client of pg_workflow, a durable workflow engine inside PostgreSQL.
//!
//! The client contains no logic of its own: each method calls exactly one SQL function of the extension, which
//! validates, decides and rejects. Every method accepts any sqlx executor (a pool, a connection or a transaction), so
//! its work can be part of the caller's transaction.
//!
//! * [`Engine`]: define, start, claim, finish and inspect workflows;
//! * [`worker`]: a loop that claims tasks, runs handlers and reports the results;
//! * [`model`]: the rows of each table, as the functions return them;
//! * [`repository`]: find, list, create, update and delete them;
//! * [`Page`] and [`walk`]: long lists, one page at a time;
//! * [`Error`]: the server's refusals by kind, each with its code, detail and hint.
//!
//! ```no_run
//! use pg_workflow_client::{
//!     model::CreatePackInput,
//!     repository::{Create, FindByRef, PackRepository},
//! };
//!
//! # async fn example(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let mut transaction = pool.begin().await?;
//! let input = CreatePackInput { r#ref: "ci".into(), label: "CI".into(), version: "1.0.0".into(), ..Default::default() };
//! let made = PackRepository::create(&mut *transaction, input).await?;
//! transaction.commit().await?;
//! assert_eq!(PackRepository::find_by_ref(&pool, "ci").await?, Some(made));
//! # Ok(())
//! # }
//! ```

mod engine;
mod error;
pub mod model;
mod page;
mod patch;
pub mod repository;
pub mod worker;

pub use engine::{
    ActionSummary, Answer, Archive, BrokenInvariant, BulkAnswer, BulkJob, BulkJobStatus, BulkOperation, ClaimDetail,
    ClaimInput, ClaimedTask, DefinitionVersion, Engine, ExecutionCount, ExecutionFilter, ExecutionKey, ExecutionRate,
    ExecutionSummary, Finding, FoundExecution, GraphFormat, Heartbeat, LeaseState, Level, Outcome, OverdueSummary,
    QueueSummary, Reason, Refused, RegisterActionInput, ReportedState, RerunInput, SearchFilter, Severity, SignalInput,
    SignalState, StartInput, StartManyInput, TaskCount, TaskDetail, TaskFilter, TaskOverview, TestResult, TreeRow,
    Wait, WaitFilter, WorkerSummary, WorkflowStatus, WorkflowSummary,
};
pub use error::{Error, Refusal, Result};
pub use page::{Page, Row, walk};
pub use patch::Patch;
