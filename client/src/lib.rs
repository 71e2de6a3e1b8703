//! The Rust client of pg_workflow, a durable workflow engine inside PostgreSQL.
//!
//! It holds no rules of its own: each method is one call of a SQL function of the extension, which checks, decides and
//! refuses. Every method takes any sqlx executor, a pool, a connection or a transaction, so that a caller's transaction
//! covers what it does.
//!
//! * [`Engine`]: define, start, claim, finish and look at workflows;
//! * [`worker`]: a loop that claims tasks, runs handlers and reports;
//! * [`model`]: a row of each table, as the functions return it;
//! * [`repository`]: find, list, create, update and delete them;
//! * [`Page`] and [`walk`]: long lists, a page at a time;
//! * [`Error`]: what the server refused, by kind, with its code, detail and hint.
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
    ActionSummary, Answer, BrokenInvariant, ClaimDetail, ClaimInput, ClaimedTask, Engine, Finding, GraphFormat,
    Heartbeat, LeaseState, Level, Outcome, OverdueSummary, QueueSummary, Reason, Refused, RegisterActionInput,
    ReportedState, RerunInput, Severity, SignalInput, SignalState, StartInput, StartManyInput, TreeRow, WorkerSummary,
    WorkflowStatus,
};
pub use error::{Error, Refusal, Result};
pub use page::{Page, Row, walk};
pub use patch::Patch;
