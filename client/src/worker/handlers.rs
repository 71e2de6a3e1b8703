//! The handlers that run: how they begin, what stops them, and what they have done.

use super::room::Room;
use super::{Context, Failure, Worker};
use crate::{ClaimedTask, LeaseState, Outcome};
use futures::FutureExt;
use serde_json::json;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info, info_span, warn};

/// How long what is done may wait for what is about to be.
const PAUSE: Duration = Duration::from_millis(1);

/// The task and the lease token: the same task may come again with another.
pub(super) type Lease = (i64, i64);

/// The leases of the tasks whose handlers run, each with what stops its handler.
#[derive(Default)]
pub(super) struct Held(Mutex<HashMap<Lease, CancellationToken>>);

impl Held {
    /// All of them.
    pub fn leases(&self) -> Vec<Lease> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lease, CancellationToken>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What the engine says of one, to its handler.
    pub fn heard(&self, lease: Lease, state: LeaseState) {
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

/// Handlers at work.
pub(super) struct Handlers<'w> {
    worker: &'w Worker,
    held: &'w Held,
    /// How many more may begin.
    pub room: Room,
    /// Each with its action.
    running: JoinSet<(String, Outcome)>,
    /// Those that have yet to get a first turn.
    fresh: TaskTracker,
}

impl<'w> Handlers<'w> {
    pub fn of(worker: &'w Worker, held: &'w Held) -> Handlers<'w> {
        let room = Room::new(worker.handlers.keys(), worker.concurrency, &worker.bounds);
        let fresh = TaskTracker::new();
        fresh.close();
        Handlers { worker, held, room, running: JoinSet::new(), fresh }
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// A handler begins with a task that was claimed.
    pub fn start(&mut self, task: ClaimedTask) {
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
        let first_turn = self.fresh.token();
        let turns = async move { futures::join!(work, async move { drop(first_turn) }).0 };
        self.running.spawn(async move { (action, turns.await) }.instrument(span));
    }

    /// What was done by now. Handlers that have not had their first turn get it before, for quick tasks that came together
    /// to go together; but for no longer than PAUSE, where others keep the processors.
    pub async fn gather(&mut self) -> Vec<Outcome> {
        let _ = timeout(PAUSE, self.fresh.wait()).await;
        self.collect()
    }

    /// What was done by now.
    pub fn collect(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some(done) = self.running.try_join_next() {
            outcomes.extend(self.ended(done));
        }
        outcomes
    }

    /// Waits for the next to end, and gives what it has done, if that still matters. None where none runs.
    pub async fn next(&mut self) -> Option<Option<Outcome>> {
        let done = self.running.join_next().await?;
        Some(self.ended(done))
    }

    /// Stops all that run.
    pub async fn shutdown(&mut self) {
        self.held.lock().values().for_each(CancellationToken::cancel);
        self.running.shutdown().await;
    }

    fn ended(&mut self, done: Result<(String, Outcome), JoinError>) -> Option<Outcome> {
        // Handlers' panics are caught, and nobody aborts them while we listen.
        let (action, outcome) = done.ok()?;
        self.room.free(&action);
        self.held.lock().remove(&(outcome.task, outcome.lease_token)).map(|_| outcome)
    }
}
