//! workflow_check finds broken invariants. Each is broken by hand, in a transaction that is rolled back.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

#[tokio::test]
async fn every_broken_invariant_is_found() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        // One execution that has ended, one with a running task, one with a waiting task, and one that is paused.
        session.define("tasks:\n  - {name: a, action: demo.a}\n").await;
        let ended = session.start().await;
        session.work("a", json!(null)).await;
        let running = session.start().await;
        session.claim_named(["a"]).await;
        let waiting = session.start().await;
        let paused = session.start().await;
        session.run(format!("SELECT workflow_pause({paused})")).await;
        let task = |execution: i64| {
            format!("workflow_execution = (SELECT id FROM workflow.workflow_execution WHERE execution = {execution})")
        };
        let (tasks, runs) = ("UPDATE workflow.workflow_task_execution SET", "UPDATE workflow.workflow_execution SET");
        for (broken, found) in [
            (format!("{tasks} status = 'running' WHERE {}", task(ended)), "a finished execution has no live task"),
            (
                format!("{tasks} status = 'completed', queue_at = NULL WHERE {}", task(waiting)),
                "an execution that has not ended has a live task, or is paused",
            ),
            (
                format!("DELETE FROM workflow.workflow_task_execution WHERE {}", task(waiting)),
                "the conductor counts the live tasks",
            ),
            (
                format!("{runs} status = 'failed' WHERE execution = {ended}"),
                "an execution and its workflow end with the same status",
            ),
            (
                format!("{runs} status = 'failed' WHERE execution = {waiting}"),
                "in an execution that has stopped, only what closes it waits, unless the next tick withdraws it",
            ),
            (format!("{runs} status = 'failed' WHERE execution = {running}"), "an execution that has failed says why"),
            (
                format!("{runs} status = 'failed' WHERE execution = {running}"),
                "a search finds an execution that has had a failure",
            ),
            (
                format!("{runs} due_in = '1 minute' WHERE execution = {running}"),
                "a time limit stands still during a pause, and only then",
            ),
            (format!("{tasks} queue_at = now() WHERE {}", task(running)), "a queued task is claimable"),
            (
                format!("{tasks} queue_at = NULL WHERE {}", task(waiting)),
                "a claimable task is queued, unless its execution is paused",
            ),
            (
                format!("{runs} paused = false WHERE execution = {paused}"),
                "a claimable task is queued, unless its execution is paused",
            ),
            ("DELETE FROM workflow.lease".into(), "a running task is held by a lease"),
            ("UPDATE workflow.lease SET until = until - interval '1 hour'".into(), "a lease is found when it expires"),
            (format!("{tasks} lease = lease + 1 WHERE {}", task(running)), "a running task is held by a lease"),
            (
                format!("{tasks} status = 'requested', queue_at = NULL WHERE {}", task(waiting)),
                "a waiting task has a reason to wait",
            ),
            (format!("{tasks} id = id | (1::bigint << 50) WHERE {}", task(ended)), "an id contains its part"),
            (format!("{tasks} retry_count = 5 WHERE {}", task(ended)), "a retry count stays within its bound"),
            (
                "INSERT INTO workflow.foreign_part VALUES (0, 'elsewhere')".into(),
                "a part that another server has is not here",
            ),
            (
                format!("{tasks} id = id + 1000000 WHERE {}", task(ended)),
                "an id of this server's node is not ahead of its sequence",
            ),
        ] {
            session.run("BEGIN").await;
            session.run(&broken).await;
            let invariants: Vec<(String, String, i64, String)> = session.rows("SELECT * FROM workflow_check()").await;
            assert!(invariants.iter().any(|(invariant, ..)| invariant == found), "{broken}: {invariants:#?}");
            session.run("ROLLBACK").await;
            assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow_check()").await, 0);
        }
        session.run("BEGIN").await;
        session.run("DELETE FROM workflow.lease; UPDATE workflow.workflow_task_execution SET retry_count = 9").await;
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow_check(2)").await, 2);
        session.run("ROLLBACK").await;
    })
    .await;
}

/// A column of type serial in somebody's own table makes a sequence.
#[tokio::test]
async fn sequences_of_others_do_not_matter() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin("tasks:\n  - {name: a, action: demo.a}\n").await;
        session.run("CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY); CREATE SEQUENCE execution").await;
        let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
        assert_eq!(broken, []);
    })
    .await;
}
