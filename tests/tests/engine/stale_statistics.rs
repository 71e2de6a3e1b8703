//! Calls find their rows by keys although the tables were analyzed when they had many pages and hardly any rows.

use crate::fixture::*;
use crate::tick_pages::pages;
use pg_workflow_tests::with_database;
use serde_json::json;

/// Number of executions.
const STARTED: i32 = 10_000;

#[tokio::test]
async fn calls_read_few_pages_although_the_tables_looked_empty_when_analyzed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a, on_success: b}, {name: b, action: demo.b}]\n").await;
        let start =
            format!("SELECT count(*) FROM workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{STARTED}]))");
        session.run(format!("BEGIN; {start}; SELECT count(*) FROM workflow_claim('w1', 1000); ROLLBACK")).await;
        session.run("ANALYZE").await;
        session.run(format!("BEGIN; {start}")).await;
        let size: i64 = session.value("SELECT pg_relation_size('workflow.workflow_task_execution') / 8192").await;
        assert!(size > 200, "{size} pages");
        for round in 0..7 {
            let tasks = session.claim(3).await;
            let mut calls = Vec::new();
            let mut last = pages(&mut session).await;
            for call in ["heartbeat", "complete", "fail", "cancel", "tick"] {
                match call {
                    "heartbeat" => {
                        let (id, lease) = (tasks[0].task, tasks[0].lease_token);
                        session.run(format!("SELECT * FROM workflow_heartbeat(ARRAY[{id}], ARRAY[{lease}])")).await;
                    }
                    "complete" => _ = session.complete(&tasks[0], json!(null)).await,
                    "fail" => _ = session.fail(&tasks[1], json!({"message": "no"})).await,
                    "cancel" => session.run(format!("SELECT workflow_cancel({})", tasks[2].execution)).await,
                    _ => session.run("SELECT workflow_tick()").await,
                }
                let now = pages(&mut session).await;
                calls.push((call, now - last));
                last = now;
            }
            // A plan reads a few more pages when it is made.
            assert!(calls.iter().all(|(_, read)| *read < 500), "round {round}: {calls:?}");
        }
        session.run("ROLLBACK").await;
    })
    .await;
}

#[tokio::test]
async fn ends_of_executions_do_not_read_those_that_wait_although_nothing_was_analyzed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define_as(
                "demo.one_at_a_time",
                "parameters: {properties: {key: {type: integer}}}\nconcurrency: {max: 1, key: \"{{ parameters.key }}\"}\ntasks: [{name: a, action: demo.a}]\n",
            )
            .await;
        session
            .run(format!(
                "BEGIN; SELECT count(*) FROM workflow_start_many('demo.one_at_a_time', (
                   SELECT array_agg(jsonb_build_object('key', n % 100)) FROM generate_series(1, {STARTED}) AS n))"
            ))
            .await;
        session.run("SELECT workflow_tick()").await;
        for round in 0..7 {
            let tasks = session.claim(10).await;
            let outcomes: Vec<_> = tasks.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
            assert_eq!(outcomes.len(), 10);
            let mut calls = Vec::new();
            let mut last = pages(&mut session).await;
            for call in ["finish", "tick", "pause"] {
                match call {
                    "finish" => _ = session.finish(&outcomes).await,
                    "tick" => session.run("SELECT workflow_tick()").await,
                    _ => session.run(format!("SELECT workflow_pause({})", tasks[0].execution + 1000)).await,
                }
                let now = pages(&mut session).await;
                calls.push((call, now - last));
                last = now;
            }
            // A plan reads a few more pages when it is made.
            assert!(calls.iter().all(|(_, read)| *read < 2000), "round {round}: {calls:?}");
        }
        session.run("ROLLBACK").await;
    })
    .await;
}
