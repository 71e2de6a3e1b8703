//! Executions that wait to begin under `concurrency`, although some of their tasks have run before or others try to
//! overtake them.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const ONE_AT_A_TIME: &str = "concurrency: {max: 1}
finally: tidy
tasks:
  - {name: first, action: demo.a, on_success: second}
  - {name: second, action: demo.b}
  - {name: tidy, action: demo.c}
";

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

#[tokio::test]
async fn what_closes_a_rerun_that_is_cancelled_before_it_begins_runs() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(ONE_AT_A_TIME).await;
        session.work("first", json!(null)).await;
        session.work("second", json!(null)).await;
        let [tidy] = session.claim_named(["tidy"]).await;
        session.fail(&tidy, json!({"message": "no space"})).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let other = session.start().await;
        // Only what closes it is left to be rerun.
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        assert_sound(&mut session).await;
        session.run("SELECT workflow_tick()").await;
        let [first, tidy] = session.claim_named(["first", "tidy"]).await;
        assert_eq!((first.execution, tidy.execution), (other, id));
        session.complete(&tidy, json!(null)).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn no_task_of_an_execution_that_waits_to_begin_is_resolved() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let before = session.begin(ONE_AT_A_TIME).await;
        let id = session.start().await;
        let task: i64 = session.value(format!("SELECT task FROM workflow_list_tasks({id})")).await;
        for status in ["completed", "failed"] {
            let refusal = session.refused(format!("SELECT workflow_resolve({task}, '{status}')")).await;
            assert_eq!(refusal.code(), ("55000", "WF611"), "{refusal:?}");
            assert!(refusal.message.ends_with(&format!("its execution {id} is waiting to begin")), "{refusal:?}");
        }
        session.run(format!("SELECT workflow_cancel({before}, force => true)")).await;
        session.run(format!("SELECT workflow_resolve({task})")).await;
        let [second] = session.claim_named(["second"]).await;
        assert_eq!(second.execution, id);
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_undone_after_an_end_does_not_wait_to_begin() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let undone = "concurrency: {max: 1}
tasks:
  - {name: charge, action: demo.a, undo: {action: demo.b}, on_success: ship}
  - {name: ship, action: demo.c}
";
        let id = session.begin(undone).await;
        session.work("charge", json!(null)).await;
        for name in ["ship", "undo:charge"] {
            let [task] = session.claim_named([name]).await;
            session.fail(&task, json!({})).await;
        }
        session.assert_ended(id, "failed", json!(null)).await;
        let other = session.start().await;
        session.run(format!("SELECT workflow_rerun({id})")).await;
        assert_sound(&mut session).await;
        let [charge, undo] = session.claim_named(["charge", "undo:charge"]).await;
        assert_eq!((charge.execution, undo.execution), (other, id));
        session.complete(&undo, json!(null)).await;
        assert_eq!(session.status(id).await["undo"], json!("done"));
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_called_workflow_is_undone_while_another_execution_of_it_runs() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define_as(
                "demo.inner",
                "concurrency: {max: 1}\ntasks:\n  - {name: charge, action: demo.a, undo: {action: demo.b}}\n",
            )
            .await;
        let id = session
            .begin("tasks:\n  - {name: call, action: demo.inner, on_success: ship}\n  - {name: ship, action: demo.c}\n")
            .await;
        session.work("charge", json!(null)).await;
        session.run("SELECT workflow_start('demo.inner')").await;
        let [charge, ship] = session.claim_named(["charge", "ship"]).await;
        session.fail(&ship, json!({})).await;
        assert_sound(&mut session).await;
        session.work("undo:charge", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        session.complete(&charge, json!(null)).await;
        assert_sound(&mut session).await;
    })
    .await;
}

/// A tick that both rechecks a waiting execution and cancels it along with its caller, because both are due.
#[tokio::test]
async fn what_is_cancelled_by_the_tick_that_looks_at_it_takes_no_slot() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        session.define_as("demo.inner", "concurrency: {max: 1}\ntasks:\n  - {name: inner, action: demo.a}\n").await;
        session.define("timeout: 5\ntasks:\n  - {name: call, action: demo.inner}\n").await;
        session.run("SELECT workflow_start('demo.inner')").await;
        other.run("BEGIN; SELECT FROM workflow.limit_key FOR UPDATE; SELECT FROM workflow.limit_slot FOR UPDATE").await;
        let id = session.start().await;
        other.run("ROLLBACK").await;
        session.at(6.0).await;
        session.run("SELECT workflow_tick()").await;
        session.assert_ended(id, "timeout", json!(null)).await;
        assert_sound(&mut session).await;
        session.work("inner", json!(null)).await;
        session.run("SELECT workflow_start('demo.inner')").await;
        session.work("inner", json!(null)).await;
        assert_sound(&mut session).await;
    })
    .await;
}
