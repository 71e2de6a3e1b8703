//! What a handler knows about its task besides the input, and what it can report while it runs.

use super::CancellationToken;
use crate::ClaimedTask;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// Values that handlers share, by type.
pub(super) type States = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// Context that a handler receives along with its input.
#[derive(Clone)]
pub struct Context {
    task: Arc<ClaimedTask>,
    states: Arc<States>,
    pub(super) stop: CancellationToken,
    /// Cancelled, after `stop`, if the lease is lost.
    pub(super) lost: CancellationToken,
    traceparent: Option<String>,
    progress: Arc<Mutex<Option<Value>>>,
    /// Notified when a heartbeat should be sent without waiting.
    beat: Arc<Notify>,
}

impl Context {
    /// Creates the context of a task. Normally the worker does this; tests of handlers may do it, too.
    pub fn new(task: ClaimedTask) -> Context {
        Context {
            traceparent: task.traceparent.clone(),
            task: Arc::new(task),
            states: Arc::default(),
            stop: CancellationToken::new(),
            lost: CancellationToken::new(),
            progress: Arc::default(),
            beat: Arc::default(),
        }
    }

    pub(super) fn of_worker(
        task: ClaimedTask,
        states: Arc<States>,
        traceparent: Option<String>,
        beat: Arc<Notify>,
    ) -> Context {
        Context { states, traceparent, beat, ..Context::new(task) }
    }

    /// Returns the task as it was claimed. In a context created by a worker, it has no input, because that was passed
    /// to the handler.
    pub fn task(&self) -> &ClaimedTask {
        &self.task
    }

    /// Returns the id of the execution that the task belongs to.
    pub fn execution(&self) -> i64 {
        self.task.execution
    }

    /// Returns how many times the task has been claimed, including this one.
    pub fn attempt(&self) -> i32 {
        self.task.attempt
    }

    /// Returns when the task's timeout ends this attempt, or `None` if it has no timeout.
    pub fn deadline(&self) -> Option<DateTime<Utc>> {
        self.task.deadline
    }

    /// Returns the progress reported by an earlier attempt, or `None` if there is none.
    pub fn earlier_progress(&self) -> Option<&Value> {
        self.task.progress.as_ref()
    }

    /// Returns the span that the handler runs in, in the format of W3C Trace Context, for calls to other services, or
    /// `None` if nothing is being traced. Without the feature `opentelemetry`, it is the span that started the
    /// execution.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// Returns a value that the builder was given with [`state`](super::WorkerBuilder::state).
    ///
    /// # Panics
    ///
    /// Panics if there is no value of this type. Like any panic of a handler, this makes the task fail.
    pub fn state<T: Send + Sync + 'static>(&self) -> &T {
        let found = self.states.get(&TypeId::of::<T>()).and_then(|state| state.downcast_ref());
        found
            .unwrap_or_else(|| panic!("the worker has no state of type {}: give it one with state()", type_name::<T>()))
    }

    /// Completes once the result no longer matters: the lease is lost, the workflow is being stopped, or the worker's
    /// grace period has expired. Long-running handlers should watch it. A handler that keeps running for longer than
    /// the worker's grace period after its lease was lost is dropped.
    pub async fn stopped(&self) {
        self.stop.cancelled().await
    }

    /// Whether the result no longer matters. For loops that cannot await [`stopped`](Context::stopped).
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Records the handler's progress. The next heartbeat, sent after a third of the lease, stores it with the task; if
    /// this worker dies, the next attempt gets it from [`earlier_progress`](Context::earlier_progress).
    pub fn set_progress(&self, progress: impl Into<Value>) {
        *self.noted() = Some(progress.into());
    }

    /// Asks the worker for a heartbeat within a tenth of a second, instead of after a third of the lease: it stores the
    /// progress, and learns whether the result still matters.
    pub fn request_heartbeat(&self) {
        self.beat.notify_one();
    }

    pub(super) fn take_progress(&self) -> Option<Value> {
        self.noted().take()
    }

    pub(super) fn put_back(&self, progress: Value) {
        self.noted().get_or_insert(progress);
    }

    fn noted(&self) -> MutexGuard<'_, Option<Value>> {
        self.progress.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Returns the same as [`stopped`](Context::stopped) as a token that can be passed on.
    pub fn token(&self) -> &CancellationToken {
        &self.stop
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("task", &self.task)
            .field("is_stopped", &self.is_stopped())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn task() -> ClaimedTask {
        serde_json::from_value(json!({
            "task": 1, "lease_token": 2, "execution": 3, "task_name": "a", "task_index": null, "action": "demo.a", "input": null,
            "attempt": 4, "lease_until": "2026-01-01T00:00:30Z", "deadline": null, "last_error": null, "progress": {"page": 5},
            "traceparent": null
        }))
        .unwrap()
    }

    #[test]
    fn a_context_knows_its_task_and_its_state() {
        let states: States = [(TypeId::of::<u8>(), Arc::new(7u8) as Arc<dyn Any + Send + Sync>)].into();
        let context = Context::of_worker(task(), Arc::new(states), None, Arc::default());
        assert_eq!((context.execution(), context.attempt(), context.state::<u8>()), (3, 4, &7));
        assert_eq!(context.earlier_progress(), Some(&json!({"page": 5})));
        context.token().cancel();
        assert!(context.is_stopped());
    }

    #[test]
    #[should_panic(expected = "the worker has no state of type alloc::string::String")]
    fn a_missing_state_is_named() {
        Context::new(task()).state::<String>();
    }
}
