//! Notifications that there is work.

use crate::fixture::*;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{Engine, StartInput};
use pg_workflow_tests::with_database;
use serde_json::json;
use sqlx::Executor;
use std::time::Duration;

#[tokio::test]
async fn a_worker_that_listens_need_not_look() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let mut session = db.connect().await;
        session.execute("SELECT workflow_tick()").await.unwrap();
        let mut start = async || {
            let input = StartInput { r#ref: "ci.single".into(), ..Default::default() };
            Engine::start(&mut session, input).await.unwrap().unwrap()
        };
        // It polls once, and then not again for as long as the test may take.
        let worker = worker(db, "ears").poll_interval(Duration::from_secs(3600));
        let worker = Running::new(worker.task_handler("ci.first", |_, _| async { Ok(json!({})) }));
        until("a listener that has nothing to do", async || {
            let listens: bool = sqlx::query_scalar(
                "SELECT count(*) FILTER (WHERE query LIKE '%announce_idle%') = 1 AND count(*) FILTER (WHERE query LIKE '%workflow_tick%') > 0
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
        // A lost connection is replaced.
        let shot = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = 'ears' AND query LIKE '%announce_idle%'";
        sqlx::query(shot).execute(&db.pool).await.unwrap();
        let execution = start().await;
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        worker.stop().await;
    })
    .await;
}
