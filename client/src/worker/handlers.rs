//! The running handlers: starting them, stopping them, and collecting their outcomes.

use super::room::Room;
use super::{Context, Failure, Handled, Handler, Worker};
use crate::trace::TaskSpan;
use crate::{ClaimedTask, LeaseState, Outcome};
use futures::FutureExt;
use serde_json::Value;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info, info_span, warn};

/// Maximum time that finished outcomes wait for others that are about to finish.
const PAUSE: Duration = Duration::from_millis(1);

/// A task and its lease token. The same task may be claimed again with another token.
pub(super) type Lease = (i64, i64);

/// Leases of the tasks whose handlers are running, each with the state shared with its handler.
#[derive(Default)]
pub(super) struct Held {
    leases: Mutex<HashMap<Lease, Context>>,
    /// Notified when a handler asks for a heartbeat.
    pub beat: Arc<Notify>,
}

impl Held {
    /// Returns all leases, each with the progress that its handler has recorded since the last call.
    pub fn leases(&self) -> Vec<(Lease, Option<Value>)> {
        self.lock().iter().map(|(lease, context)| (*lease, context.take_progress())).collect()
    }

    /// Puts back progress that could not be stored, unless there is newer progress by now.
    pub fn put_back(&self, lease: Lease, progress: Value) {
        if let Some(context) = self.lock().get(&lease) {
            context.put_back(progress);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lease, Context>> {
        self.leases.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Passes the engine's answer for a lease on to its handler.
    pub fn update(&self, lease: Lease, state: LeaseState) {
        let mut held = self.lock();
        match state {
            LeaseState::Held | LeaseState::Elsewhere => {}
            LeaseState::Stop => held.get(&lease).into_iter().for_each(|context| context.stop.cancel()),
            // Its result will not be reported.
            LeaseState::Lost => {
                if let Some(context) = held.remove(&lease) {
                    warn!(task = lease.0, "the lease is lost");
                    context.stop.cancel();
                    context.lost.cancel();
                }
            }
        }
    }
}

/// Runs a handler. If it keeps running for longer than the grace period after its lease was lost, it is dropped, to
/// make room for another: its result cannot be reported anyway.
async fn handle(handler: Handler, task: ClaimedTask, context: Context, grace: Duration) -> Handled {
    let lost = context.lost.clone();
    // The handler may also panic before it returns a future.
    let handled = AssertUnwindSafe(async { handler(task, context).await }).catch_unwind();
    tokio::select! {
        biased;
        handled = handled => handled.unwrap_or_else(|panic| Err(Failure::of_panic(panic.as_ref()))),
        _ = async { lost.cancelled().await; sleep(grace).await } => {
            Err(Failure::new("lost", "the lease was lost, and the handler did not stop"))
        }
    }
}

/// Running handlers.
pub(super) struct Handlers<'w> {
    worker: &'w Worker,
    held: &'w Held,
    /// Room for more handlers.
    pub room: Room,
    /// Running handlers, each with its action.
    running: JoinSet<(String, Outcome)>,
    /// Handlers that have not been polled yet.
    fresh: TaskTracker,
}

impl<'w> Handlers<'w> {
    pub fn of(worker: &'w Worker, held: &'w Held) -> Handlers<'w> {
        let room = Room::new(worker.handlers.keys(), worker.concurrency, &worker.bounds);
        let fresh = TaskTracker::new();
        fresh.close();
        Handlers { worker, held, room, running: JoinSet::new(), fresh }
    }

    /// Returns the number of running handlers.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Starts the handler of a claimed task.
    pub fn start(&mut self, mut task: ClaimedTask) {
        let lease = (task.task, task.lease_token);
        let traced = TaskSpan::begin(&task, &self.worker.name);
        // Inside the other span, so that a layer that turns `tracing` spans into OpenTelemetry spans makes it a child.
        let span = traced.enter(|| {
            info_span!("task", id = task.task, name = %task.task_name, item = task.task_index, action = %task.action,
                execution = task.execution, attempt = task.attempt)
        });
        let input = task.input.take();
        let (states, beat) = (self.worker.states.clone(), self.held.beat.clone());
        let context = Context::of_worker(task.clone(), states, traced.traceparent(), beat);
        task.input = input;
        self.held.lock().insert(lease, context.clone());
        self.room.take(&task.action);
        let action = task.action.clone();
        let handler = self.worker.handlers.get(&task.action).cloned();
        let grace = self.worker.grace;
        let work = async move {
            debug!("handler started");
            let handled = match handler {
                Some(handler) => traced.within(handle(handler, task, context, grace)).await,
                None => Err(Failure::new("no_handler", task.action)),
            };
            traced.end(handled.as_ref().err());
            match handled {
                Ok(result) => Outcome::completed(lease.0, lease.1, result),
                Err(failure) => {
                    info!(%failure, "handler failed");
                    failure.outcome(lease)
                }
            }
        };
        let first_turn = self.fresh.token();
        let turns = async move { futures::join!(work, async move { drop(first_turn) }).0 };
        self.running.spawn(async move { (action, turns.await) }.instrument(span));
    }

    /// Returns the outcomes available so far. Handlers that have not been polled yet are polled first, so that quick
    /// tasks that were claimed together are also reported together; if the CPUs are busy, this waits no longer than
    /// PAUSE.
    pub async fn gather(&mut self) -> Vec<Outcome> {
        let _ = timeout(PAUSE, self.fresh.wait()).await;
        self.collect()
    }

    /// Returns the outcomes available so far.
    pub fn collect(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some(done) = self.running.try_join_next() {
            outcomes.extend(self.ended(done));
        }
        outcomes
    }

    /// Waits for the next handler to finish and returns its outcome, if that still matters. Returns `None` if no
    /// handler is running.
    pub async fn next(&mut self) -> Option<Option<Outcome>> {
        let done = self.running.join_next().await?;
        Some(self.ended(done))
    }

    /// Stops all running handlers.
    pub async fn shutdown(&mut self) {
        self.held.lock().values().for_each(|context| context.stop.cancel());
        self.running.shutdown().await;
    }

    fn ended(&mut self, done: Result<(String, Outcome), JoinError>) -> Option<Outcome> {
        // Panics of handlers are caught, and no handler is aborted while the loop waits for it.
        let (action, outcome) = done.ok()?;
        self.room.free(&action);
        self.held.lock().remove(&(outcome.task, outcome.lease_token)).map(|_| outcome)
    }
}
