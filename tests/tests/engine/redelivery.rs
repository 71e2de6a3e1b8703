//! Tasks that lose their workers are handed out again, a bounded number of times.

use crate::fixture::Session;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

/// Lets a task lose this number of workers, one per minute, beginning at a given time.
async fn lose(session: &mut Session, task: &str, times: usize, from: f64) {
    for n in 0..times {
        session.claim_named([task]).await;
        session.at(from + 60.0 * (n + 1) as f64).await;
        session.run("SELECT workflow_tick()").await;
    }
}

#[tokio::test]
async fn a_task_that_loses_five_workers_ends_abandoned_and_says_who_lost_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: poison, action: demo.a}]\n").await;
        lose(&mut session, "poison", 4, 0.0).await;
        let row = "SELECT lost_leases = 4 AND last_worker = 'w1' AND status = 'scheduled' FROM workflow.workflow_task_execution";
        assert!(session.value::<bool>(row).await);
        lose(&mut session, "poison", 1, 240.0).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let message: String = session.value(format!("SELECT error_message FROM workflow_status({id})")).await;
        assert!(message.ends_with(": worker w1 did not finish it in time; 5 leases have expired"), "{message}");
        let counts: Vec<(Value,)> = session
            .rows(format!("SELECT detail -> 'lost_leases' FROM workflow_list_events({id}) WHERE kind = 'lease_expired' ORDER BY id"))
            .await;
        assert_eq!(counts, [1, 2, 3, 4, 5].map(|count| (json!(count),)));
        // A rerun starts counting again.
        session.run(format!("SELECT workflow_rerun({id})")).await;
        assert_eq!(session.value::<i32>("SELECT lost_leases FROM workflow.workflow_task_execution").await, 0);
        lose(&mut session, "poison", 4, 300.0).await;
        session.work("poison", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn the_definition_says_how_often_and_transitions_and_retries_see_the_end() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: poison, action: demo.a, max_lost_leases: 1, retry: {count: 1, when: \"{{ error().type == 'abandoned' }}\"}, on_failure: repair}
  - {name: repair, action: demo.b}
";
        let id = session.begin(rest).await;
        lose(&mut session, "poison", 2, 0.0).await;
        session.work("repair", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        for (given, code) in [("0", "WF006"), ("1001", "WF006"), ("many", "WF005")] {
            let source = format!("ref: demo.x\nlabel: X\nversion: 1\ntasks: [{{name: a, action: demo.a, max_lost_leases: {given}}}]");
            let found: Vec<(String,)> = session.rows(format!("SELECT code FROM workflow_validate('{source}')")).await;
            assert_eq!(found, [(code.to_owned(),)], "{given}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_task_that_was_lost_once_has_a_lease_of_its_own() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: one, action: demo.a}]\n").await;
        session.start().await;
        session.claim_named(["one"]).await;
        session.at(60.0).await;
        session.run("SELECT workflow_tick()").await;
        session.start().await;
        session.start().await;
        let tasks = session.claim(3).await;
        let mut tokens: Vec<i64> = tasks.iter().map(|task| task.lease_token).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!((tasks.len(), tokens.len()), (3, 2));
        let leases: Vec<(i32,)> =
            session.rows("SELECT cardinality(tasks) FROM workflow.lease WHERE until > workflow.now() ORDER BY 1").await;
        assert_eq!(leases, [(1,), (2,)]);
        for task in &tasks {
            assert_eq!(session.complete(task, json!(null)).await, "completed");
        }
    })
    .await;
}

#[tokio::test]
async fn a_task_that_was_lost_twice_is_claimed_with_no_other() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]\n").await;
        let poison = session.start().await;
        for minute in 1..3 {
            session.claim_named(["a"]).await;
            session.at(60.0 * f64::from(minute)).await;
            session.run("SELECT workflow_tick()").await;
        }
        session.define_as("demo.other", "tasks: [{name: b, action: demo.b}]").await;
        session.run("SELECT workflow_start('demo.w'), workflow_start('demo.w'), workflow_start('demo.other')").await;
        for claim in ["workflow_claim('w1', 9)", "workflow_claim('w1', 9, '{demo.a}')", "workflow_claim('w1', 1, '{demo.a}')"] {
            session.run("BEGIN").await;
            let alone: Vec<(i64,)> = session.rows(format!("SELECT execution FROM {claim}")).await;
            assert_eq!(alone, [(poison,)], "{claim}");
            session.run("ROLLBACK").await;
        }
        // A worker that gets another task in the same call does not get it.
        let before = session.start().await;
        session.run(format!("UPDATE workflow.workflow_task_execution SET queue_at = queue_at - interval '1 hour' WHERE workflow_execution = {before}")).await;
        for claim in ["workflow_claim('w1', 9)", "workflow_claim('w1', 2, '{demo.a}')"] {
            session.run("BEGIN").await;
            let others: Vec<(i64,)> = session.rows(format!("SELECT execution FROM {claim}")).await;
            assert!(!others.is_empty() && !others.contains(&(poison,)), "{claim}: {others:?}");
            session.run("ROLLBACK").await;
        }
        let [first] = <[_; 1]>::try_from(session.claim(1).await).unwrap_or_else(|_| panic!("one"));
        assert_eq!(first.execution, before);
        let alone = session.claim(9).await;
        assert_eq!(alone.iter().map(|task| task.execution).collect::<Vec<_>>(), [poison]);
        assert_eq!(session.claim(9).await.len(), 3, "the others are next");
    })
    .await;
}
