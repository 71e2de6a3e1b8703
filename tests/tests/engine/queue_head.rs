//! Tasks that were claimed stay in the queue's index until it is vacuumed, and while somebody holds a snapshot even to be looked
//! at. Workers don't walk past them each time, and miss nothing for it.

use crate::fixture::*;
use pg_workflow_tests::with_database;

const TASKS: &str = "tasks:
  - {name: a, action: demo.a}
";

/// How many pages of the queue's index the statements of a transaction have read.
async fn read(session: &mut Session) -> i64 {
    session
        .value("SELECT pg_stat_get_xact_blocks_fetched('workflow.workflow_task_execution_queue_idx'::regclass)")
        .await
}

/// Claims and reports one task, in a transaction of its own; gives its execution, and how many pages that took.
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

/// Claims all there is; gives the executions in their order.
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

            // A queue of which most is gone.
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

            // What gets a place before the others meanwhile is seen a moment later.
            let urgent: i64 = session.value("SELECT workflow_start('demo.w', priority => 10)").await;
            assert_eq!(work_one(&mut session).await.0, ids[3992]);
            session.at(0.5).await;
            assert_eq!(work_one(&mut session).await.0, urgent);

            // And at once, where nothing else is left.
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
