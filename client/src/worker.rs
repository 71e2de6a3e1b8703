//! A loop that claims tasks, runs handlers and reports what came of them.
//!
//! All rules are the engine's: what is ready, what follows, what is tried again, whose report counts. A worker keeps its
//! handlers busy, tells the engine that it is alive, and loses no result: what is done stays in an outbox until the
//! engine has answered it. A report that is sent again after a lost connection is answered as the first time.
//!
//! ```no_run
//! use pg_workflow_client::worker::{self, Failure, Worker};
//! use serde_json::json;
//!
//! # async fn example(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! Worker::builder(pool)
//!     .name("builder 1")
//!     .handler("ci.build", |task, _context| async move {
//!         let app = task.input.as_ref().and_then(|input| input["app"].as_str());
//!         let app = app.ok_or_else(|| Failure::new("input", "there is no app").do_not_retry())?;
//!         Ok(json!({"image": format!("registry/{app}:1")}))
//!     })
//!     .build()
//!     .run(worker::shutdown_signal()?)
//!     .await?;
//! # Ok(())
//! # }
//! ```

use crate::{ClaimedTask, Engine, Error, Result};
use futures::future::BoxFuture;
use handlers::Held;
use run::Run;
use serde_json::Value;
use sqlx::PgPool;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
pub use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

mod builder;
mod failure;
mod handlers;
mod listen;
mod room;
mod run;

pub use builder::WorkerBuilder;
pub use failure::Failure;

type Handler = Arc<dyn Fn(ClaimedTask, Context) -> BoxFuture<'static, Handled> + Send + Sync>;
type Handled = std::result::Result<Value, Failure>;

/// The longest wait after an error.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// How often what time has made due is done, also while all handlers are busy.
const TICK_INTERVAL: Duration = Duration::from_secs(1);
/// How many rows of a kind a tick does at once.
const TICK_ROWS: i32 = 1000;
/// How many connections the loop, its heartbeats and its ticks use at once.
const CONNECTIONS: u32 = 3;

/// The least time to wait for an answer: a connection may be lost without anybody being told. The lease, if it is longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a handler gets beside its task.
#[derive(Debug, Clone)]
pub struct Context {
    stop: CancellationToken,
}

impl Context {
    /// Ends when the result matters no more: the lease is lost, the workflow is to stop, or the worker's grace is over.
    /// A handler that runs long should watch it.
    pub async fn stopped(&self) {
        self.stop.cancelled().await
    }

    /// The same as a token, to hand on.
    pub fn token(&self) -> &CancellationToken {
        &self.stop
    }
}

/// A token that is cancelled by SIGTERM and SIGINT, which from now on do nothing else.
#[cfg(unix)]
pub fn shutdown_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        info!("asked to stop");
        cancelled.cancel();
    });
    Ok(token)
}

/// Claims tasks of the actions that it has handlers for, runs them, and reports.
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
    handlers: HashMap<String, Handler>,
}

impl Worker {
    /// Works until it is asked to stop; then claims no more, lets its handlers finish for the time of grace, and reports
    /// what they have done. An error means that the server refused to give it work, or that reports could not be
    /// delivered in that time; lost connections are only waited for.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<()> {
        info!(worker = %self.name, actions = ?self.handlers.keys(), "worker runs");
        let (held, wake) = (Held::default(), Notify::new());
        // On one task, so that nothing goes on when this future is dropped.
        let result = tokio::select! {
            result = Run::of(self, &held, &wake).work(&shutdown) => result,
            never = async { tokio::join!(self.hold(&held), self.tick(), self.listen(&wake)) } => match never.0 {},
        };
        info!(worker = %self.name, "worker ends");
        result
    }

    /// Prolongs the leases, and tells the handlers of those that are lost.
    async fn hold(&self, held: &Held) -> Never {
        loop {
            sleep(self.lease / 3).await;
            let leases = held.leases();
            for leases in leases.chunks(10_000) {
                match self.answered(Engine::heartbeat(&self.pool, leases, self.lease)).await {
                    Ok(beats) => {
                        for (beat, lease) in beats.iter().zip(leases) {
                            held.heard(*lease, beat.state);
                        }
                    }
                    Err(error) => warn!(%error, "no heartbeat"),
                }
            }
        }
    }

    /// Does what time has made due. Any worker may; that all do does no harm.
    async fn tick(&self) -> Never {
        loop {
            sleep(jittered(TICK_INTERVAL)).await;
            while self.tick_once().await >= TICK_ROWS {}
        }
    }

    async fn tick_once(&self) -> i32 {
        let done = self.answered(Engine::tick(&self.pool, TICK_ROWS, self.parts.as_deref())).await;
        done.inspect_err(|error| warn!(%error, "no tick")).unwrap_or(0)
    }

    /// Waits for a call, but not for ever.
    async fn answered<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let lost = || Error::Database(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        timeout(self.lease.max(PATIENCE), call).await.unwrap_or_else(|_| Err(lost()))
    }
}

enum Never {}

/// Up to a quarter more or less, so that workers do not all come at once.
fn jittered(duration: Duration) -> Duration {
    let random = RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64;
    duration.mul_f64(0.75 + random / 2.0)
}
