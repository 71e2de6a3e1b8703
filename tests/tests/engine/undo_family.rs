//! Undoing called workflows: each undoes itself when its caller undoes the call.

use crate::fixture::Session;
use crate::undo::ORDER;
use pg_workflow_tests::with_database;
use serde_json::json;

/// A workflow that can undo itself, with a child of its own that can, too.
const INNER: &str = "tasks:\n  - {name: pick, action: demo.a, undo: {action: demo.b, input: {what: pick}}}\n";

const CHILD: &str = "tasks:
  - {name: pack, action: demo.a, on_success: inner, undo: {action: demo.b, input: {what: pack}}}
  - {name: inner, action: demo.inner}
";

async fn family(session: &mut Session, rest: &str) -> i64 {
    session.define_as("demo.inner", INNER).await;
    session.define_as("demo.child", CHILD).await;
    session.begin(rest).await
}

const CALLS: &str = "tasks:
  - {name: charge, action: demo.a, on_success: call, undo: {action: demo.b, input: {what: charge}}}
  - {name: call, action: demo.child, on_success: ship}
  - {name: ship, action: demo.d}
";

#[tokio::test]
async fn a_called_workflow_that_completed_undoes_itself_in_its_turn() {
    for failing in [false, true] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            let id = family(&mut session, CALLS).await;
            for task in ["charge", "pack", "pick"] {
                session.work(task, json!(null)).await;
            }
            let [ship] = session.claim_named(["ship"]).await;
            session.fail(&ship, json!(null)).await;
            let [pick] = session.claim_named(["undo:pick"]).await;
            let why: String =
                session.value(format!("SELECT why FROM workflow_why({id}) WHERE task = 'undo:call'")).await;
            assert!(why.contains("is waiting for execution"), "{why}");
            if failing {
                session.fail(&pick, json!({"message": "stuck"})).await;
            } else {
                session.complete(&pick, json!(null)).await;
            }
            session.undo_one("undo:pack", json!({"what": "pack"})).await;
            session.undo_one("undo:charge", json!({"what": "charge"})).await;
            session.assert_ended(id, "failed", json!(null)).await;
            let tree = format!("SELECT task_name, status::text FROM workflow_tree({id}) ORDER BY depth");
            let tree: Vec<(Option<String>, String)> = session.rows(tree).await;
            let of = |name: &str| (Some(name.to_owned()), "cancelled".to_owned());
            assert_eq!(tree[1..], [of("call"), of("inner")]);
            let expected = if failing { "failed" } else { "done" };
            assert_eq!(session.undo(id).await.as_deref(), Some(expected));
            if failing {
                session.run(format!("SELECT workflow_rerun({id})")).await;
                session.undo_one("undo:pick", json!({"what": "pick"})).await;
                session.assert_ended(id, "failed", json!(null)).await;
                assert_eq!(session.undo(id).await.as_deref(), Some("done"));
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_call_with_an_undo_of_its_own_is_undone_by_that() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = CALLS.replace("demo.child, on", "demo.child, undo: {action: demo.c}, on");
        let id = family(&mut session, &rest).await;
        for task in ["charge", "pack", "pick"] {
            session.work(task, json!(null)).await;
        }
        let [ship] = session.claim_named(["ship"]).await;
        session.fail(&ship, json!(null)).await;
        session.work("undo:call", json!(null)).await;
        session.undo_one("undo:charge", json!({"what": "charge"})).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let left: Vec<(String,)> =
            session.rows(format!("SELECT status::text FROM workflow_tree({id}) WHERE depth > 0")).await;
        assert_eq!(left, [("completed".to_owned(),), ("completed".to_owned(),)]);
    })
    .await;
}

#[tokio::test]
async fn a_failed_child_has_undone_itself_before_its_caller_is_notified() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest =
            "tasks:\n  - {name: call, action: demo.child, on_failure: amend}\n  - {name: amend, action: demo.e}\n";
        session.define_as("demo.child", ORDER).await;
        let id = session.begin(rest).await;
        session.work("charge", json!({"payment": "p1"})).await;
        session.work("reserve", json!("r10")).await;
        session.work("reserve", json!("r20")).await;
        let [ship] = session.claim_named(["ship"]).await;
        session.fail(&ship, json!(null)).await;
        session.undo_all().await;
        session.work("tell", json!(null)).await;
        session.work("amend", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(session.undo(id).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_completes_after_its_caller_failed_is_undone_and_a_rerun_continues_that() {
    const CALLER: &str = "tasks:\n  - {name: call, action: demo.inner}\n  - {name: x, action: demo.c}\n";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.inner", INNER).await;
        let id = session.begin(CALLER).await;
        let [pick, x] = session.claim_named(["pick", "x"]).await;
        session.fail(&x, json!(null)).await;
        session.complete(&pick, json!(null)).await;
        let [undo] = session.claim_named(["undo:pick"]).await;
        session.fail(&undo, json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("failed"));
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.work("undo:pick", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("done"));
    })
    .await;
}

#[tokio::test]
async fn what_a_called_workflow_could_not_undo_is_tried_again_by_its_caller() {
    const FAILS: &str = "tasks:
  - {name: pick, action: demo.a, on_success: x, undo: {action: demo.b}}
  - {name: x, action: demo.c}
";
    const CALLER: &str = "tasks:\n  - {name: call, action: demo.inner}\n";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.inner", FAILS).await;
        let id = session.begin(CALLER).await;
        session.work("pick", json!(null)).await;
        let [x] = session.claim_named(["x"]).await;
        session.fail(&x, json!(null)).await;
        for _ in 0..2 {
            let [undo] = session.claim_named(["undo:pick"]).await;
            session.fail(&undo, json!({"message": "stuck"})).await;
        }
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("failed"));
        // A rerun of either execution continues the undo.
        let child: i64 = session.value(format!("SELECT execution FROM workflow_tree({id}) WHERE depth = 1")).await;
        session.run(format!("SELECT workflow_rerun({child})")).await;
        session.work("undo:pick", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        for execution in [id, child] {
            assert_eq!(session.undo(execution).await.as_deref(), Some("done"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_called_workflow_continues_its_undo_although_its_caller_has_continued() {
    const FAILS: &str = "tasks:
  - {name: pick, action: demo.a, on_success: x, undo: {action: demo.b}}
  - {name: x, action: demo.c}
";
    const CALLER: &str =
        "tasks:\n  - {name: call, action: demo.inner, on_failure: amend}\n  - {name: amend, action: demo.d}\n";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.inner", FAILS).await;
        let id = session.begin(CALLER).await;
        session.work("pick", json!(null)).await;
        let [x] = session.claim_named(["x"]).await;
        session.fail(&x, json!(null)).await;
        let [undo] = session.claim_named(["undo:pick"]).await;
        session.fail(&undo, json!({"message": "stuck"})).await;
        session.work("amend", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        let child: i64 = session.value(format!("SELECT execution FROM workflow_tree({id}) WHERE depth = 1")).await;
        session.run(format!("SELECT workflow_rerun({child})")).await;
        session.work("undo:pick", json!(null)).await;
        assert_eq!(session.undo(child).await.as_deref(), Some("done"));
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_called_workflow_whose_last_task_fails_after_a_success_is_undone_by_its_caller() {
    const LAST: &str = "finally: last\ntasks:\n  - {name: pick, action: demo.a, undo: {action: demo.b}}\n  - {name: last, action: demo.c}\n";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.inner", LAST).await;
        let id = session.begin("tasks:\n  - {name: call, action: demo.inner}\n").await;
        session.work("pick", json!(null)).await;
        let [last] = session.claim_named(["last"]).await;
        session.fail(&last, json!(null)).await;
        session.work("undo:pick", json!(null)).await;
        session.work("last", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await.as_deref(), Some("done"));
    })
    .await;
}

#[tokio::test]
async fn a_call_that_times_out_has_undone_itself_and_its_own_undo_is_not_called() {
    const CALLER: &str = "tasks:\n  - {name: call, action: demo.child, timeout: 60, undo: {action: demo.c}}\n";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = family(&mut session, CALLER).await;
        session.work("pack", json!(null)).await;
        session.at(60.0).await;
        session.run("SELECT workflow_tick()").await;
        session.work("undo:pack", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.undo(id).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_cancel_ends_the_pause_of_a_called_workflow_that_undoes_itself() {
    const FAILS: &str = "tasks:
  - {name: pick, action: demo.a, on_success: x, undo: {action: demo.b}}
  - {name: x, action: demo.c}
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.inner", FAILS).await;
        let id = session.begin("tasks:\n  - {name: call, action: demo.inner}\n").await;
        session.work("pick", json!(null)).await;
        let [x] = session.claim_named(["x"]).await;
        session.fail(&x, json!(null)).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        session.claim_named([]).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        session.work("undo:pick", json!(null)).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
    })
    .await;
}
