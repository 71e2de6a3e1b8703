//! Claimed tasks remain in the queue's index until it is vacuumed, and must even be visited while another session holds
//! a snapshot. Workers don't walk past them each time, and still miss nothing.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const TASKS: &str = "tasks:
  - {name: a, action: demo.a}
";

/// Returns how many pages of the queue's index the statements of a transaction have read.
async fn read(session: &mut Session) -> i64 {
    session
        .value("SELECT pg_stat_get_xact_blocks_fetched('workflow.workflow_task_execution_queue_idx'::regclass)")
        .await
}

/// Claims and reports one task, in a separate transaction. Returns its execution, and how many pages that took.
async fn work_one(session: &mut Session) -> (i64, i64) {
    session.run("BEGIN").await;
    let before = read(session).await;
    let worked: Vec<(i64, String)> = session
        .rows(
            "SELECT w.execution, workflow_complete(c.task, c.lease_token)
             FROM workflow_claim('w', 1, '{demo.a}') AS c
             JOIN workflow.workflow_execution AS w ON w.id = c.execution",
        )
        .await;
    let after = read(session).await;
    session.run("COMMIT").await;
    let [(execution, state)] = &worked[..] else { panic!("{worked:?}") };
    assert_eq!(state, "completed");
    (*execution, after - before)
}

/// Claims all tasks. Returns their executions, in order.
async fn claim_all(session: &mut Session) -> Vec<i64> {
    let claimed: Vec<(i64,)> = session
        .rows(
            "SELECT w.execution FROM workflow_claim('w', 100, '{demo.a}') AS c
             JOIN workflow.workflow_execution AS w ON w.id = c.execution ORDER BY 1",
        )
        .await;
    claimed.into_iter().map(|(id,)| id).collect()
}

#[tokio::test]
async fn claims_stay_short_and_miss_nothing() {
    for is_held in [true, false] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            session.define(TASKS).await;
            let mut other = Session::new(db).await;
            if is_held {
                other.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class").await;
            }

            // A queue most of whose tasks have been claimed.
            let ids: Vec<(i64,)> = session
                .rows("SELECT id FROM workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[4000])) AS id")
                .await;
            let ids: Vec<i64> = ids.into_iter().map(|(id,)| id).collect();
            let gone: i64 = session
                .value(
                    "SELECT count(*) FROM workflow_finish((SELECT array_agg(ROW(c.task, c.lease_token, 'completed', NULL, NULL,
                       NULL, NULL, NULL, NULL)::workflow.outcome) FROM workflow_claim('w', 3990, '{demo.a}') AS c))",
                )
                .await;
            assert_eq!(gone, 3990);

            let (first, long) = work_one(&mut session).await;
            assert_eq!(first, ids[3990], "the oldest first");
            assert!(long > 20, "the entries are still there: {long} pages of them were read");
            let (second, short) = work_one(&mut session).await;
            assert_eq!(second, ids[3991]);
            assert!(short < 10, "{short} pages were read again");

            // A task placed ahead of the others in the meantime is seen a moment later.
            let urgent: i64 = session.value("SELECT workflow_start('demo.w', priority => 10)").await;
            assert_eq!(work_one(&mut session).await.0, ids[3992]);
            session.at(0.5).await;
            assert_eq!(work_one(&mut session).await.0, urgent);

            // And immediately, if nothing else is left.
            let (next, long) = work_one(&mut session).await;
            assert_eq!(next, ids[3993]);
            assert!(long > 20, "it looks from the beginning again: {long} pages");
            let urgent: i64 = session.value("SELECT workflow_start('demo.w', priority => 10)").await;
            assert_eq!(claim_all(&mut session).await, ids[3994..]);
            assert_eq!(claim_all(&mut session).await, [urgent]);
            assert!(claim_all(&mut session).await.is_empty());
        })
        .await;
    }
}

/// Returns how many pages of our tables and indexes a claim reads.
async fn pages_of_claim(session: &mut Session, actions: &str, max_tasks: i32) -> i64 {
    session.run("BEGIN").await;
    let read = "SELECT sum(pg_stat_get_xact_blocks_fetched(c.oid))::bigint FROM pg_class AS c
                WHERE c.relnamespace = 'workflow'::regnamespace";
    let before: i64 = session.value(read).await;
    let claimed = session.rows::<(i64,)>(format!("SELECT task FROM workflow_claim('w', {max_tasks}, {actions})")).await;
    assert_eq!(claimed.len(), max_tasks as usize);
    let after: i64 = session.value(read).await;
    session.run("ROLLBACK").await;
    after - before
}

/// Plans are cached, and statistics are from a quiet hour: claims don't sort the queue that a later burst has filled.
#[tokio::test]
async fn claims_stay_short_when_a_few_executions_have_many_tasks_each() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "tasks:
  - {name: first, action: demo.a, on_success: [each, other]}
  - {name: each, action: demo.a, with_items: '{{ range(1000) | list }}'}
  - {name: other, action: demo.b}
",
            )
            .await;
        session.run("SELECT workflow_start('demo.w') FROM generate_series(1, 10)").await;
        session.run("VACUUM (ANALYZE)").await;
        for (actions, max_tasks) in [("'{demo.a}'", 1), ("'{demo.a}'", 10), ("'{demo.a, demo.b}'", 10), ("NULL", 10)] {
            pages_of_claim(&mut session, actions, max_tasks).await;
        }
        for task in session.claim(10).await {
            session.complete(&task, json!(null)).await;
        }
        for (actions, max_tasks) in [("'{demo.a}'", 1), ("'{demo.a}'", 10), ("'{demo.a, demo.b}'", 10), ("NULL", 10)] {
            for call in 0..7 {
                let pages = pages_of_claim(&mut session, actions, max_tasks).await;
                assert!(pages < 300, "a claim of {max_tasks} for {actions} reads {pages} pages at call {call}");
            }
        }
    })
    .await;
}
