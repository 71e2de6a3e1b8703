//! Heartbeats: the leases that they extend, and what handlers learn from them.

use crate::fixture::*;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{ClaimInput, Engine};
use pg_workflow_tests::with_database;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;

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
            Running::new(worker(db, name).concurrency(1).lease(lease).task_handler("ci.first", outlives.clone()))
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
async fn progress_that_cannot_be_stored_costs_no_lease() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let (pool, count) = (db.pool.clone(), Arc::new(AtomicU32::new(0)));
        let worker = worker(db, "w").concurrency(2).lease(Duration::from_secs(1)).task_handler(
            "ci.first",
            move |task, context| {
                let (pool, count) = (pool.clone(), count.clone());
                async move {
                    // jsonb does not accept this character.
                    let (progress, over) = match count.fetch_add(1, Ordering::SeqCst) {
                        0 => (json!("\0"), "SELECT clock_timestamp() > $1"),
                        _ => (
                            json!("half"),
                            "SELECT clock_timestamp() > $1 AND EXISTS \
                             (SELECT FROM workflow.workflow_task_execution WHERE progress = '\"half\"')",
                        ),
                    };
                    context.set_progress(progress);
                    while !sqlx::query_scalar::<_, bool>(over).bind(task.lease_until).fetch_one(&pool).await? {
                        sleep(Duration::from_millis(20)).await;
                    }
                    Ok(json!(task.attempt))
                }
            },
        );
        let worker = Running::new(worker);
        for execution in start(db, "ci.single", 2).await {
            assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
            assert_eq!(tasks(db, execution).await[0].result, Some(json!(1)), "its lease was never lost");
        }
        worker.stop().await;
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
        let worker = worker(db, "slow").concurrency(1).lease(Duration::from_secs(3)).task_handler(
            "ci.first",
            move |_, context| {
                signal.notify_one();
                async move {
                    context.stopped().await;
                    Ok(json!("too late"))
                }
            },
        );
        let worker = Running::new(worker);
        begun.notified().await;
        // Its lease expires early, and a faster worker gets the task.
        db.run("UPDATE workflow.lease SET until = created, expires_from = created").await;
        let ask = ClaimInput { worker: "quick".into(), ..Default::default() };
        let task = Engine::claim(&db.pool, &ask).await.unwrap().remove(0);
        assert_eq!(task.attempt, 2);
        // The worker learns of it at its next heartbeat, and stops without waiting for the grace period to end.
        worker.shutdown.cancel();
        worker.stop().await;
        Engine::complete(&db.pool, task.task, task.lease_token, Some(&json!("in time"))).await.unwrap();
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        assert_eq!(tasks(db, execution).await[0].result, Some(json!("in time")));
    })
    .await;
}

#[tokio::test]
async fn a_cancel_reaches_the_handler_that_runs() {
    with_database(async |db| {
        define(db, TWO_STEPS).await;
        let [cancelled, other] = start(db, "ci.chain", 2).await[..] else { panic!() };
        let begun = Arc::new(Semaphore::new(0));
        let (signal, stopped) = (begun.clone(), Arc::new(AtomicU32::new(0)));
        let count = stopped.clone();
        let worker =
            worker(db, "w").lease(Duration::from_millis(600)).task_handler("ci.first", move |task, context| {
                let (signal, count) = (signal.clone(), count.clone());
                async move {
                    signal.add_permits(1);
                    // A handler can pass the token on to operations that it waits for.
                    context.token().clone().cancelled_owned().await;
                    count.fetch_add(1, Ordering::SeqCst);
                    Ok(json!({"sum": task.attempt}))
                }
            });
        let worker = Running::new(worker);
        begun.acquire_many(2).await.unwrap().forget();
        db.run(format!("SELECT workflow_cancel({cancelled}, 'no use')")).await;
        let status = ended(db, cancelled).await;
        assert_eq!(
            (status.status, status.error_message.as_deref()),
            (ExecutionStatus::Cancelled, Some("cancelled: no use"))
        );
        assert_eq!(stopped.load(Ordering::SeqCst), 1, "only the handler of what was cancelled was told");
        assert_eq!(tasks(db, cancelled).await[0].status, ExecutionStatus::Completed, "it may still report");
        db.run(format!("SELECT workflow_cancel({other})")).await;
        ended(db, other).await;
        worker.stop().await;
    })
    .await;
}
