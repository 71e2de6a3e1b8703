//! How a worker ends.

use crate::fixture::*;
use pg_workflow_client::Error;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::worker::{CancellationToken, Worker};
use pg_workflow_tests::with_database;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

#[tokio::test]
async fn a_worker_that_is_asked_to_stop_finishes_what_it_has_and_takes_no_more() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let executions = start(db, "ci.single", 5).await;
        let (begun, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let (signal, opened) = (begun.clone(), gate.clone());
        let worker = worker(db, "w").concurrency(2).task_handler("ci.first", move |_, _| {
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
        let worker = worker(db, "w").grace(Duration::from_millis(50)).task_handler("ci.first", move |_, _| {
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
async fn a_worker_that_may_not_work_says_so_and_ends() {
    with_database(async |db| {
        let role = db.role().await;
        let pool = PgPoolOptions::new().connect_lazy_with(db.options().username(&role));
        let worker = Worker::builder(pool).task_handler("ci.first", |_, _| async { Ok(json!({})) }).build().unwrap();
        let end = timeout(Duration::from_secs(20), worker.run(CancellationToken::new())).await.unwrap();
        assert!(matches!(end, Err(Error::Privilege(_))), "{end:?}");
    })
    .await;
}
