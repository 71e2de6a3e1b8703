//! How a worker processes tasks: it runs them, reports them, and shares them with others.

use crate::fixture::*;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{ClaimInput, Engine, Error, GraphFormat, Outcome, ReportedState, StartInput};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Barrier;

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
            Engine::start(&db.pool, input).await.unwrap().unwrap()
        };
        let execution = start(20, "a").await;
        assert_eq!(start(20, "a").await, execution, "the same key is the same execution");
        let worker = worker(db, "w")
            .task_handler("ci.first", |task, _| async move { Ok(json!({"sum": n(&task.input) + 1})) })
            .task_handler("ci.second", |task, _| async move { Ok(json!({"sum": n(&task.input) * 2})) });
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
        // One session, because another one could run before a refused call has released its locks.
        let mut session = db.pool.acquire().await.unwrap();
        let ask = ClaimInput { worker: "w".into(), max_tasks: 3, ..Default::default() };
        let claimed = Engine::claim(&mut *session, &ask).await.unwrap();
        let [a, b, c] = &claimed[..] else { panic!("{claimed:?}") };
        let sum = json!({"sum": 1});
        let state = Engine::complete(&mut *session, a.task, a.lease_token, Some(&sum)).await.unwrap();
        assert_eq!(state, ReportedState::Ended(ExecutionStatus::Completed));
        let failed = Outcome::failed(b.task, b.lease_token, json!({"type": "x"}));
        assert_eq!(Engine::fail(&mut *session, &failed).await.unwrap(), ReportedState::Ended(ExecutionStatus::Failed));
        let stale = Engine::complete(&mut *session, c.task, c.lease_token + 1, None).await.unwrap_err();
        assert!(matches!(&stale, Error::StaleLease(refusal) if refusal.code.as_deref() == Some("WF615")), "{stale}");
        let outcomes = [
            Outcome::completed(c.task, c.lease_token + 1, sum.clone()),
            Outcome::completed(c.task + 1000, c.lease_token, sum.clone()),
            Outcome::completed(c.task, c.lease_token, sum.clone()),
        ];
        let (answers, next) = Engine::finish_and_claim(&mut *session, &outcomes, &ask).await.unwrap();
        let codes: Vec<_> = answers.iter().map(|a| a.state.as_ref().map_err(|r| r.code.as_str())).collect();
        assert_eq!(codes, [Err("WF615"), Err("WF616"), Ok(&ReportedState::Ended(ExecutionStatus::Completed))]);
        assert_eq!(next.iter().map(|task| task.task_name.as_str()).collect::<Vec<_>>(), ["two", "two"]);
        let again = Engine::finish(&mut *session, &outcomes[2..]).await.unwrap();
        assert_eq!(again, answers[2..], "a repeated report is answered as the first time");
        let refused = Engine::define(&mut *session, "ref: 1").await.unwrap_err();
        assert!(refused.code().is_some() && matches!(refused, Error::Validation(_)), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn two_workers_share_the_work_and_do_nothing_twice() {
    with_database(async |db| {
        define(db, TWO_STEPS).await;
        db.run("CREATE TABLE work_done (task bigint, worker text)").await;
        let executions = start(db, "ci.chain", 60).await;
        // The first one waits for the other, so that both have work.
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
                let worker = worker(db, name).concurrency(3).task_handler("ci.first", handler.clone());
                Running::new(worker.task_handler("ci.second", handler))
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
