//! Builder of workers.

use super::context::States;
use super::{Context, Failure, Handled, Handler, Worker};
use crate::{ClaimedTask, Cluster};
use futures::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sqlx::PgPool;
use std::any::{TypeId, type_name};
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
            states: Arc::default(),
            handlers: HashMap::new(),
        };
        WorkerBuilder { worker, states: States::new(), twice: Vec::new() }
    }
}

/// Longest lease that the engine grants.
const MAX_LEASE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Builder of workers.
#[must_use]
pub struct WorkerBuilder {
    worker: Worker,
    states: States,
    /// Problems with states and handlers that were given twice.
    twice: Vec<String>,
}

/// Reasons why a worker cannot be built: all problems with the builder's settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("; "))]
pub struct BuildError {
    /// The problems, one sentence each.
    pub problems: Vec<String>,
}

impl WorkerBuilder {
    /// Sets the worker's name, at most 200 bytes; by default it is derived from the process id.
    pub fn name(mut self, name: impl Into<String>) -> WorkerBuilder {
        self.worker.name = name.into();
        self
    }

    /// Sets the maximum number of concurrent handlers, at least 1; 16 by default.
    pub fn concurrency(mut self, handlers: usize) -> WorkerBuilder {
        self.worker.concurrency = handlers;
        self
    }

    /// Sets the maximum number of concurrent handlers of this action, within the overall maximum; unlimited by default.
    /// Use it for actions that are constrained by something else, such as a slow service, a license or memory.
    pub fn action_concurrency(mut self, action: impl Into<String>, handlers: usize) -> WorkerBuilder {
        self.worker.bounds.insert(action.into(), handlers);
        self
    }

    /// Sets the maximum number of tasks per claim, 1 to 10,000; by default limited only by the number of free handlers.
    pub fn batch_size(mut self, tasks: usize) -> WorkerBuilder {
        self.worker.batch_size = tasks;
        self
    }

    /// Sets how long the worker holds a task without a heartbeat; 30 seconds by default. A heartbeat is sent after
    /// every third of it.
    pub fn lease(mut self, lease: Duration) -> WorkerBuilder {
        self.worker.lease = lease;
        self
    }

    /// Sets the base delay before polling again after no work was found; 100 milliseconds by default. The actual delay
    /// starts at an eighth of this, and grows up to eight times this while there is no work.
    pub fn poll_interval(mut self, interval: Duration) -> WorkerBuilder {
        self.worker.poll_interval = interval;
        self
    }

    /// Sets how long handlers may continue after shutdown is requested; 20 seconds by default.
    pub fn grace(mut self, grace: Duration) -> WorkerBuilder {
        self.worker.grace = grace;
        self
    }

    /// Sets whether the server wakes the worker when there is work, instead of the worker finding it with the next
    /// poll; on by default. This takes one connection in addition to those of the pool, which announces that the worker
    /// is idle and listens. It needs a session of its own: turn it off if the database is reached through a pooler that
    /// shares sessions among transactions. Hints can get lost, so the worker keeps polling as well.
    pub fn listen(mut self, listen: bool) -> WorkerBuilder {
        self.worker.listen = listen;
        self
    }

    /// Sets the parts in which to look for work; all by default.
    pub fn parts(mut self, parts: impl Into<Vec<i32>>) -> WorkerBuilder {
        self.worker.parts = Some(parts.into());
        self
    }

    /// Sets the servers that share the work with the worker's server. If a part moves to another server, outcomes of
    /// its tasks are reported there. [`Cluster::work`] does this for you.
    pub fn cluster(mut self, cluster: Cluster) -> WorkerBuilder {
        self.worker.cluster = Some(cluster);
        self
    }

    /// Gives all handlers a value, such as a pool or a service's client, which they get by its type from
    /// [`Context::state`].
    pub fn state<T: Send + Sync + 'static>(mut self, state: T) -> WorkerBuilder {
        if self.states.insert(TypeId::of::<T>(), Arc::new(state)).is_some() {
            self.twice.push(format!("there are two states of type {}", type_name::<T>()));
        }
        self
    }

    /// Registers the handler of an action: a function of the task's input and its [`Context`] that returns the task's
    /// result. Input and result are any types that serde can deserialize and serialize. If the input cannot be
    /// deserialized, the task fails with type `input`, and is not retried. A task without input has `null`, or `{}` if
    /// the type accepts that but not `null`. A [`Failure`], any other error, or a panic makes the task fail, and so
    /// does a result that cannot be written as JSON (serde_json writes a float that is not finite as null). To accept
    /// any input, use [`Value`](serde_json::Value) as its type.
    pub fn handler<I, R, F, Fut>(self, action: impl Into<String>, handler: F) -> WorkerBuilder
    where
        I: DeserializeOwned + Send + 'static,
        R: Serialize + 'static,
        F: Fn(I, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Failure>> + Send + 'static,
    {
        self.insert(
            action.into(),
            Arc::new(move |task, context| match read(task.input) {
                Ok(input) => handler(input, context).map(|handled| handled.and_then(|result| write(&result))).boxed(),
                Err(failure) => futures::future::ready(Err(failure)).boxed(),
            }),
        )
    }

    /// Registers a handler that takes the whole task as it was claimed and returns JSON. Meant for one function that
    /// serves several actions, or that deserializes its input itself.
    pub fn task_handler<F, Fut>(self, action: impl Into<String>, handler: F) -> WorkerBuilder
    where
        F: Fn(ClaimedTask, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Handled> + Send + 'static,
    {
        self.insert(action.into(), Arc::new(move |task, context| handler(task, context).boxed()))
    }

    fn insert(mut self, action: String, handler: Handler) -> WorkerBuilder {
        if self.worker.handlers.contains_key(&action) {
            self.twice.push(format!("there are two handlers for {action}"));
        }
        self.worker.handlers.insert(action, handler);
        self
    }

    /// Builds the worker, unless the builder's settings are invalid.
    pub fn build(mut self) -> Result<Worker, BuildError> {
        let mut problems = std::mem::take(&mut self.twice);
        let worker = &self.worker;
        let mut require = |holds: bool, problem: &str| problems.extend((!holds).then(|| problem.to_owned()));
        require(!worker.name.is_empty() && worker.name.len() <= 200, "name must have 1 to 200 bytes");
        require(worker.concurrency > 0, "concurrency must be at least 1");
        require((1..=10_000).contains(&worker.batch_size), "batch_size must be 1 to 10000");
        require(!worker.lease.is_zero() && worker.lease <= MAX_LEASE, "lease must be more than 0 and at most 30 days");
        require(worker.poll_interval >= Duration::from_millis(1), "poll_interval must be at least a millisecond");
        require(!worker.handlers.is_empty(), "there is no handler: add one with handler()");
        require(worker.handlers.len() <= 1000, "there are more than 1000 handlers");
        let parts = worker.parts.iter().flatten();
        require(parts.clone().all(|part| (0..1024).contains(part)), "parts must be 0 to 1023");
        require(worker.parts.as_ref().is_none_or(|parts| !parts.is_empty()), "parts must not be empty");
        for (action, most) in &worker.bounds {
            require(*most > 0, &format!("action_concurrency of {action} must be at least 1"));
            let is_handled = worker.handlers.contains_key(action);
            require(is_handled, &format!("action_concurrency is set for {action}, which has no handler"));
        }
        if !problems.is_empty() {
            return Err(BuildError { problems });
        }
        self.worker.states = Arc::new(self.states);
        Ok(self.worker)
    }
}

/// Reads the input of a task.
fn read<I: DeserializeOwned>(input: Option<Value>) -> Result<I, Failure> {
    let read = match input {
        Some(input) => serde_path_to_error::deserialize(input),
        None => I::deserialize(Value::Null).or_else(|_| serde_path_to_error::deserialize(Value::Object(Map::new()))),
    };
    read.map_err(|error| Failure::new("input", format!("the input does not fit: {error}")).do_not_retry())
}

/// Writes the result of a task.
fn write(result: &impl Serialize) -> Handled {
    let failure =
        |error| Failure::new("result", format!("the result cannot be written as JSON: {error}")).do_not_retry();
    serde_json::to_value(result).map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Input {
        amount: Option<f64>,
    }

    #[test]
    fn input_is_read_as_the_type_of_the_handler() {
        assert_eq!(read::<Input>(Some(json!({"amount": 1.5, "more": 1}))), Ok(Input { amount: Some(1.5) }));
        assert_eq!(read::<Input>(None), Ok(Input { amount: None }));
        assert_eq!(read::<()>(None), Ok(()));
        assert_eq!(read::<Value>(None), Ok(Value::Null));
        let failure = read::<Input>(Some(json!({"amount": "much"}))).unwrap_err();
        assert!(
            failure.to_string().starts_with("input: the input does not fit: amount: invalid type: string"),
            "{failure}"
        );
    }

    #[test]
    fn a_result_without_a_form_in_json_is_a_failure() {
        let by_pair: HashMap<(i32, i32), i32> = [((1, 2), 3)].into();
        assert!(write(&by_pair).unwrap_err().to_string().starts_with("result: "));
        assert_eq!(write(&Some(1)), Ok(json!(1)));
    }

    fn builder() -> WorkerBuilder {
        let pool = sqlx::postgres::PgPoolOptions::new().connect_lazy("postgres://localhost").unwrap();
        Worker::builder(pool).handler("demo.a", |_: Value, _| async { Ok(()) })
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused_all_at_once() {
        assert!(builder().build().is_ok());
        let error = builder()
            .name("x".repeat(201))
            .concurrency(0)
            .action_concurrency("demo.b", 0)
            .batch_size(10_001)
            .lease(Duration::ZERO)
            .poll_interval(Duration::ZERO)
            .parts([1024])
            .state(1)
            .state(2)
            .handler("demo.a", |_: Value, _| async { Ok(()) })
            .build()
            .err()
            .unwrap();
        let expected = [
            "there are two states of type i32",
            "there are two handlers for demo.a",
            "name must have 1 to 200 bytes",
            "concurrency must be at least 1",
            "batch_size must be 1 to 10000",
            "lease must be more than 0 and at most 30 days",
            "poll_interval must be at least a millisecond",
            "parts must be 0 to 1023",
            "action_concurrency of demo.b must be at least 1",
            "action_concurrency is set for demo.b, which has no handler",
        ];
        assert_eq!(error.problems, expected);
        assert_eq!(error.to_string(), expected.join("; "));
        let pool = sqlx::postgres::PgPoolOptions::new().connect_lazy("postgres://localhost").unwrap();
        assert_eq!(
            Worker::builder(pool).build().err().unwrap().problems,
            ["there is no handler: add one with handler()"]
        );
    }
}
