//! While somebody holds a snapshot, tasks that were claimed stay in the queue's index. Workers don't walk past them each
//! time, and miss nothing for it.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const TASKS: &str = "tasks:
  - {name: a, action: demo.a}
";

/// How many entries of the queue's index the statements between two calls have read.
async fn passed(session: &mut Session) -> i64 {
    session
        .value("SELECT pg_stat_get_xact_tuples_returned('workflow.workflow_task_execution_queue_idx'::regclass)")
        .await
}

/// Claims and reports one task, in a transaction of its own; gives its execution, and how many entries that took.
async fn work_one(session: &mut Session) -> (i64, i64) {
    session.run("BEGIN").await;
    let before = passed(session).await;
    let worked: Vec<(i64, String)> = session
        .rows(
            "SELECT w.execution, workflow_complete(c.task, c.lease_token)
             FROM workflow_claim('w', 1, '{demo.a}') AS c
             JOIN workflow.workflow_execution AS w ON w.id = c.workflow_execution",
        )
        .await;
    let after = passed(session).await;
    session.run("COMMIT").await;
    let [(execution, state)] = &worked[..] else { panic!("{worked:?}") };
    assert_eq!(state, "completed");
    (*execution, after - before)
}

#[tokio::test]
async fn claims_under_a_held_snapshot_stay_short_and_miss_nothing() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(TASKS).await;
        let mut other = Session::new(db).await;
        other.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class").await;

        // A queue of which most is gone, as far as those can see who look now.
        let ids: Vec<(i64,)> =
            session.rows("SELECT id FROM workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[4000])) AS id").await;
        let gone: i64 = session
            .value(
                "SELECT count(*) FROM workflow_finish((SELECT array_agg(ROW(c.task, c.lease_token, 'completed', NULL, NULL, NULL,
                   NULL)::workflow.outcome) FROM workflow_claim('w', 3990, '{demo.a}') AS c))",
            )
            .await;
        assert_eq!(gone, 3990);

        let (first, long) = work_one(&mut session).await;
        assert_eq!(first, ids[3990].0, "the oldest first");
        assert!(long > 3000, "the snapshot keeps the entries: {long} were passed by");
        let (second, short) = work_one(&mut session).await;
        assert_eq!(second, ids[3991].0);
        assert!(short < 1000, "{short} were passed by again");

        // What gets a place before the others meanwhile is seen some seconds later.
        let urgent: i64 = session.value("SELECT workflow_start('demo.w', priority => 10)").await;
        assert_eq!(work_one(&mut session).await.0, ids[3992].0);
        session.at(11.0).await;
        assert_eq!(work_one(&mut session).await.0, urgent);

        // And at once, where nothing else is left.
        let urgent: i64 = session.value("SELECT workflow_start('demo.w', priority => 10)").await;
        let rest: Vec<(i64,)> = session
            .rows(
                "SELECT w.execution FROM workflow_claim('w', 100, '{demo.a}') AS c
                 JOIN workflow.workflow_execution AS w ON w.id = c.workflow_execution ORDER BY 1",
            )
            .await;
        let rest: Vec<i64> = rest.into_iter().map(|(id,)| id).collect();
        let left: Vec<i64> = ids[3993..].iter().map(|(id,)| *id).chain([urgent]).collect();
        assert_eq!(json!(rest), json!(left));
    })
    .await;
}
