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

use crate::{Answer, ClaimInput, ClaimedTask, Engine, Error, LeaseState, Outcome, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use room::{Ask, Room};
use serde_json::{Value, json};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
pub use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

mod builder;
mod failure;
mod listen;
mod room;

pub use builder::WorkerBuilder;
pub use failure::Failure;

type Handler = Arc<dyn Fn(ClaimedTask, Context) -> BoxFuture<'static, Handled> + Send + Sync>;
type Handled = std::result::Result<Value, Failure>;

/// The task and the lease token: the same task may come again with another.
type Lease = (i64, i64);

/// The longest wait after an error.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// The longest wait between two looks for work is the poll interval times this.
const IDLE_FACTOR: u32 = 8;
/// How often what time has made due is done, also while all handlers are busy.
const TICK_INTERVAL: Duration = Duration::from_secs(1);
/// How many rows of a kind a tick does at once.
const TICK_ROWS: i32 = 1000;
/// How many connections the loop, its heartbeats and its ticks use at once.
const CONNECTIONS: u32 = 3;
/// How many reports go into one call.
const LARGEST_REPORT: usize = 1000;

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
            let leases: Vec<Lease> = held.lock().keys().copied().collect();
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

/// The leases of the tasks whose handlers run, each with what stops its handler.
#[derive(Default)]
struct Held(Mutex<HashMap<Lease, CancellationToken>>);

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashMap<Lease, CancellationToken>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn heard(&self, lease: Lease, state: LeaseState) {
        let mut held = self.lock();
        match state {
            LeaseState::Held => {}
            LeaseState::Stop => held.get(&lease).into_iter().for_each(CancellationToken::cancel),
            // Its result will not be reported.
            LeaseState::Lost => {
                if let Some(stop) = held.remove(&lease) {
                    warn!(task = lease.0, "the lease is lost");
                    stop.cancel();
                }
            }
        }
    }
}

/// A report that has not been answered yet.
struct Report {
    outcome: Outcome,
    /// It stands in for one that the engine would not take.
    substitute: bool,
}

/// A worker at work.
struct Run<'w> {
    worker: &'w Worker,
    held: &'w Held,
    /// There may be work.
    wake: &'w Notify,
    /// Its own while all goes well: a session remembers what it has given, and has its plans ready.
    connection: Option<PoolConnection<Postgres>>,
    room: Room,
    /// Each with its action.
    running: JoinSet<(String, Outcome)>,
    outbox: Vec<Report>,
    /// How often in a row there was no work, or there was an error.
    idle: u32,
    errors: u32,
    /// Reports one by one, to find the one that the server chokes on.
    singly: bool,
    claim: ClaimInput,
}

impl<'w> Run<'w> {
    fn of(worker: &'w Worker, held: &'w Held, wake: &'w Notify) -> Run<'w> {
        let claim = ClaimInput {
            worker: worker.name.clone(),
            max_tasks: 0,
            actions: None,
            lease: worker.lease,
            parts: worker.parts.clone(),
        };
        let room = Room::new(worker.handlers.keys(), worker.concurrency, &worker.bounds);
        let (running, outbox) = (JoinSet::new(), Vec::new());
        Run { worker, held, wake, connection: None, room, running, outbox, idle: 0, errors: 0, singly: false, claim }
    }

    /// Talks to the engine whenever something is done or it is time to look for work. What is done while a call is under
    /// way goes together into the next, so that the batches grow with the load.
    async fn work(mut self, shutdown: &CancellationToken) -> Result<()> {
        let mut next_look = Instant::now();
        while !shutdown.is_cancelled() {
            self.gather().await;
            let looking = !self.room.is_full() && (next_look <= Instant::now() || !self.outbox.is_empty());
            if looking || !self.outbox.is_empty() {
                let wait = match self.exchange(looking).await {
                    Ok(wait) => wait,
                    Err(error) if is_final(&error) => {
                        error!(%error, "no work is given");
                        return self.drain().await.and(Err(error));
                    }
                    Err(error) => self.backoff(&error),
                };
                next_look = Instant::now() + wait;
                if self.errors > 0 {
                    tokio::select! { _ = sleep_until(next_look) => {}, _ = shutdown.cancelled() => {} }
                    continue;
                }
            }
            let has_room = !self.room.is_full();
            tokio::select! {
                biased;
                _ = shutdown.cancelled() => {}
                Some(done) = self.running.join_next() => self.done(done),
                _ = sleep_until(next_look), if has_room && self.outbox.is_empty() => {}
                _ = self.wake.notified(), if has_room && self.outbox.is_empty() => next_look = Instant::now(),
                _ = std::future::ready(()), if !self.outbox.is_empty() => {}
            }
        }
        self.drain().await
    }

    /// Lets the handlers finish and reports what they have done.
    async fn drain(mut self) -> Result<()> {
        let end = Instant::now() + self.worker.grace;
        info!(running = self.running.len(), unreported = self.outbox.len(), "drains");
        let mut undelivered = None;
        loop {
            self.collect();
            if self.running.is_empty() && self.outbox.is_empty() {
                return Ok(());
            }
            let exchanged = match self.outbox.is_empty() {
                true => Ok(Ok(Duration::ZERO)),
                false => timeout_at(end, self.exchange(false)).await,
            };
            if let Ok(Err(error)) = exchanged {
                let wait = self.backoff(&error);
                undelivered = Some(error);
                sleep_until(end.min(Instant::now() + wait)).await;
            } else if self.outbox.is_empty()
                && let Ok(Some(done)) = timeout_at(end, self.running.join_next()).await
            {
                self.done(done);
            }
            if Instant::now() >= end {
                break;
            }
        }
        // Nobody prolongs their leases any more: other workers will take these tasks over.
        warn!(running = self.running.len(), unreported = self.outbox.len(), "the grace is over");
        self.held.lock().values().for_each(CancellationToken::cancel);
        self.running.shutdown().await;
        match undelivered {
            Some(error) if !self.outbox.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Reports what is done and, where it is time to look, takes what there is room for, in one call; where actions have
    /// bounds of their own, with a further claim for each. Gives how long to wait before looking for work again.
    async fn exchange(&mut self, looking: bool) -> Result<Duration> {
        let reports = self.outbox.len().min(if self.singly { 1 } else { LARGEST_REPORT });
        // When reports make trouble, that must not be confused with being refused work.
        let looking = looking && !self.singly;
        let mut asks = if looking { self.room.next_asks() } else { Vec::new() }.into_iter();
        let Some((mut claimed, mut full)) = self.call(reports, asks.next()).await? else { return Ok(Duration::ZERO) };
        for ask in asks {
            let ask = Ask { most: ask.most.min(self.room.left()), ..ask };
            if ask.most > 0
                && let Some((more, is_full)) = self.call(0, Some(ask)).await?
            {
                claimed += more;
                full |= is_full;
            }
        }
        debug!(reports, claimed, "exchanged");
        if full || !looking {
            self.idle = 0;
            return Ok(Duration::ZERO);
        }
        let nothing = reports == 0 && claimed == 0;
        if nothing && self.worker.tick_once().await > 0 {
            return Ok(Duration::ZERO);
        }
        self.idle = if nothing && self.running.is_empty() { self.idle + 1 } else { 0 };
        let factor = 1 << self.idle.saturating_sub(1).min(IDLE_FACTOR.ilog2());
        Ok(jittered(self.worker.poll_interval * factor))
    }

    /// One call. Gives how many tasks came and whether those were all that could; none where a report stood in the way.
    async fn call(&mut self, reports: usize, ask: Option<Ask>) -> Result<Option<(usize, bool)>> {
        let ask = ask.unwrap_or(Ask { actions: Vec::new(), most: 0 });
        let most = ask.most.min(self.worker.batch_size);
        self.claim.max_tasks = i32::try_from(most).unwrap_or(i32::MAX);
        self.claim.actions = Some(ask.actions);
        let outcomes: Vec<Outcome> = self.outbox[..reports].iter().map(|report| report.outcome.clone()).collect();
        let (worker, claim, kept) = (self.worker, &self.claim, self.connection.take());
        let call = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => worker.pool.acquire().await?,
            };
            let answered = match (reports, most) {
                (0, 0) => (Vec::new(), Vec::new()),
                (0, _) => (Vec::new(), Engine::claim(&mut *connection, claim).await?),
                (_, 0) => (Engine::finish(&mut *connection, &outcomes).await?, Vec::new()),
                _ => Engine::finish_and_claim(&mut *connection, &outcomes, claim).await?,
            };
            Ok((connection, answered))
        };
        let answered = worker.answered(call).await;
        let (connection, (answers, claimed)) = match answered {
            Err(error) if reports > 0 && is_indigestible(&error) => {
                self.set_aside(&error);
                return Ok(None);
            }
            answered => answered?,
        };
        // Heartbeats and ticks need theirs: a small pool is shared.
        let is_large = worker.pool.options().get_max_connections() >= CONNECTIONS;
        (self.connection, self.errors) = (is_large.then_some(connection), 0);
        self.singly &= self.outbox.len() > reports;
        let answered: Vec<Report> = self.outbox.drain(..reports).collect();
        for (report, answer) in answered.into_iter().zip(answers) {
            self.heard(report, answer);
        }
        let came = claimed.len();
        claimed.into_iter().for_each(|task| self.start(task));
        Ok(Some((came, came > 0 && came >= most)))
    }

    /// The server refused a whole call: finds out which report that was for, and reports a failure in its place.
    fn set_aside(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.singly, true) {
            return warn!(%error, "a report is refused; reporting one by one");
        }
        let report = self.outbox.remove(0);
        let code = error.refusal().map_or("refused", |refusal| refusal.code.as_deref().unwrap_or(&refusal.sqlstate));
        self.replace(report, code, error.to_string());
    }

    fn heard(&mut self, report: Report, answer: Answer) {
        let task = answer.task;
        match answer.state {
            Ok(state) => debug!(task, ?state, "reported"),
            Err(refused) if matches!(refused.code.as_str(), "WF613" | "WF614") => {
                self.replace(report, &refused.code, refused.message);
            }
            Err(refused) => warn!(task, %refused, "the report is refused"),
        }
    }

    /// A result that cannot be stored makes its task fail. Without a report the task would be done again and again.
    fn replace(&mut self, report: Report, code: &str, message: String) {
        let Outcome { task, lease_token, .. } = report.outcome;
        error!(task, code, message, "the report cannot be taken");
        if !report.substitute {
            let error = json!({"type": "report", "code": code, "message": message});
            self.outbox.push(Report { outcome: Outcome::failed(task, lease_token, error), substitute: true });
        }
    }

    fn start(&mut self, task: ClaimedTask) {
        let lease = (task.task, task.lease_token);
        let span = info_span!("task", id = task.task, name = %task.task_name, item = task.task_index, action = %task.action,
            workflow_execution = task.workflow_execution, attempt = task.attempt);
        let stop = CancellationToken::new();
        self.held.lock().insert(lease, stop.clone());
        self.room.take(&task.action);
        let action = task.action.clone();
        let handler = self.worker.handlers.get(&task.action).cloned();
        let work = async move {
            let Some(handler) = handler else {
                return Outcome::failed(lease.0, lease.1, json!({"type": "no_handler", "message": task.action}));
            };
            debug!("begins");
            // The handler itself may panic too, before it has given a future.
            let handled = AssertUnwindSafe(async { handler(task, Context { stop }).await }).catch_unwind().await;
            match handled.unwrap_or_else(|panic| Err(Failure::of_panic(panic.as_ref()))) {
                Ok(result) => Outcome::completed(lease.0, lease.1, result),
                Err(failure) => {
                    info!(%failure, "failed");
                    failure.outcome(lease)
                }
            }
        };
        self.running.spawn(async move { (action, work.await) }.instrument(span));
    }

    /// Collects what is done, as long as more is done in the meantime: quick tasks that came together go together.
    async fn gather(&mut self) {
        self.collect();
        let mut before = 0;
        while self.outbox.len() > before {
            before = self.outbox.len();
            tokio::task::yield_now().await;
            self.collect();
        }
    }

    /// Takes in all handlers that are done by now.
    fn collect(&mut self) {
        while let Some(done) = self.running.try_join_next() {
            self.done(done);
        }
    }

    fn done(&mut self, done: std::result::Result<(String, Outcome), tokio::task::JoinError>) {
        // Handlers' panics are caught, and nobody aborts them while we listen.
        let Ok((action, outcome)) = done else { return };
        self.room.free(&action);
        if self.held.lock().remove(&(outcome.task, outcome.lease_token)).is_some() {
            self.outbox.push(Report { outcome, substitute: false });
        }
    }

    fn backoff(&mut self, error: &Error) -> Duration {
        self.errors += 1;
        let wait = jittered((Duration::from_millis(50) * (1 << self.errors.min(10))).min(LONGEST_BACKOFF));
        warn!(%error, ?wait, unreported = self.outbox.len(), "trying again");
        wait
    }
}

/// Will asking again not help? A refusal stays one; everything else may pass.
fn is_final(error: &Error) -> bool {
    error.refusal().is_some() || matches!(error, Error::Database(sqlx::Error::PoolClosed))
}

/// Does the server choke on what was reported, and would again? PostgreSQL's own words for that are of class XX.
fn is_indigestible(error: &Error) -> bool {
    match error {
        Error::Validation(_) | Error::LimitExceeded(_) | Error::Conflict(_) => true,
        Error::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| code.starts_with("XX")),
        _ => false,
    }
}

/// Up to a quarter more or less, so that workers do not all come at once.
fn jittered(duration: Duration) -> Duration {
    let random = RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64;
    duration.mul_f64(0.75 + random / 2.0)
}
