//! What a worker is made of.

use super::{Context, Handled, Handler, Worker};
use crate::ClaimedTask;
use futures::FutureExt;
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

impl Worker {
    /// A worker on this database. It needs up to three connections at once; handlers should have a pool of their own.
    pub fn builder(pool: PgPool) -> WorkerBuilder {
        let worker = Worker {
            pool,
            name: format!("worker {}", std::process::id()),
            concurrency: 16,
            bounds: HashMap::new(),
            batch_size: 10_000,
            lease: Duration::from_secs(30),
            poll_interval: Duration::from_millis(100),
            grace: Duration::from_secs(20),
            listen: false,
            parts: None,
            handlers: HashMap::new(),
        };
        WorkerBuilder { worker }
    }
}

/// What a worker is made of.
#[must_use]
pub struct WorkerBuilder {
    worker: Worker,
}

impl WorkerBuilder {
    /// What others know it by; by default made from the process id.
    pub fn name(mut self, name: impl Into<String>) -> WorkerBuilder {
        self.worker.name = name.into();
        self
    }

    /// How many handlers run at once; 16 by default.
    pub fn concurrency(mut self, handlers: usize) -> WorkerBuilder {
        self.worker.concurrency = handlers.max(1);
        self
    }

    /// How many handlers of this action run at once, within those of all; by default as many as there is work for. For
    /// what others can take only so much of: a slow service, a licence, memory.
    pub fn action_concurrency(mut self, action: impl Into<String>, handlers: usize) -> WorkerBuilder {
        self.worker.bounds.insert(action.into(), handlers.max(1));
        self
    }

    /// How many tasks are claimed at once, 1 to 10,000; by default as many as there is room for.
    pub fn batch_size(mut self, tasks: usize) -> WorkerBuilder {
        self.worker.batch_size = tasks.clamp(1, 10_000);
        self
    }

    /// How long a task stays ours without a heartbeat; 30 seconds by default. There is one each third of it.
    pub fn lease(mut self, lease: Duration) -> WorkerBuilder {
        self.worker.lease = lease;
        self
    }

    /// How long after finding no work to look again; 100 milliseconds by default, and up to 8 times as long while there
    /// is none.
    pub fn poll_interval(mut self, interval: Duration) -> WorkerBuilder {
        self.worker.poll_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// How long handlers may go on when the worker is asked to stop; 20 seconds by default.
    pub fn grace(mut self, grace: Duration) -> WorkerBuilder {
        self.worker.grace = grace;
        self
    }

    /// Whether to look for work as soon as the server says that there is some, where its setting `pg_workflow.notify` is
    /// on; off by default. That takes a connection beside the pool's. A hint may be missing: the worker looks by itself
    /// too, and may then do so less often.
    pub fn listen(mut self, listen: bool) -> WorkerBuilder {
        self.worker.listen = listen;
        self
    }

    /// Where to look for work; everywhere by default.
    pub fn parts(mut self, parts: impl Into<Vec<i32>>) -> WorkerBuilder {
        self.worker.parts = Some(parts.into());
        self
    }

    /// What does the tasks of an action. Whatever it returns becomes the task's result; a [`Failure`], any error, or a
    /// panic makes the task fail.
    ///
    /// [`Failure`]: crate::worker::Failure
    pub fn handler<F, Fut>(mut self, action: impl Into<String>, handler: F) -> WorkerBuilder
    where
        F: Fn(ClaimedTask, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Handled> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |task, context| handler(task, context).boxed());
        self.worker.handlers.insert(action.into(), handler);
        self
    }

    /// The worker.
    pub fn build(self) -> Worker {
        self.worker
    }
}
