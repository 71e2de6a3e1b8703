//! Builder of workers.

use super::{Context, Handled, Handler, Worker};
use crate::{ClaimedTask, Cluster};
use futures::FutureExt;
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

impl Worker {
    /// Returns a builder for a worker on this database. A worker needs up to three connections at once, and one more
    /// to [`listen`](WorkerBuilder::listen); handlers should have their own pool.
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
            listen: true,
            parts: None,
            cluster: None,
            handlers: HashMap::new(),
        };
        WorkerBuilder { worker }
    }
}

/// Builder of workers.
#[must_use]
pub struct WorkerBuilder {
    worker: Worker,
}

impl WorkerBuilder {
    /// Sets the worker's name; by default it is derived from the process id.
    pub fn name(mut self, name: impl Into<String>) -> WorkerBuilder {
        self.worker.name = name.into();
        self
    }

    /// Sets the maximum number of concurrent handlers; 16 by default.
    pub fn concurrency(mut self, handlers: usize) -> WorkerBuilder {
        self.worker.concurrency = handlers.max(1);
        self
    }

    /// Sets the maximum number of concurrent handlers of this action, within the overall maximum; unlimited by default.
    /// Use it for actions that are constrained by something else, such as a slow service, a license or memory.
    pub fn action_concurrency(mut self, action: impl Into<String>, handlers: usize) -> WorkerBuilder {
        self.worker.bounds.insert(action.into(), handlers.max(1));
        self
    }

    /// Sets the maximum number of tasks per claim, 1 to 10,000; by default limited only by the number of free handlers.
    pub fn batch_size(mut self, tasks: usize) -> WorkerBuilder {
        self.worker.batch_size = tasks.clamp(1, 10_000);
        self
    }

    /// Sets how long the worker holds a task without a heartbeat; 30 seconds by default. A heartbeat is sent after
    /// every third of it.
    pub fn lease(mut self, lease: Duration) -> WorkerBuilder {
        self.worker.lease = lease;
        self
    }

    /// Sets the delay before polling again after no work was found; 100 milliseconds by default. It starts with an eighth of
    /// this, and grows up to eight times this while there is none.
    pub fn poll_interval(mut self, interval: Duration) -> WorkerBuilder {
        self.worker.poll_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Sets how long handlers may continue after shutdown is requested; 20 seconds by default.
    pub fn grace(mut self, grace: Duration) -> WorkerBuilder {
        self.worker.grace = grace;
        self
    }

    /// Sets whether to look for work as soon as the server has some, instead of with the next poll; on by default. This takes
    /// one connection in addition to those of the pool, which announces that the worker is idle and listens. It needs a session
    /// of its own: turn it off if the database is reached through a pooler that shares sessions among transactions. Hints can
    /// get lost, so the worker keeps polling as well.
    pub fn listen(mut self, listen: bool) -> WorkerBuilder {
        self.worker.listen = listen;
        self
    }

    /// Sets the parts in which to look for work; all by default.
    pub fn parts(mut self, parts: impl Into<Vec<i32>>) -> WorkerBuilder {
        self.worker.parts = Some(parts.into());
        self
    }

    /// Names the servers that the worker's server shares the work with: what it has of a part that moves to another one is
    /// reported there. [`Cluster::work`] does this for you.
    pub fn cluster(mut self, cluster: Cluster) -> WorkerBuilder {
        self.worker.cluster = Some(cluster);
        self
    }

    /// Registers the handler of an action. Its return value becomes the task's result; a [`Failure`], any other error,
    /// or a panic makes the task fail.
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

    /// Builds the worker.
    pub fn build(self) -> Worker {
        self.worker
    }
}
