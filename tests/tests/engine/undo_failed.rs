//! Undos that fail, are stopped by force or cannot be rendered, and how a rerun or `workflow_resolve` continues them.

use crate::fixture::Session;
use pg_workflow_tests::with_database;
use serde_json::json;

#[tokio::test]
async fn a_failed_undo_does_not_block_others_and_a_rerun_continues_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let (id, ship) = session.shipping().await;
        session.fail(&ship, json!({"message": "no truck"})).await;
        let [first] = session.claim_named(["undo:reserve"]).await;
        session.fail(&first, json!({"message": "shelf gone"})).await;
        session.undo_one("undo:reserve", json!({"item": 10, "place": 0, "got": "r10"})).await;
        let [refund] = session.claim_named(["undo:charge"]).await;
        assert_eq!(session.fail(&refund, json!({"message": "bank down"})).await, "retrying");
        let [refund] = session.claim_named(["undo:charge"]).await;
        assert_eq!(session.fail(&refund, json!({"message": "bank down"})).await, "failed");
        session.work("tell", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let status = session.status(id).await;
        assert_eq!(status["undo"], "failed");
        let errors: Vec<&str> =
            status["errors"].as_array().unwrap().iter().map(|e| e["message"].as_str().unwrap()).collect();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(
            errors[1].starts_with("task undo:reserve ended as failed") && errors[2].contains("bank down"),
            "{errors:?}"
        );
        let (why, hint): (String, String) =
            session.rows(format!("SELECT why, hint FROM workflow_why({id})")).await.remove(0);
        assert!(why.ends_with("not all of its completed tasks could be undone"), "{why}");
        assert!(hint.contains(&format!("SELECT workflow_rerun({id})")), "{hint}");
        // A task that has completed and has an undo must not run again, nor what lies before the undo.
        for named in ["charge", "ship"] {
            let refusal = session.refused(format!("SELECT workflow_rerun({id}, '{{{named}}}')")).await;
            assert_eq!(refusal.code().1, "WF612");
        }
        session.run(format!("SELECT workflow_rerun({id})")).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("running"));
        session.undo_one("undo:reserve", json!({"item": 20, "place": 1, "got": "r20"})).await;
        session.undo_one("undo:charge", json!({"payment": "p1", "amount": 7})).await;
        session.work("tell", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("done"));
        assert_eq!(session.undo_events(id).await, ["undoing", "undo_failed", "undoing", "undone"]);
    })
    .await;
}

#[tokio::test]
async fn an_undo_that_cannot_be_rendered_fails_the_workflow_and_a_rerun_renders_it_again() {
    const SOURCE: &str = "vars: [{rate: 0}]
tasks:
  - {name: charge, action: demo.a, on_success: ship, undo: {action: demo.b, input: {share: '{{ 1 / vars.rate }}', of: '{{ input }}'}}}
  - {name: ship, action: demo.c}
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(SOURCE).await;
        session.work("charge", json!(1)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let status = session.status(id).await;
        assert_eq!(status["undo"], "failed");
        assert!(
            status["error_message"].as_str().unwrap().starts_with("WF602: undo input of task charge failed"),
            "{status:#}"
        );
        assert_eq!(status["failed_tasks"], json!(["undo:charge"]));
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.assert_ended(id, "failed", json!(null)).await;
        session
            .run(format!("UPDATE workflow.workflow_execution SET variables = '{{\"rate\": 4}}' WHERE id = {id}"))
            .await;
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.undo_one("undo:charge", json!({"share": 0.25, "of": null})).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("done"));
    })
    .await;
}

#[tokio::test]
async fn force_stops_an_undo_and_a_rerun_continues_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let (id, ship) = session.shipping().await;
        session.fail(&ship, json!(null)).await;
        session.undo_one("undo:reserve", json!({"item": 20, "place": 1, "got": "r20"})).await;
        let [running] = session.claim_named(["undo:reserve"]).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("running"), "a cancel changes nothing");
        session.run(format!("SELECT workflow_cancel({id}, force => true)")).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("stopped"));
        let report = format!("SELECT workflow_complete({}, {})", running.task, running.lease_token);
        assert_eq!(session.refused(report).await.code().1, "WF615");
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.undo_one("undo:reserve", json!({"item": 10, "place": 0, "got": "r10"})).await;
        session.undo_one("undo:charge", json!({"payment": "p1", "amount": 7})).await;
        session.work("tell", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo_events(id).await, ["undoing", "undo_stopped", "undoing", "undone"]);
    })
    .await;
}

#[tokio::test]
async fn what_force_stops_before_it_has_begun_is_undone_by_a_rerun_with_what_was_running() {
    const SOURCE: &str = "rerun: never
tasks:
  - {name: charge, action: demo.a, on_success: ship, undo: {action: demo.b}}
  - {name: ship, action: demo.c, undo: {action: demo.d, input: {p: '{{ result() }}'}}}
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(SOURCE).await;
        session.work("charge", json!(null)).await;
        session.claim_named(["ship"]).await;
        session.run(format!("SELECT workflow_cancel({id}, force => true)")).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("stopped"));
        session.run(format!("SELECT workflow_rerun({id})")).await;
        // Nobody knows whether it was shipped.
        session.undo_one("undo:ship", json!({"p": null})).await;
        session.work("undo:charge", json!(null)).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("done"));
    })
    .await;
}

#[tokio::test]
async fn an_undo_that_has_failed_can_be_resolved_by_hand_after_the_end() {
    const SOURCE: &str = "tasks:
  - {name: charge, action: demo.a, timeout: 10, undo: {action: demo.b, input: {p: '{{ result().payment }}'}}}
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(SOURCE).await;
        session.claim_named(["charge"]).await;
        session.at(10.0).await;
        session.run("SELECT workflow_tick()").await;
        session.assert_ended(id, "failed", json!(null)).await;
        let task: i64 =
            session.value(format!("SELECT max(task) FROM workflow_list_tasks({id}) WHERE undoes IS NOT NULL")).await;
        let hint: String = session.value(format!("SELECT hint FROM workflow_why({id})")).await;
        assert!(hint.contains("workflow_resolve"), "{hint}");
        session.refused(format!("SELECT workflow_resolve({task}, 'failed')")).await;
        session.run(format!("SELECT workflow_resolve({task}, 'completed', '\"by phone\"', 'refunded by phone')")).await;
        let status = session.status(id).await;
        assert_eq!((&status["undo"], &status["failed_tasks"]), (&json!("done"), &json!(["charge"])));
        session.refused(format!("SELECT workflow_resolve({task})")).await;
        let refusal = session.refused(format!("SELECT workflow_rerun({id})")).await;
        assert_eq!(refusal.code().1, "WF612");
    })
    .await;
}

#[tokio::test]
async fn reset_items_does_not_leave_behind_what_was_not_undone() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.inner", "tasks:\n  - {name: pick, action: demo.a, on_success: x, undo: {action: demo.b}}\n  - {name: x, action: demo.c}\n").await;
        let id = session.begin("undo_on: []\ntasks:\n  - {name: call, action: demo.inner}\n").await;
        session.work("pick", json!(null)).await;
        let [x] = session.claim_named(["x"]).await;
        session.fail(&x, json!(null)).await;
        let [undo] = session.claim_named(["undo:pick"]).await;
        session.fail(&undo, json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let refusal = session.refused(format!("SELECT workflow_rerun({id}, reset_items => true)")).await;
        assert_eq!(refusal.code().1, "WF612");
        assert!(refusal.message.contains("has not undone all"), "{refusal:?}");
    })
    .await;
}
