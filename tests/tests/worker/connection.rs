//! Connections that are lost.

use crate::fixture::*;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_tests::with_database;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test]
async fn a_report_survives_the_connection_it_was_sent_on() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let [execution] = start(db, "ci.single", 1).await[..] else { panic!() };
        // Another session locks the execution and keeps others from recording pending reports, so that the report has
        // to wait, and its connection can be killed in the meantime.
        let mut holder = db.pool.begin().await.unwrap();
        sqlx::query("SELECT 1 FROM workflow.workflow_execution FOR UPDATE").execute(&mut *holder).await.unwrap();
        sqlx::query("LOCK TABLE workflow.pending_report IN EXCLUSIVE MODE").execute(&mut *holder).await.unwrap();
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let worker = worker(db, "shot").task_handler("ci.first", move |_, _| {
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
        // Tasks of a claim whose answer was lost become available when the lease expires.
        let worker = worker(db, "shot").lease(Duration::from_secs(2)).concurrency(4);
        let worker = Running::new(worker.task_handler("ci.first", handler).task_handler("ci.second", handler));
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
