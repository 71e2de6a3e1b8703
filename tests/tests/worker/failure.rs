//! Handlers that fail, panic, or return values that cannot be stored.

use crate::fixture::*;
use chrono::Utc;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::worker::Failure;
use pg_workflow_tests::with_database;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Barrier;

#[tokio::test]
async fn a_panic_is_a_failure_and_the_worker_continues() {
    with_database(async |db| {
        define(db, TWO_STEPS).await;
        let worker = worker(db, "w")
            .task_handler("ci.first", |_, _| async move { panic!("out of luck") })
            .task_handler("ci.second", |_, _| async { Ok(json!({})) });
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
        let worker = worker(db, "w").task_handler("ci.first", |task, _| async move {
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
        // The second failure has no advice, so it waits as the task's rule says, for days.
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
        let worker = worker(db, "w").task_handler("ci.first", move |_, _| {
            let (all, count) = (all.clone(), count.clone());
            async move {
                let number = count.fetch_add(1, Ordering::SeqCst);
                // All together, so that bad results are reported with good ones.
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
async fn a_failure_can_name_the_time_of_the_next_retry() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let [execution] = start(db, "ci.single", 1).await[..] else { panic!() };
        let time = Utc::now() + Duration::from_secs(3600);
        let worker = worker(db, "w").task_handler("ci.first", move |task, _| async move {
            match task.attempt {
                1 => Err(Failure::new("maintenance", "come back in an hour").retry_at(time)),
                _ => {
                    Err(Failure::new("late", "the time has passed already").retry_at(time - Duration::from_secs(7200)))
                }
            }
        });
        let worker = Running::new(worker);
        let next = until("the failure", async || tasks(db, execution).await.remove(0).next_retry_at).await;
        let difference = (next - time).num_milliseconds().abs();
        assert!(difference < 60_000, "{difference} ms");
        db.run("UPDATE workflow.workflow_task_execution SET due_at = now(), next_retry_at = now()").await;
        // Immediately, each time, until the retries are used up.
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Failed);
        let task = tasks(db, execution).await.remove(0);
        assert_eq!((task.attempt, task.retry_count), (4, 3));
        worker.stop().await;
    })
    .await;
}
