//! Undos of tasks whose outcome is unknown, because they timed out or were abandoned.

use crate::fixture::Session;
use pg_workflow_tests::with_database;
use serde_json::json;

#[tokio::test]
async fn a_task_with_an_undo_is_handed_out_until_its_outcome_is_known() {
    const SOURCE: &str = "cancellation_policy: cancel_running
tasks:
  - {name: charge, action: demo.a, undo: {action: demo.b, input: {payment: '{{ result() }}'}}}
  - {name: other, action: demo.c}
";
    for lost_first in [false, true] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            let id = session.begin(SOURCE).await;
            let [charge, _other] = session.claim_named(["charge", "other"]).await;
            let beat =
                format!("SELECT state FROM workflow_heartbeat('{{{}}}', '{{{}}}')", charge.task, charge.lease_token);
            if !lost_first {
                session.run(format!("SELECT workflow_cancel({id})")).await;
                assert_eq!(session.value::<String>(beat).await, "held", "it is not voided");
            }
            session.at(31.0).await;
            session.run("SELECT workflow_tick()").await;
            if lost_first {
                session.run(format!("SELECT workflow_cancel({id})")).await;
            }
            assert_eq!(session.undo(id).await, None, "nothing was completed yet");
            let [charge] = session.claim_named(["charge"]).await;
            assert_eq!(charge.attempt, 2);
            session.complete(&charge, json!("p1")).await;
            session.undo_one("undo:charge", json!({"payment": "p1"})).await;
            session.assert_ended(id, "cancelled", json!(null)).await;
        })
        .await;
    }
}

#[tokio::test]
async fn what_ended_without_a_known_outcome_is_undone_unless_told_otherwise() {
    for (when_unknown, undone) in [("undo", true), ("skip", false)] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            let source = format!(
                "tasks:\n  - {{name: charge, action: demo.a, timeout: 10, undo: {{action: demo.b, input: {{payment: '{{{{ result() }}}}'}}, when_unknown: {when_unknown}}}}}\n"
            );
            let id = session.begin(&source).await;
            let [charge] = session.claim_named(["charge"]).await;
            session.at(10.0).await;
            session.run("SELECT workflow_tick()").await;
            assert_eq!(session.complete(&charge, json!(null)).await, "timeout");
            if undone {
                session.undo_one("undo:charge", json!({"payment": null})).await;
            }
            session.assert_ended(id, "failed", json!(null)).await;
            assert_eq!(session.undo(id).await.as_deref(), undone.then_some("done"));
            // A task that has definitely failed was not done.
            let id = session.start().await;
            let [charge] = session.claim_named(["charge"]).await;
            session.fail(&charge, json!({"type": "declined"})).await;
            session.assert_ended(id, "failed", json!(null)).await;
            assert_eq!(session.undo(id).await, None);
        })
        .await;
    }
}

#[tokio::test]
async fn a_retry_that_was_never_claimed_leaves_the_outcome_of_a_timeout_unknown() {
    const SOURCE: &str = "tasks:
  - {name: charge, action: demo.a, timeout: 10, retry: {count: 3, delay: 100}, undo: {action: demo.b, input: {payment: '{{ result() }}'}}}
  - {name: other, action: demo.c}
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(SOURCE).await;
        let [charge, other] = session.claim_named(["charge", "other"]).await;
        session.at(10.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.complete(&charge, json!(null)).await, "retrying");
        session.fail(&other, json!(null)).await;
        // Nobody knows whether the first attempt has charged: the second has to find out.
        session.at(110.0).await;
        session.run("SELECT workflow_tick()").await;
        session.work("charge", json!("p1")).await;
        session.undo_one("undo:charge", json!({"payment": "p1"})).await;
        session.assert_ended(id, "failed", json!(null)).await;
        // After a failure the outcome is known, and the retry does not happen.
        session.at(0.0).await;
        let id = session.start().await;
        let [charge, other] = session.claim_named(["charge", "other"]).await;
        assert_eq!(session.fail(&charge, json!(null)).await, "retrying");
        session.fail(&other, json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn an_unknown_outcome_is_undone_after_a_cancel_although_a_retry_was_left() {
    const SOURCE: &str = "tasks:\n  - {name: charge, action: demo.a, retry: {count: 3}, undo: {action: demo.b, input: {p: '{{ result() }}'}}}\n";
    for end in ["timeout", "abandoned"] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            let id = session.begin(SOURCE).await;
            let [charge] = session.claim_named(["charge"]).await;
            session.run(format!("SELECT workflow_cancel({id})")).await;
            assert_eq!(session.finish(&[(charge.task, charge.lease_token, end)]).await[0].word(), end);
            session.undo_one("undo:charge", json!({"p": null})).await;
            session.assert_ended(id, "cancelled", json!(null)).await;
        })
        .await;
    }
}
