//! How executions continue that undo something for their caller, or whose caller has been undone.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

async fn hint(session: &mut Session, execution: i64) -> String {
    session.value(format!("SELECT coalesce(hint, '') FROM workflow_why({execution}) WHERE task IS NULL LIMIT 1")).await
}

/// Each item is undone by a separate workflow, none of which succeeds. Returns the execution and those that it called.
async fn two_that_cannot_be_undone(session: &mut Session) -> (i64, Vec<i64>) {
    session.define_as("demo.back", "tasks:\n  - {name: back, action: demo.b}\n").await;
    let rest = "tasks:
  - {name: each, action: demo.a, with_items: [1, 2], undo: {action: demo.back}, on_success: ship}
  - {name: ship, action: demo.c}
";
    let id = session.begin(rest).await;
    for task in session.claim_named(["each", "each"]).await {
        session.complete(&task, json!(null)).await;
    }
    let mut called = Vec::new();
    for name in ["ship", "back", "back"] {
        let [task] = session.claim_named([name]).await;
        called.extend((name == "back").then_some(task.execution));
        session.fail(&task, json!({})).await;
    }
    session.assert_ended(id, "failed", json!(null)).await;
    (id, called)
}

#[tokio::test]
async fn each_workflow_that_undoes_one_of_several_runs_can_be_rerun() {
    for first in [0, 1] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            let (id, called) = two_that_cannot_be_undone(&mut session).await;
            assert!(hint(&mut session, called[first]).await.contains("workflow_rerun"));
            session.run(format!("SELECT workflow_rerun({})", called[first])).await;
            let [back] = session.claim_named(["back"]).await;
            assert_eq!(back.execution, called[first]);
            session.complete(&back, json!(null)).await;
            session.assert_ended(called[first], "completed", json!(null)).await;
            assert_eq!(session.status(id).await["undo"], json!("failed"));
            session.run(format!("SELECT workflow_rerun({id})")).await;
            let [back] = session.claim_named(["back"]).await;
            assert_eq!(back.execution, called[1 - first]);
            session.complete(&back, json!(null)).await;
            assert_eq!(session.status(id).await["undo"], json!("done"));
            let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
            assert_eq!(broken, []);
        })
        .await;
    }
}

#[tokio::test]
async fn a_rerun_that_callers_prevent_is_not_suggested() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.inner", "tasks:\n  - {name: inner, action: demo.b}\n").await;
        session.define_as("demo.middle", "tasks:\n  - {name: middle, action: demo.inner}\n").await;
        let outer = "tasks:
  - {name: charge, action: demo.a, undo: {action: demo.c}, on_success: call}
  - {name: call, action: demo.middle}
";
        let id = session.begin(outer).await;
        session.work("charge", json!(null)).await;
        let [inner] = session.claim_named(["inner"]).await;
        session.fail(&inner, json!({})).await;
        let [undo] = session.claim_named(["undo:charge"]).await;
        session.fail(&undo, json!({})).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let said = hint(&mut session, inner.execution).await;
        assert_eq!(
            said,
            format!(
                "it was called by execution {id}, which can only continue its undo: SELECT * FROM workflow_why({id})"
            )
        );
        session.refused(format!("SELECT workflow_rerun({})", inner.execution)).await;
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.work("undo:charge", json!(null)).await;
        let said = hint(&mut session, inner.execution).await;
        assert_eq!(
            said,
            format!("it was called by execution {id}, which has undone its completed tasks: start a new execution")
        );
        session.refused(format!("SELECT workflow_rerun({})", inner.execution)).await;
    })
    .await;
}
