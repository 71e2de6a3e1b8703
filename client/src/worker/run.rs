//! The worker's main loop: outcomes go to the engine, and tasks from the engine go to the handlers.

use super::handlers::{Handlers, Held};
use super::listen::Hints;
use super::room::Ask;
use super::{CONNECTIONS, MAX_BACKOFF, Worker, jittered};
use crate::{Answer, ClaimInput, Engine, Error, Outcome, Result};
use serde_json::json;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

/// The delay between two polls while there is no work grows from the poll interval divided by this to the interval
/// multiplied by this.
const IDLE_FACTOR: u32 = 8;
/// Maximum number of reports per call.
const MAX_REPORTS: usize = 1000;

/// A report that has not been acknowledged yet.
struct Report {
    outcome: Outcome,
    /// Whether it replaces a report that the engine did not accept.
    substitute: bool,
}

/// A running worker.
pub(super) struct Run<'w> {
    worker: &'w Worker,
    hints: &'w Hints,
    /// Connection that is kept as long as there are no errors: its session remembers the tasks it has handed out, and
    /// has cached its plans.
    connection: Option<PoolConnection<Postgres>>,
    handlers: Handlers<'w>,
    outbox: Vec<Report>,
    /// Number of consecutive polls that found no work (`idle`) or calls that failed (`errors`).
    idle: u32,
    errors: u32,
    /// When a poll that finds nothing may be followed by a tick again.
    next_tick: Instant,
    /// Whether a call has ever succeeded.
    was_connected: bool,
    /// Whether to report one by one, to find the report that the server cannot process.
    singly: bool,
    claim: ClaimInput,
    /// Cancelled when the worker is to stop waiting for a connection.
    shutdown: CancellationToken,
}

impl<'w> Run<'w> {
    pub fn of(worker: &'w Worker, held: &'w Held, hints: &'w Hints, shutdown: CancellationToken) -> Run<'w> {
        let claim = ClaimInput {
            worker: worker.name.clone(),
            max_tasks: 0,
            actions: None,
            lease: worker.lease,
            parts: worker.parts.clone(),
        };
        Run {
            worker,
            hints,
            connection: None,
            handlers: Handlers::of(worker, held),
            outbox: Vec::new(),
            idle: 0,
            errors: 0,
            next_tick: Instant::now(),
            was_connected: false,
            singly: false,
            claim,
            shutdown,
        }
    }

    /// Calls the engine whenever something has finished or it is time to look for work. Outcomes that arrive during a
    /// call go into the next one together, so batches grow with the load.
    pub async fn work(mut self) -> Result<()> {
        let shutdown = self.shutdown.clone();
        let mut next_look = Instant::now();
        while !shutdown.is_cancelled() {
            let done = self.handlers.gather().await;
            self.queue_reports(done);
            let looking = !self.handlers.room.is_full() && (next_look <= Instant::now() || !self.outbox.is_empty());
            if looking || !self.outbox.is_empty() {
                let wait = match self.exchange(looking).await {
                    Ok(wait) => wait,
                    Err(error) if self.is_final(&error) => {
                        error!(%error, "the worker cannot work on this server");
                        return self.drain().await.and(Err(error));
                    }
                    Err(error) => self.backoff(&error),
                };
                next_look = Instant::now() + wait;
                self.hints.set_idle(looking && self.errors == 0 && !wait.is_zero());
                if self.errors > 0 {
                    tokio::select! { _ = sleep_until(next_look) => {}, _ = shutdown.cancelled() => {} }
                    continue;
                }
            }
            let has_room = !self.handlers.room.is_full();
            tokio::select! {
                biased;
                _ = shutdown.cancelled() => {}
                Some(done) = self.handlers.next() => self.queue_reports(done),
                _ = sleep_until(next_look), if has_room && self.outbox.is_empty() => {}
                _ = self.hints.notified(), if has_room && self.outbox.is_empty() => next_look = Instant::now(),
                _ = std::future::ready(()), if !self.outbox.is_empty() => {}
            }
        }
        self.drain().await
    }

    /// Lets the handlers finish and reports their outcomes.
    async fn drain(mut self) -> Result<()> {
        let end = Instant::now() + self.worker.grace;
        // Reports still have to be delivered.
        self.shutdown = CancellationToken::new();
        self.hints.set_idle(false);
        info!(running = self.handlers.running(), unreported = self.outbox.len(), "draining");
        let mut undelivered = None;
        loop {
            let done = self.handlers.collect();
            self.queue_reports(done);
            if self.handlers.running() == 0 && self.outbox.is_empty() {
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
                && let Ok(Some(done)) = timeout_at(end, self.handlers.next()).await
            {
                self.queue_reports(done);
            }
            if Instant::now() >= end {
                break;
            }
        }
        // Their leases are no longer extended: other workers will take over these tasks.
        warn!(running = self.handlers.running(), unreported = self.outbox.len(), "the grace period has expired");
        self.handlers.shutdown().await;
        match undelivered {
            Some(error) if !self.outbox.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Reports outcomes and, when it is time to look for work, claims what there is room for, in one call. Actions with
    /// limits of their own take one further claim each. Returns how long to wait before looking for work again.
    async fn exchange(&mut self, looking: bool) -> Result<Duration> {
        let reports = self.outbox.len().min(if self.singly { 1 } else { MAX_REPORTS });
        // A problem with a report must not be mistaken for a refused claim.
        let looking = looking && !self.singly;
        let mut asks = if looking { self.handlers.room.next_asks() } else { Vec::new() }.into_iter();
        let Some((mut claimed, mut full)) = self.call(reports, asks.next()).await? else { return Ok(Duration::ZERO) };
        for ask in asks {
            let ask = Ask { most: ask.most.min(self.handlers.room.left()), ..ask };
            if ask.most > 0
                && let Some((more, is_full)) = self.call(0, Some(ask)).await?
            {
                claimed += more;
                full |= is_full;
            }
        }
        debug!(reports, claimed, "exchanged");
        // Another session may have held the execution's lock when this was reported: tasks that follow from it come
        // with the next call.
        let may_follow = reports > 0 && claimed == 0;
        if full || !looking || may_follow {
            self.idle = 0;
            return Ok(Duration::ZERO);
        }
        let nothing = reports == 0 && claimed == 0;
        if nothing && self.next_tick <= Instant::now() {
            // Not with each poll: if many workers become idle at the same time, their ticks would keep the others from
            // working.
            self.next_tick = Instant::now() + self.worker.poll_interval;
            if self.worker.tick_once().await > 0 {
                return Ok(Duration::ZERO);
            }
        }
        self.idle = if nothing && self.handlers.running() == 0 { self.idle + 1 } else { 0 };
        Ok(jittered(match self.idle {
            0 => self.worker.poll_interval,
            looks => self.worker.poll_interval / IDLE_FACTOR * (1 << (looks - 1).min(2 * IDLE_FACTOR.ilog2())),
        }))
    }

    /// Makes one call. Returns how many tasks were claimed and whether that was the maximum; `None` if a report got in
    /// the way, or the worker is to stop.
    async fn call(&mut self, reports: usize, ask: Option<Ask>) -> Result<Option<(usize, bool)>> {
        let ask = ask.unwrap_or(Ask { actions: Vec::new(), most: 0 });
        let most = ask.most.min(self.worker.batch_size);
        self.claim.max_tasks = i32::try_from(most).unwrap_or(i32::MAX);
        self.claim.actions = Some(ask.actions);
        let outcomes: Vec<Outcome> = self.outbox[..reports].iter().map(|report| report.outcome.clone()).collect();
        let (worker, claim, kept, shutdown) = (self.worker, &self.claim, self.connection.take(), &self.shutdown);
        let call = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => tokio::select! {
                    connection = worker.pool.acquire() => connection?,
                    () = shutdown.cancelled() => return Ok(None),
                },
            };
            let answered = match (reports, most) {
                (0, 0) => (Vec::new(), Vec::new()),
                (0, _) => (Vec::new(), Engine::claim(&mut *connection, claim).await?),
                (_, 0) => (Engine::finish(&mut *connection, &outcomes).await?, Vec::new()),
                _ => Engine::finish_and_claim(&mut *connection, &outcomes, claim).await?,
            };
            Ok(Some((connection, answered)))
        };
        let answered = match worker.answered(call).await {
            Err(error) if reports > 0 && is_permanently_rejected(&error) => {
                self.set_aside(&error);
                return Ok(None);
            }
            answered => answered?,
        };
        let Some((connection, (answers, claimed))) = answered else { return Ok(None) };
        // Heartbeats and ticks need connections too: in a small pool, all share them.
        let is_large = worker.pool.options().get_max_connections() >= CONNECTIONS;
        (self.connection, self.errors, self.was_connected) = (is_large.then_some(connection), 0, true);
        self.singly &= self.outbox.len() > reports;
        let answered: Vec<Report> = self.outbox.drain(..reports).collect();
        let mut moved = Vec::new();
        for (report, answer) in answered.into_iter().zip(answers) {
            match &answer.state {
                Err(refused) if refused.code == "WF622" && worker.cluster.is_some() => moved.push(report),
                _ => self.process_answer(report, answer),
            }
        }
        let came = claimed.len();
        claimed.into_iter().for_each(|task| self.handlers.start(task));
        self.report_elsewhere(moved).await;
        Ok(Some((came, came > 0 && came >= most)))
    }

    /// Reports outcomes of tasks whose parts have moved to the servers that have these parts.
    async fn report_elsewhere(&mut self, moved: Vec<Report>) {
        let Some(cluster) = self.worker.cluster.as_ref().filter(|_| !moved.is_empty()) else { return };
        let outcomes: Vec<Outcome> = moved.iter().map(|report| report.outcome.clone()).collect();
        match self.worker.answered(cluster.finish(&outcomes)).await {
            Ok(answers) => {
                moved.into_iter().zip(answers).for_each(|(report, answer)| self.process_answer(report, answer));
            }
            Err(error) => {
                warn!(%error, reports = moved.len(), "parts have moved, and reports cannot be delivered yet");
                self.outbox.extend(moved);
            }
        }
    }

    fn queue_reports(&mut self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.outbox.extend(outcomes.into_iter().map(|outcome| Report { outcome, substitute: false }));
    }

    /// Handles a call that the server refused as a whole: finds the report responsible, and reports a failure in its
    /// place.
    fn set_aside(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.singly, true) {
            return warn!(%error, "a batch of reports was refused; reporting one by one");
        }
        let report = self.outbox.remove(0);
        let code = error.refusal().map_or("refused", |refusal| refusal.code.as_deref().unwrap_or(&refusal.sqlstate));
        self.replace(report, code, error.to_string());
    }

    fn process_answer(&mut self, report: Report, answer: Answer) {
        let task = answer.task;
        match answer.state {
            Ok(state) => debug!(task, ?state, "reported"),
            Err(refused) if matches!(refused.code.as_str(), "WF613" | "WF614") => {
                self.replace(report, &refused.code, refused.message);
            }
            Err(refused) => warn!(task, %refused, "the report is refused"),
        }
    }

    /// Fails a task whose result cannot be stored. Without a report the task would be executed again and again.
    fn replace(&mut self, report: Report, code: &str, message: String) {
        let Outcome { task, lease_token, .. } = report.outcome;
        error!(task, code, message, "the report cannot be accepted");
        if !report.substitute {
            let error = json!({"type": "report", "code": code, "message": message});
            self.outbox.push(Report { outcome: Outcome::failed(task, lease_token, error), substitute: true });
        }
    }

    /// Whether calling again would not help. Refusals are permanent. If no call has ever succeeded, so are a database
    /// that does not exist, does not let the role in or does not have the extension, and a connection without the
    /// encryption that its options require. Everything else may be temporary.
    fn is_final(&self, error: &Error) -> bool {
        match error {
            Error::Database(sqlx::Error::PoolClosed) => true,
            Error::Database(sqlx::Error::Tls(_) | sqlx::Error::Configuration(_)) => !self.was_connected,
            error => error.refusal().is_some() || (!self.was_connected && error.is_unusable_database()),
        }
    }

    fn backoff(&mut self, error: &Error) -> Duration {
        self.errors += 1;
        let wait = jittered((Duration::from_millis(50) * (1 << self.errors.min(10))).min(MAX_BACKOFF));
        warn!(%error, ?wait, unreported = self.outbox.len(), "retrying after an error");
        wait
    }
}

/// Whether the server cannot process a report or progress, and never will. PostgreSQL's own errors of this kind are in
/// class XX.
pub(super) fn is_permanently_rejected(error: &Error) -> bool {
    match error {
        Error::Validation(_) | Error::LimitExceeded(_) | Error::Conflict(_) => true,
        Error::Database(sqlx::Error::Database(error)) => error.code().is_some_and(|code| code.starts_with("XX")),
        _ => false,
    }
}
