//! Waking workers where a queue is empty no more.

use crate::fixture::*;
use pg_workflow_tests::{Database, with_database};
use serde_json::json;
use sqlx::postgres::PgListener;
use std::time::Duration;

const TWO: &str = "tasks:
  - {name: a, action: demo.a, on_success: [b, c]}
  - {name: b, action: demo.b, retry: {count: 1}}
  - {name: c, action: demo.c, delay: 10}
";

/// What has been told since it was last asked. A mark of our own comes last.
async fn told(db: &Database, listener: &mut PgListener) -> Vec<String> {
    db.run("NOTIFY pg_workflow, 'mark'").await;
    let mut told = Vec::new();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(60), listener.recv()).await.unwrap().unwrap();
        match next.payload() {
            "mark" => return told,
            other => told.push(other.to_owned()),
        }
    }
}

#[tokio::test]
async fn a_queue_that_is_empty_no_more_is_told_once_and_only_where_that_is_asked_for() {
    with_database(async |db| {
        let mut listener = PgListener::connect_with(&db.pool).await.unwrap();
        listener.listen("pg_workflow").await.unwrap();
        let mut session = Session::new(db).await;
        session.define(TWO).await;
        session.start().await;
        assert_eq!(told(db, &mut listener).await, [""; 0], "off");
        let [a] = session.claim_named(["a"]).await;
        session.run("SET pg_workflow.notify = on").await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[50]))").await;
        assert_eq!(told(db, &mut listener).await, ["0 demo.a"]);
        // There is something in this queue, but not in that of another part.
        session.start().await;
        session.run("SELECT workflow_start('demo.w', part => 3)").await;
        assert_eq!(told(db, &mut listener).await, ["3 demo.a"]);
        // What does not commit is not told.
        session.run("BEGIN").await;
        session.complete(&a, json!(null)).await;
        session.run("ROLLBACK").await;
        assert_eq!(told(db, &mut listener).await, [""; 0]);
        session.complete(&a, json!(null)).await;
        assert_eq!(told(db, &mut listener).await, ["0 demo.b"]);
        // What is handed over never was in the queue; what fails and runs again is.
        let b = session.rows::<Task>("SELECT * FROM workflow_claim('w1', 1, '{demo.b}')").await.remove(0);
        session.fail(&b, json!(null)).await;
        assert_eq!(told(db, &mut listener).await, ["0 demo.b"]);
        let b = session.rows::<Task>("SELECT * FROM workflow_claim('w1', 1, '{demo.b}')").await.remove(0);
        // So is what time makes due, and what nobody holds any more.
        session.at(30.0).await;
        session.run("SELECT workflow_tick()").await;
        let mut ticked = told(db, &mut listener).await;
        ticked.sort();
        assert_eq!(ticked, ["0 demo.b", "0 demo.c"]);
        assert_eq!(b.attempt, 2);
        session.run("SELECT workflow_tick()").await;
        assert_eq!(told(db, &mut listener).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_pause_that_ends_is_told() {
    with_database(async |db| {
        let mut listener = PgListener::connect_with(&db.pool).await.unwrap();
        listener.listen("pg_workflow").await.unwrap();
        let mut session = Session::new(db).await;
        session.run("SET pg_workflow.notify = on").await;
        let id = session.begin(TWO).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        assert_eq!(told(db, &mut listener).await, ["0 demo.a"]);
        session.run(format!("SELECT workflow_resume({id})")).await;
        assert_eq!(told(db, &mut listener).await, ["0 demo.a"]);
    })
    .await;
}
