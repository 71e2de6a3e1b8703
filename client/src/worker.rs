//! A loop that claims tasks, runs handlers and reports the outcomes.
//!
//! All rules are in the engine: what is ready, what comes next, what is retried, whose report counts. A worker keeps
//! its handlers busy, tells the engine that it is alive, and loses no result: outcomes stay in an outbox until the
//! engine has acknowledged them. A report that is resent after a lost connection gets the same answer as the first
//! time.
//!
//! A handler takes the task's input and returns its result, both as any types that serde supports. Input that does not
//! fit fails the task, without a retry.
//!
//! ```no_run
//! use pg_workflow_client::worker::{self, Context, Failure, Worker};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Charge {
//!     order: i64,
//!     amount: f64,
//! }
//!
//! #[derive(Serialize)]
//! struct Charged {
//!     receipt: String,
//! }
//!
//! # async fn example(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! Worker::builder(pool)
//!     .name("cashier 1")
//!     .handler("shop.charge", |input: Charge, context: Context| async move {
//!         if input.amount > 1000.0 {
//!             return Err(Failure::new("limit", "too much for one card").do_not_retry());
//!         }
//!         Ok(Charged { receipt: format!("R-{}-{}", input.order, context.attempt()) })
//!     })
//!     .build()?
//!     .run(worker::shutdown_signal()?)
//!     .await?;
//! # Ok(())
//! # }
//! ```

use crate::{ClaimedTask, Cluster, Engine, Error, Result};
use futures::future::BoxFuture;
use handlers::Held;
use listen::Hints;
use run::Run;
use serde_json::Value;
use sqlx::PgPool;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
pub use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

mod builder;
mod context;
mod failure;
mod handlers;
mod heartbeat;
mod listen;
mod room;
mod run;

pub use builder::{BuildError, WorkerBuilder};
pub use context::Context;
use context::States;
pub use failure::Failure;

type Handler = Arc<dyn Fn(ClaimedTask, Context) -> BoxFuture<'static, Handled> + Send + Sync>;
type Handled = std::result::Result<Value, Failure>;

/// Maximum delay after an error.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// Interval between ticks, which also happen while all handlers are busy.
const TICK_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of rows of each kind per tick.
const TICK_ROWS: i32 = 1000;
/// Number of connections that the loop, its heartbeats and its ticks use at the same time.
const CONNECTIONS: u32 = 3;

/// Minimum time to wait for an answer, because a connection can be lost without notice. If the lease is longer, it
/// applies instead.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns a token that is cancelled by SIGTERM and SIGINT. From now on these signals have no other effect.
#[cfg(unix)]
pub fn shutdown_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        info!("shutdown requested");
        cancelled.cancel();
    });
    Ok(token)
}

/// Claims tasks of the actions that it has handlers for, runs them, and reports the outcomes.
pub struct Worker {
    pool: PgPool,
    name: String,
    concurrency: usize,
    bounds: HashMap<String, usize>,
    batch_size: usize,
    lease: Duration,
    poll_interval: Duration,
    grace: Duration,
    listen: bool,
    parts: Option<Vec<i32>>,
    cluster: Option<Cluster>,
    states: Arc<States>,
    handlers: HashMap<String, Handler>,
}

impl Worker {
    /// Works until shutdown is requested. Then it stops claiming, gives its handlers the grace period to finish, and
    /// reports their outcomes. An error means that the server refused to hand out work, that the database cannot be
    /// used (it does not exist, does not let the role in, or does not have the extension) and never could, or that
    /// reports could not be delivered within the grace period. Lost connections are simply retried. What happens is
    /// logged with `tracing`.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<()> {
        info!(worker = %self.name, actions = ?self.handlers.keys(), "worker started");
        let (held, hints) = (Held::default(), Hints::new());
        // All in one task, so that nothing keeps running when this future is dropped.
        let result = tokio::select! {
            result = Run::of(self, &held, &hints, shutdown).work() => result,
            never = async { tokio::join!(self.send_heartbeats(&held), self.tick(), self.listen(&hints)) } => match never.0 {},
        };
        info!(worker = %self.name, "worker stopped");
        result
    }

    /// Works in a task of its own, until it is stopped.
    pub fn spawn(self) -> RunningWorker {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { self.run(shutdown).await }
        });
        RunningWorker { shutdown, task }
    }

    /// Processes work that has become due. Any worker may do this; it does no harm if all of them do.
    async fn tick(&self) -> Never {
        loop {
            sleep(jittered(TICK_INTERVAL)).await;
            while self.tick_once().await >= TICK_ROWS {}
        }
    }

    async fn tick_once(&self) -> i32 {
        let done = self.answered(Engine::tick(&self.pool, TICK_ROWS, self.parts.as_deref())).await;
        done.inspect_err(|error| warn!(%error, "tick failed")).unwrap_or(0)
    }

    /// Waits for a call, but not forever.
    async fn answered<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let lost = || Error::Database(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        timeout(self.lease.max(PATIENCE), call).await.unwrap_or_else(|_| Err(lost()))
    }
}

/// A worker in a task of its own. It continues if this is dropped.
#[derive(Debug)]
pub struct RunningWorker {
    shutdown: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl RunningWorker {
    /// Stops the worker, and waits until its handlers have finished and their outcomes are reported, or the grace
    /// period has expired. Returns what `run` returns. Panics if the worker has panicked.
    pub async fn stop(self) -> Result<()> {
        self.shutdown.cancel();
        match self.task.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

enum Never {}

/// Varies a duration by up to 25 percent, so that workers do not all call at the same time.
fn jittered(duration: Duration) -> Duration {
    let random = RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64;
    duration.mul_f64(0.75 + random / 2.0)
}
