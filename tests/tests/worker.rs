//! The client's worker against a real server: work, failures, lost connections, lost leases, and the end of a worker.

use pg_workflow_client::model::{ExecutionStatus, WorkflowTaskExecution};
use pg_workflow_client::repository::WorkflowTaskExecutionRepository;
use pg_workflow_client::worker::{CancellationToken, Failure, Worker, WorkerBuilder};
use pg_workflow_client::{
    ClaimInput, Engine, Error, GraphFormat, Outcome, Page, RegisterActionInput, ReportedState, Result, StartInput,
    StartManyInput, WorkflowStatus,
};
use pg_workflow_tests::{Database, with_database};
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, PgPool};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Barrier, Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Two tasks, the second fed by the first.
const TWO_STEPS: &str = "
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

/// One task, with as many retries as the test likes, by default far away.
const ONE_STEP: &str = "
ref: ci.single
label: One step
version: 1.0.0
tasks:
  - {name: only, action: ci.first, retry: {count: 3, delay: 100000}}
";

async fn define(db: &Database, source: &str) {
    for action in ["ci.first", "ci.second"] {
        let input = RegisterActionInput { r#ref: action.into(), ..Default::default() };
        assert_eq!(Engine::register_action(&db.pool, input).await.unwrap().r#ref, action);
    }
    assert_eq!(Engine::validate(&db.pool, source).await.unwrap(), []);
    Engine::define(&db.pool, source).await.unwrap();
}

async fn start(db: &Database, workflow: &str, count: i64) -> Vec<i64> {
    let parameters = (0..count).map(|_| json!({})).collect();
    let input = StartManyInput { r#ref: workflow.into(), parameters, ..Default::default() };
    Engine::start_many(&db.pool, input).await.unwrap()
}

/// A pool for a worker, told from the test's own by its application name.
fn pool(db: &Database, name: &str) -> PgPool {
    PgPoolOptions::new().max_connections(4).connect_lazy_with(db.options().application_name(name))
}

fn worker(db: &Database, name: &str) -> WorkerBuilder {
    Worker::builder(pool(db, name)).name(name).poll_interval(Duration::from_millis(10))
}

/// A worker that runs beside the test.
struct Running {
    shutdown: CancellationToken,
    run: JoinHandle<Result<()>>,
}

impl Running {
    fn new(worker: WorkerBuilder) -> Running {
        let (worker, shutdown) = (worker.build(), CancellationToken::new());
        let token = shutdown.clone();
        Running { shutdown, run: tokio::spawn(async move { worker.run(token).await }) }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(Duration::from_secs(20), self.run).await.expect("it stops").unwrap().unwrap();
    }
}

/// Asks until the answer is there. Not for ever.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
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

async fn ended(db: &Database, execution: i64) -> WorkflowStatus {
    until("the end", async || Engine::status(&db.pool, execution).await.ok().filter(|status| status.ended)).await
}

async fn tasks(db: &Database, execution: i64) -> Vec<WorkflowTaskExecution> {
    let run = Engine::status(&db.pool, execution).await.unwrap().workflow_execution;
    WorkflowTaskExecutionRepository::find_by_workflow_execution(&db.pool, run, Page::default()).await.unwrap()
}

fn n(input: &Option<Value>) -> i64 {
    input.as_ref().unwrap()["n"].as_i64().unwrap()
}

#[tokio::test]
async fn a_worker_runs_a_workflow_to_its_end() {
    with_database(async |db| {
        define(db, TWO_STEPS).await;
        let start = async |n: i64, key: &str| {
            let input = StartInput {
                r#ref: "ci.chain".into(),
                parameters: json!({"n": n}),
                idempotency_key: Some(key.into()),
                ..Default::default()
            };
            Engine::start(&db.pool, input).await.unwrap()
        };
        let execution = start(20, "a").await;
        assert_eq!(start(20, "a").await, execution, "the same key is the same execution");
        let worker = worker(db, "w")
            .handler("ci.first", |task, _| async move { Ok(json!({"sum": n(&task.input) + 1})) })
            .handler("ci.second", |task, _| async move { Ok(json!({"sum": n(&task.input) * 2})) });
        let worker = Running::new(worker);
        let status = ended(db, execution).await;
        assert_eq!(status.status, ExecutionStatus::Completed);
        assert_eq!(status.output, Some(json!({"sum": 42})));
        assert_eq!((status.current_tasks.len(), status.completed_tasks), (0, vec!["one".to_owned(), "two".to_owned()]));
        let graph = Engine::execution_graph(&db.pool, execution, GraphFormat::Mermaid).await.unwrap();
        assert!(graph.contains("completed"), "{graph}");
        assert!(Engine::graph(&db.pool, "ci.chain", GraphFormat::Dot).await.unwrap().starts_with("digraph"));
        assert_eq!(Engine::check(&db.pool, 10).await.unwrap(), []);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_the_engine_says_to_reports_by_hand() {
    with_database(async |db| {
        define(db, TWO_STEPS).await;
        start(db, "ci.chain", 3).await;
        let ask = ClaimInput { worker: "w".into(), max_tasks: 3, ..Default::default() };
        let claimed = Engine::claim(&db.pool, &ask).await.unwrap();
        let [a, b, c] = &claimed[..] else { panic!("{claimed:?}") };
        let sum = json!({"sum": 1});
        let state = Engine::complete(&db.pool, a.task, a.lease_token, Some(&sum)).await.unwrap();
        assert_eq!(state, ReportedState::Ended(ExecutionStatus::Completed));
        let failed = Outcome::failed(b.task, b.lease_token, json!({"type": "x"}));
        assert_eq!(Engine::fail(&db.pool, &failed).await.unwrap(), ReportedState::Ended(ExecutionStatus::Failed));
        let stale = Engine::complete(&db.pool, c.task, c.lease_token + 1, None).await.unwrap_err();
        assert!(matches!(&stale, Error::StaleLease(refusal) if refusal.code.as_deref() == Some("WF615")), "{stale}");
        let outcomes = [
            Outcome::completed(c.task, c.lease_token + 1, sum.clone()),
            Outcome::completed(c.task + 1000, c.lease_token, sum.clone()),
            Outcome::completed(c.task, c.lease_token, sum.clone()),
        ];
        let (answers, next) = Engine::finish_and_claim(&db.pool, &outcomes, &ask).await.unwrap();
        let codes: Vec<_> = answers.iter().map(|a| a.state.as_ref().map_err(|r| r.code.as_str())).collect();
        assert_eq!(codes, [Err("WF615"), Err("WF616"), Ok(&ReportedState::Ended(ExecutionStatus::Completed))]);
        assert_eq!(next.iter().map(|task| task.task_name.as_str()).collect::<Vec<_>>(), ["two", "two"]);
        let again = Engine::finish(&db.pool, &outcomes[2..]).await.unwrap();
        assert_eq!(again, answers[2..], "a repeated report is answered as the first time");
        let refused = Engine::define(&db.pool, "ref: 1").await.unwrap_err();
        assert!(refused.code().is_some() && matches!(refused, Error::Validation(_)), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_panic_is_a_failure_and_the_worker_goes_on() {
    with_database(async |db| {
        define(db, TWO_STEPS).await;
        let worker = worker(db, "w")
            .handler("ci.first", |_, _| async move { panic!("out of luck") })
            .handler("ci.second", |_, _| async { Ok(json!({})) });
        let worker = Running::new(worker);
        for execution in start(db, "ci.chain", 2).await {
            assert_eq!(ended(db, execution).await.status, ExecutionStatus::Failed);
            let error = tasks(db, execution).await[0].error.clone();
            assert_eq!(error, Some(json!({"type": "panic", "message": "out of luck"})));
        }
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_failure_says_whether_and_when_it_is_tried_again() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let [execution] = start(db, "ci.single", 1).await[..] else { panic!() };
        let worker = worker(db, "w").handler("ci.first", |task, _| async move {
            match task.attempt {
                1 => Err(Failure::new("flaky", "at first").retry_in(Duration::from_millis(1))),
                2 => {
                    "x".parse::<i32>()?;
                    Ok(json!({}))
                }
                _ => Err(Failure::new("broken", "for good").with("part", 7).do_not_retry()),
            }
        });
        let worker = Running::new(worker);
        // The second failure has no hint: it waits as the task's rule says, for days.
        let waiting = until("the second failure", async || {
            let task = tasks(db, execution).await.remove(0);
            (task.attempt == 2 && task.next_retry_at.is_some()).then_some(task)
        })
        .await;
        let message = "invalid digit found in string";
        assert_eq!(waiting.error, Some(json!({"type": "ParseIntError", "message": message})));
        db.run("UPDATE workflow.workflow_task_execution SET due_at = now(), next_retry_at = now()").await;
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Failed);
        let task = tasks(db, execution).await.remove(0);
        assert_eq!((task.attempt, task.retry_count), (3, 2));
        assert_eq!(task.error, Some(json!({"type": "broken", "message": "for good", "part": 7})));
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_result_that_cannot_be_stored_fails_its_task_and_no_other() {
    with_database(async |db| {
        db.run(format!("ALTER DATABASE {} SET pg_workflow.max_result_bytes = 2000", db.name)).await;
        define(db, ONE_STEP.replace("retry: {count: 3, delay: 100000}", "priority: 0").as_str()).await;
        let executions = start(db, "ci.single", 6).await;
        let (all, count) = (Arc::new(Barrier::new(6)), Arc::new(AtomicU32::new(0)));
        let worker = worker(db, "w").handler("ci.first", move |_, _| {
            let (all, count) = (all.clone(), count.clone());
            async move {
                let number = count.fetch_add(1, Ordering::SeqCst);
                // All at once, so that the bad ones are reported together with good ones.
                all.wait().await;
                Ok(match number {
                    0 => json!("a \0 is not for jsonb"),
                    1 => (0..1000).collect(),
                    _ => json!("good"),
                })
            }
        });
        let worker = Running::new(worker);
        let mut results = Vec::new();
        for execution in executions {
            let status = ended(db, execution).await.status;
            let task = tasks(db, execution).await.remove(0);
            let error = task.error.unwrap_or_default();
            results.push((status, error["type"].to_string(), error["code"].to_string()));
        }
        results.sort_by_key(|(_, _, code)| code.clone());
        let failed = |code: &str| (ExecutionStatus::Failed, "\"report\"".to_owned(), code.to_owned());
        assert_eq!(results[..2], [failed("\"22P05\""), failed("\"WF614\"")]);
        let good = (ExecutionStatus::Completed, "null".to_owned(), "null".to_owned());
        assert_eq!(results[2..], vec![good; 4]);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_report_survives_the_connection_it_was_sent_on() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let [execution] = start(db, "ci.single", 1).await[..] else { panic!() };
        // Somebody holds the execution, so that the report has to wait, and its connection can be shot meanwhile.
        let mut holder = db.pool.begin().await.unwrap();
        sqlx::query("SELECT 1 FROM workflow.workflow_execution FOR UPDATE").execute(&mut *holder).await.unwrap();
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let worker = worker(db, "shot").handler("ci.first", move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Ok(json!("precious")) }
        });
        let worker = Running::new(worker);
        for _ in 0..3 {
            until("a waiting report", async || {
                sqlx::query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE application_name = 'shot' AND datname = current_database() AND wait_event_type = 'Lock' \
                       AND query LIKE '%workflow_finish%'",
                )
                .fetch_optional(&db.pool)
                .await
                .unwrap()
            })
            .await;
        }
        holder.rollback().await.unwrap();
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        let task = tasks(db, execution).await.remove(0);
        assert_eq!((task.result, task.attempt), (Some(json!("precious")), 1));
        assert_eq!(calls.load(Ordering::SeqCst), 1, "the work was done once");
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn connections_that_are_shot_all_the_time_lose_nothing() {
    with_database(async |db| {
        define(db, TWO_STEPS).await;
        let executions = start(db, "ci.chain", 40).await;
        let handler = |_, _| async {
            sleep(Duration::from_millis(5)).await;
            Ok(json!({"sum": 1}))
        };
        // A claim whose answer was lost is made up for when its lease ends.
        let worker = worker(db, "shot").lease(Duration::from_secs(2)).concurrency(4);
        let worker = Running::new(worker.handler("ci.first", handler).handler("ci.second", handler));
        let shooting = async {
            for _ in 0..15 {
                sqlx::query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE application_name = 'shot' AND datname = current_database()",
                )
                .execute(&db.pool)
                .await
                .unwrap();
                sleep(Duration::from_millis(40)).await;
            }
        };
        shooting.await;
        for execution in executions {
            assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        }
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_asked_to_stop_finishes_what_it_has_and_takes_no_more() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let executions = start(db, "ci.single", 5).await;
        let (begun, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let (signal, opened) = (begun.clone(), gate.clone());
        let worker = worker(db, "w").concurrency(2).handler("ci.first", move |_, _| {
            let (signal, opened) = (signal.clone(), opened.clone());
            async move {
                let open = opened.notified();
                signal.add_permits(1);
                open.await;
                Ok(json!("done"))
            }
        });
        let worker = Running::new(worker);
        begun.acquire_many(2).await.unwrap().forget();
        worker.shutdown.cancel();
        gate.notify_waiters();
        worker.stop().await;
        let mut states = Vec::new();
        for execution in executions {
            states.push(tasks(db, execution).await[0].status);
        }
        use ExecutionStatus::{Completed, Scheduled};
        assert_eq!(states, [Completed, Completed, Scheduled, Scheduled, Scheduled]);
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_outstays_the_grace_is_told_and_given_up() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        start(db, "ci.single", 1).await;
        let begun = Arc::new(Notify::new());
        let signal = begun.clone();
        let worker = worker(db, "w").grace(Duration::from_millis(50)).handler("ci.first", move |_, _| {
            signal.notify_one();
            std::future::pending()
        });
        let worker = Running::new(worker);
        begun.notified().await;
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn two_workers_share_the_work_and_do_nothing_twice() {
    with_database(async |db| {
        define(db, TWO_STEPS).await;
        db.run("CREATE TABLE work_done (task bigint, worker text)").await;
        let executions = start(db, "ci.chain", 60).await;
        // Whoever comes first waits for the other: both have work then.
        let both = Arc::new(Barrier::new(2));
        let workers: Vec<Running> = ["left", "right"]
            .into_iter()
            .map(|name| {
                let (pool, both, met) = (db.pool.clone(), both.clone(), Arc::new(AtomicU32::new(0)));
                let handler = move |task: pg_workflow_client::ClaimedTask, _| {
                    let (pool, both, met) = (pool.clone(), both.clone(), met.clone());
                    async move {
                        if met.fetch_add(1, Ordering::SeqCst) == 0 {
                            both.wait().await;
                        }
                        sqlx::query("INSERT INTO work_done VALUES ($1, $2)")
                            .bind(task.task)
                            .bind(name)
                            .execute(&pool)
                            .await?;
                        Ok(json!({"sum": 1}))
                    }
                };
                let worker = worker(db, name).concurrency(3).handler("ci.first", handler.clone());
                Running::new(worker.handler("ci.second", handler))
            })
            .collect();
        for execution in executions {
            assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        }
        let (rows, tasks, names): (i64, i64, i64) =
            sqlx::query_as("SELECT count(*), count(DISTINCT task), count(DISTINCT worker) FROM work_done")
                .fetch_one(&db.pool)
                .await
                .unwrap();
        assert_eq!((rows, tasks, names), (120, 120, 2));
        for worker in workers {
            worker.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn heartbeats_keep_a_task_that_runs_longer_than_its_lease() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let lease = Duration::from_secs(1);
        let outlives = {
            let pool = db.pool.clone();
            move |task: pg_workflow_client::ClaimedTask, _| {
                let pool = pool.clone();
                async move {
                    let over = "SELECT clock_timestamp() > $1";
                    while !sqlx::query_scalar::<_, bool>(over).bind(task.lease_until).fetch_one(&pool).await? {
                        sleep(Duration::from_millis(20)).await;
                    }
                    Ok(json!(task.attempt))
                }
            }
        };
        let workers = ["one", "other"].map(|name| {
            Running::new(worker(db, name).concurrency(1).lease(lease).handler("ci.first", outlives.clone()))
        });
        for execution in start(db, "ci.single", 2).await {
            assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
            assert_eq!(tasks(db, execution).await[0].result, Some(json!(1)), "nobody took it over");
        }
        for worker in workers {
            worker.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_handler_whose_lease_is_lost_is_told_and_its_result_counts_for_nothing() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let [execution] = start(db, "ci.single", 1).await[..] else { panic!() };
        let begun = Arc::new(Notify::new());
        let signal = begun.clone();
        let worker =
            worker(db, "slow").concurrency(1).lease(Duration::from_secs(3)).handler("ci.first", move |_, context| {
                signal.notify_one();
                async move {
                    context.stopped().await;
                    Ok(json!("too late"))
                }
            });
        let worker = Running::new(worker);
        begun.notified().await;
        // Its lease ends before its time, and somebody quicker has the task.
        db.run("UPDATE workflow.lease SET until = now() - interval '1 second'").await;
        let ask = ClaimInput { worker: "quick".into(), ..Default::default() };
        let task = Engine::claim(&db.pool, &ask).await.unwrap().remove(0);
        assert_eq!(task.attempt, 2);
        // The worker hears of it at its next heartbeat, and stops without waiting for the grace to end.
        worker.shutdown.cancel();
        worker.stop().await;
        Engine::complete(&db.pool, task.task, task.lease_token, Some(&json!("in time"))).await.unwrap();
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        assert_eq!(tasks(db, execution).await[0].result, Some(json!("in time")));
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_may_not_work_says_so_and_ends() {
    with_database(async |db| {
        let role = db.role().await;
        let pool = PgPoolOptions::new().connect_lazy_with(db.options().username(&role));
        let worker = Worker::builder(pool).handler("ci.first", |_, _| async { Ok(json!({})) }).build();
        let end = timeout(Duration::from_secs(20), worker.run(CancellationToken::new())).await.unwrap();
        assert!(matches!(end, Err(Error::Privilege(_))), "{end:?}");
        let worker = self::worker(db, "w").lease(Duration::ZERO).handler("ci.first", |_, _| async { Ok(json!({})) });
        let end = timeout(Duration::from_secs(20), worker.build().run(CancellationToken::new())).await.unwrap();
        assert_eq!(end.unwrap_err().code(), Some("WF613"));
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_listens_need_not_look() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let mut session = db.connect().await;
        session.execute("SELECT workflow_tick(); SET pg_workflow.notify = on").await.unwrap();
        let mut start = async || {
            let input = StartInput { r#ref: "ci.single".into(), ..Default::default() };
            Engine::start(&mut session, input).await.unwrap()
        };
        // It looks once, and then not again for as long as the test may take.
        let worker = worker(db, "ears").poll_interval(Duration::from_secs(3600)).listen(true);
        let worker = Running::new(worker.handler("ci.first", |_, _| async { Ok(json!({})) }));
        until("a listener that has nothing to do", async || {
            let listens: bool = sqlx::query_scalar(
                "SELECT count(*) FILTER (WHERE query LIKE 'LISTEN %') = 1 AND count(*) FILTER (WHERE query LIKE '%workflow_tick%') > 0
                 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ears' AND state = 'idle'",
            )
            .fetch_one(&db.pool)
            .await
            .unwrap();
            listens.then_some(())
        })
        .await;
        for _ in 0..2 {
            let execution = start().await;
            assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        }
        // A connection that is lost is made anew.
        let shot = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = 'ears' AND query LIKE 'LISTEN %'";
        sqlx::query(shot).execute(&db.pool).await.unwrap();
        let execution = start().await;
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        worker.stop().await;
    })
    .await;
}
