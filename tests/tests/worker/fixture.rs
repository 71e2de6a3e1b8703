//! Helpers of the tests: workflows, workers that run alongside a test, and waiting for conditions.

use pg_workflow_client::model::WorkflowTaskExecution;
use pg_workflow_client::repository::WorkflowTaskExecutionRepository;
use pg_workflow_client::worker::{CancellationToken, Worker, WorkerBuilder};
use pg_workflow_client::{Engine, Page, RegisterActionInput, Result, StartManyInput, WorkflowStatus};
use pg_workflow_tests::Database;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Two tasks, the second of which gets the result of the first.
pub const TWO_STEPS: &str = "
ref: ci.chain
label: Two steps
version: 1.0.0
parameters: {type: object, properties: {n: {type: integer, default: 1}}}
vars: [{sum: 0}]
tasks:
  - name: one
    action: ci.first
    input: {n: '{{ parameters.n }}'}
    next: [{when: '{{ succeeded() }}', publish: [{sum: '{{ result().sum }}'}], do: two}]
  - {name: two, action: ci.second, input: {n: '{{ vars.sum }}'}, publish: [{sum: '{{ result().sum }}'}]}
output_map: [{sum: '{{ vars.sum }}'}]
";

/// One task, with the retries that a test needs, by default with a long delay.
pub const ONE_STEP: &str = "
ref: ci.single
label: One step
version: 1.0.0
tasks:
  - {name: only, action: ci.first, retry: {count: 3, delay: 100000}}
";

pub async fn define(db: &Database, source: &str) {
    for action in ["ci.first", "ci.second"] {
        let input = RegisterActionInput::new(action);
        assert_eq!(Engine::register_action(&db.pool, input).await.unwrap().r#ref, action);
    }
    assert_eq!(Engine::validate(&db.pool, source).await.unwrap(), []);
    Engine::define(&db.pool, source).await.unwrap();
}

pub async fn start(db: &Database, workflow: &str, count: i64) -> Vec<i64> {
    let parameters = (0..count).map(|_| json!({})).collect();
    let input = StartManyInput { r#ref: workflow.into(), parameters, ..Default::default() };
    Engine::start_many(&db.pool, input).await.unwrap().into_iter().flatten().collect()
}

/// Returns a pool for a worker, distinguished from the test's own by its application name.
pub fn pool(db: &Database, name: &str) -> PgPool {
    PgPoolOptions::new().max_connections(4).connect_lazy_with(db.options().application_name(name))
}

pub fn worker(db: &Database, name: &str) -> WorkerBuilder {
    Worker::builder(pool(db, name)).name(name).poll_interval(Duration::from_millis(10))
}

/// A worker that runs alongside the test.
pub struct Running {
    pub shutdown: CancellationToken,
    run: JoinHandle<Result<()>>,
}

impl Running {
    pub fn new(worker: WorkerBuilder) -> Running {
        let (worker, shutdown) = (worker.build().unwrap(), CancellationToken::new());
        let token = shutdown.clone();
        Running { shutdown, run: tokio::spawn(async move { worker.run(token).await }) }
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        timeout(Duration::from_secs(20), self.run).await.expect("it stops").unwrap().unwrap();
    }
}

/// Repeats a query until it has an answer, for a limited time.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), asked).await.unwrap_or_else(|_| panic!("{what} does not happen"))
}

pub async fn ended(db: &Database, execution: i64) -> WorkflowStatus {
    until("the end", async || Engine::status(&db.pool, execution).await.ok().filter(|status| status.ended)).await
}

pub async fn tasks(db: &Database, execution: i64) -> Vec<WorkflowTaskExecution> {
    let run = Engine::status(&db.pool, execution).await.unwrap().execution;
    WorkflowTaskExecutionRepository::find_by_workflow_execution(&db.pool, run, Page::default()).await.unwrap()
}
