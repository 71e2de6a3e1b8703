//! Tasks that are resolved by hand.

use crate::fixture::Session;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

async fn task(session: &mut Session, name: &str) -> i64 {
    session.value(format!("SELECT max(id) FROM workflow.workflow_task_execution WHERE task_name = '{name}'")).await
}

#[tokio::test]
async fn a_waiting_task_can_be_resolved_and_the_workflow_continues() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: queued, action: demo.a, on_success: [retried, approved]}
  - {name: retried, action: demo.b, retry: {count: 1, delay: 60}, on_success: last}
  - {name: approved, wait_for: {signal: go}, on_success: last}
  - {name: last, join: all, action: demo.c, input: {all: '{{ [task.queued.result, task.retried.result, task.approved.result] }}'}}
";
        let id = session.begin(rest).await;
        let queued = task(&mut session, "queued").await;
        let call = format!("SELECT workflow_resolve({queued}, result => '1', reason => 'by phone')");
        assert_eq!(session.value::<String>(call).await, "completed");
        let [b] = session.claim_named(["retried"]).await;
        assert_eq!(session.fail(&b, json!({})).await, "retrying");
        for (name, result) in [("retried", 2), ("approved", 3)] {
            let one = task(&mut session, name).await;
            session.run(format!("SELECT workflow_resolve({one}, 'completed', '{result}')")).await;
        }
        let [last] = session.claim_named(["last"]).await;
        assert_eq!(last.input, Some(json!({"all": [1, 2, 3]})));
        session.complete(&last, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        let event: Value = session
            .value(format!("SELECT jsonb_build_array(task_name, message, author = session_user, detail) FROM workflow_list_events({id}) WHERE kind = 'resolve' ORDER BY id LIMIT 1"))
            .await;
        assert_eq!(event, json!(["queued", "by phone", true, {"status": "completed"}]));
    })
    .await;
}

#[tokio::test]
async fn a_failure_that_is_resolved_while_its_workflow_closes_is_not_rerun() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "finally: tidy
tasks:
  - {name: charge, action: demo.a, on_success: ship}
  - {name: ship, action: demo.b, input: {paid: '{{ task.charge.result }}'}}
  - {name: tidy, action: demo.c}
";
        let id = session.begin(rest).await;
        let [charge] = session.claim_named(["charge"]).await;
        session.fail(&charge, json!({"message": "no answer"})).await;
        let refusal = session.refused(format!("SELECT workflow_resolve({}, 'failed')", charge.task)).await;
        assert_eq!(refusal.code(), ("55000", "WF611"), "{refusal:?}");
        session.run(format!("SELECT workflow_resolve({}, 'completed', '\"by phone\"')", charge.task)).await;
        assert!(
            session.claim(9).await.iter().all(|task| task.task_name == "tidy"),
            "nothing starts on the way forward"
        );
        let refusal = session.refused(format!("SELECT workflow_resolve({})", charge.task)).await;
        assert!(refusal.message.contains("it has completed"), "{refusal:?}");
        session.at(31.0).await;
        session.run("SELECT workflow_tick()").await;
        session.work("tidy", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        session.run(format!("SELECT workflow_rerun({id})")).await;
        let [ship] = session.claim_named(["ship"]).await;
        assert_eq!(ship.input, Some(json!({"paid": "by phone"})));
        session.complete(&ship, json!(null)).await;
        session.work("tidy", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_resolved_is_refused_with_a_way_out() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: each, action: demo.a, with_items: {items: [1, 2], concurrency: 1}, on_success: b}
  - {name: b, action: demo.b, on_failure: c}
  - {name: c, action: demo.c}
";
        let id = session.begin(rest).await;
        let held = task(&mut session, "each").await;
        let [running] = session.claim_named(["each"]).await;
        for (task, what, hint) in [
            (held, "waiting for its turn", "once its turn has come"),
            (running.task, "it is running", "lease expires"),
            (4711, "there is no task", "workflow_task_execution"),
        ] {
            let refusal = session.refused(format!("SELECT workflow_resolve({task})")).await;
            assert!(refusal.message.contains(what) && refusal.hint.contains(hint), "{refusal:?}");
        }
        session.complete(&running, json!(1)).await;
        session.work("each", json!(2)).await;
        let [b] = session.claim_named(["b"]).await;
        session.fail(&b, json!({})).await;
        let refusal = session.refused(format!("SELECT workflow_resolve({})", b.task)).await;
        assert!(refusal.message.contains("which the workflow handles"), "{refusal:?}");
        for call in ["NULL", "1, NULL", "1, 'done'", "1, 'completed', NULL, repeat('x', 20000)"] {
            let refusal = session.refused(format!("SELECT workflow_resolve({call})")).await;
            assert_eq!(refusal.code().1, "WF613", "{call}: {refusal:?}");
        }
        session.work("c", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        let refusal = session.refused(format!("SELECT workflow_resolve({})", b.task)).await;
        assert!(refusal.message.contains("has ended") && refusal.hint.contains("workflow_start"), "{refusal:?}");
        let sent: i64 =
            session.value(format!("SELECT count(*) FROM workflow_list_events({id}) WHERE kind = 'resolve'")).await;
        assert_eq!(sent, 0);
    })
    .await;
}

#[tokio::test]
async fn a_workflow_says_whether_it_may_be_rerun() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for (rule, closes, may) in [
            ("always", true, true),
            ("not_after_closing", true, false),
            ("not_after_closing", false, true),
            ("never", false, false),
        ] {
            let finally = if closes { "finally: tidy\n" } else { "" };
            let tidy = if closes { "\n  - {name: tidy, action: demo.c}" } else { "" };
            let id = session
                .begin(&format!("rerun: {rule}\n{finally}tasks:\n  - {{name: a, action: demo.a}}{tidy}\n"))
                .await;
            let [a] = session.claim_named(["a"]).await;
            session.fail(&a, json!({})).await;
            if closes {
                session.work("tidy", json!(null)).await;
            }
            session.assert_ended(id, "failed", json!(null)).await;
            let hint: Option<String> = session.value(format!("SELECT hint FROM workflow_why({id})")).await;
            assert_eq!(hint.unwrap_or_default().contains(&format!("workflow_rerun({id})")), may, "{rule}");
            if may {
                session.run(format!("SELECT workflow_rerun({id})")).await;
                session.claim_named(["a"]).await;
                session.run(format!("SELECT workflow_cancel({id}, force => true)")).await;
            } else {
                let refusal = session.refused(format!("SELECT workflow_rerun({id})")).await;
                assert_eq!(refusal.code().1, "WF612");
                assert!(refusal.message.contains(&format!("rerun: {rule}")), "{refusal:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_failure_whose_handlers_have_started_is_not_resolved() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: t, action: demo.a, on_complete: [h, fail]}
  - {name: h, action: demo.b, with_items: [1, 2]}
";
        let id = session.begin(rest).await;
        let [t] = session.claim_named(["t"]).await;
        session.fail(&t, json!({})).await;
        let refusal = session.refused(format!("SELECT workflow_resolve({})", t.task)).await;
        assert!(refusal.message.contains("which the workflow handles"), "{refusal:?}");
        let [one, two] = session.claim_named(["h", "h"]).await;
        session.complete(&one, json!(null)).await;
        session.complete(&two, json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn after_a_resolution_a_rerun_completes_also_where_nothing_follows() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "finally: tidy
tasks:
  - {name: t, action: demo.a, publish: {v: '{{ result().a }}'}}
  - {name: tidy, action: demo.c}
";
        let id = session.begin(rest).await;
        let [t] = session.claim_named(["t"]).await;
        session.fail(&t, json!({})).await;
        let refusal = session.refused(format!("SELECT workflow_resolve({})", t.task)).await;
        assert!(refusal.message.contains("WF605") && refusal.hint.contains("Pass a result"), "{refusal:?}");
        session.run(format!("SELECT workflow_resolve({}, result => '{{\"a\": 5}}')", t.task)).await;
        session.work("tidy", json!(null)).await;
        let hint: String = session.value(format!("SELECT hint FROM workflow_why({id})")).await;
        assert!(hint.ends_with(&format!("SELECT workflow_rerun({id})")), "{hint}");
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.work("tidy", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

/// It is unknown whether a task that has timed out was done: its undo exists from then on, and resolving it adds no
/// second one.
#[tokio::test]
async fn a_timeout_that_is_resolved_is_undone_once() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "undo_on: [failed, timeout, cancelled]
tasks:
  - {name: charge, action: demo.a, timeout: 10, undo: {action: demo.b}}
  - {name: other, action: demo.c}
",
            )
            .await;
        let [_, other] = session.claim_named(["charge", "other"]).await;
        session.at(20.0).await;
        session.run("SELECT workflow_tick()").await;
        let charge = task(&mut session, "charge").await;
        session.run(format!("SELECT workflow_resolve({charge})")).await;
        session.complete(&other, json!(null)).await;
        session.work("undo:charge", json!(null)).await;
        assert!(session.claim(9).await.is_empty());
        let undos: i64 = session
            .value("SELECT count(*) FROM workflow.workflow_task_execution WHERE task_name = 'undo:charge'")
            .await;
        assert_eq!(undos, 1);
        assert_eq!(session.status(id).await["undo"], "done");
        session.assert_ended(id, "failed", json!(null)).await;
    })
    .await;
}
