//! The Rust client of pg_workflow, a durable workflow engine inside PostgreSQL.
//!
//! The client contains no logic of its own: each method calls exactly one SQL function of the extension, which
//! validates, decides and rejects. Every method accepts any sqlx executor (a pool, a connection or a transaction), so
//! its work can be part of the caller's transaction.
//!
//! * [`Engine`]: define, start, claim, finish and inspect workflows;
//! * [`Cluster`]: several servers that share the work;
//! * [`worker`]: a loop that claims tasks, runs handlers and reports the results;
//! * [`model`]: the rows of each table, as the functions return them;
//! * [`repository`]: find, list, create, update and delete them;
//! * [`Page`] and [`walk`]: long lists, one page at a time;
//! * [`Error`]: the server's refusals by kind, each with its code, detail and hint.
//!
//! Features, all off by default:
//!
//! * `opentelemetry`: a span for each start and each attempt of a task, sent to the application's global tracer
//!   provider;
//! * `tls-rustls`: encrypted connections (`sslmode` in the URL), with the operating system's certificates. For another
//!   TLS library, depend on sqlx and enable the feature there: Cargo unifies features.
//!
//! A complete program: it defines a workflow, runs a worker for it, starts an execution, and waits for its end.
//!
//! ```no_run
//! use pg_workflow_client::worker::{Failure, Worker};
//! use pg_workflow_client::{Engine, RegisterActionInput, StartInput};
//! use serde::{Deserialize, Serialize};
//! use std::time::Duration;
//!
//! const HELLO: &str = "
//! ref: hello.world
//! label: Hello
//! version: 1.0.0
//! parameters: {type: object, required: [name], properties: {name: {type: string}}}
//! vars: [{text: null}]
//! tasks: [{name: greet, action: hello.greet, input: {name: '{{ parameters.name }}'}, publish: [{text: '{{ result() }}'}]}]
//! output_map: [{text: '{{ vars.text }}'}]
//! ";
//!
//! #[derive(Serialize, Deserialize)]
//! struct Person {
//!     name: String,
//! }
//!
//! #[derive(Debug, Deserialize)]
//! struct Greeting {
//!     text: String,
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = sqlx::PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
//! Engine::register_action(&pool, RegisterActionInput::new("hello.greet")).await?;
//! Engine::define(&pool, HELLO).await?;
//!
//! let worker = Worker::builder(pool.clone())
//!     .handler("hello.greet", |person: Person, _| async move {
//!         if person.name.is_empty() {
//!             return Err(Failure::new("nobody", "there is no name").do_not_retry());
//!         }
//!         Ok(format!("Hello, {}!", person.name))
//!     })
//!     .build()?
//!     .spawn();
//!
//! let start = StartInput::new("hello.world").with_parameters(&Person { name: "you".into() })?;
//! // None only if the workflow limits its `concurrency` and skips starts beyond it.
//! let execution = Engine::start(&pool, start).await?.ok_or("skipped")?;
//! let status = Engine::wait(&pool, execution, Duration::from_secs(30)).await?;
//! println!("{}", status.output_as::<Greeting>()?.text);
//! worker.stop().await?;
//! # Ok(())
//! # }
//! ```

/// Compiles the program in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg_attr(not(feature = "opentelemetry"), path = "no_trace.rs")]
mod trace;

mod cluster;
mod engine;
mod error;
pub mod model;
mod page;
mod patch;
pub mod repository;
pub mod worker;

pub use cluster::Cluster;
pub use engine::{
    ActionSummary, Answer, Archive, Arriving, BrokenInvariant, BulkAnswer, BulkJob, BulkJobStatus, BulkOperation,
    ClaimDetail, ClaimInput, ClaimedTask, DefinitionVersion, Engine, ExecutionCount, ExecutionFilter, ExecutionKey,
    ExecutionRate, ExecutionSubject, ExecutionSummary, Finding, FoundExecution, GraphFormat, Heartbeat, LastClaim,
    LeaseState, Level, Outcome, OverdueSummary, PartPlace, QueueSummary, QueuedTask, Reason, Refused,
    RegisterActionInput, ReportedState, RerunInput, SearchFilter, Severity, SignalInput, SignalState, StartInput,
    StartManyInput, TaskCount, TaskDetail, TaskFilter, TaskOverview, TestResult, TreeRow, Wait, WaitFilter,
    WorkerSummary, WorkflowStatus, WorkflowSummary,
};
pub use error::{Error, Refusal, Result};
pub use page::{Page, Row, walk};
pub use patch::Patch;
