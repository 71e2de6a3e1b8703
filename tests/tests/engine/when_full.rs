//! `when_full`: what a start does if its workflow has reached its maximum number of running executions.

use crate::concurrency::{assert_sound, by_tenant, claim, claim_of};
use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

#[tokio::test]
async fn a_start_is_skipped_and_leaves_nothing() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&by_tenant(1, "skip")).await;
        for _ in 0..7 {
            let start = |key: &str| format!("SELECT workflow_start('demo.w', idempotency_key => '{key}')");
            let id: i64 = session.value(start("one")).await;
            assert_eq!(session.value::<i64>(start("one")).await, id);
            assert_eq!(session.value::<Option<i64>>(start("two")).await, None);
            let started: Vec<(Option<i64>,)> = session
                .rows(r#"SELECT * FROM workflow_start_many('demo.w', ARRAY['{}', '{"tenant": "b"}', '{"tenant": "b"}', '{}']::jsonb[], ARRAY['x', 'y', 'z', 'x'])"#)
                .await;
            let b = started[1].0.unwrap();
            assert_eq!(started, [(None,), (Some(b),), (None,), (None,)]);
            assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.execution WHERE idempotency_key IN ('two', 'x', 'z')").await, 0);
            assert_sound(&mut session).await;
            for task in claim_of(&mut session, &[id, b]).await {
                session.complete(&task, json!(null)).await;
            }
            session.value::<i64>(start("two")).await;
            let tasks = claim(&mut session).await;
            session.complete(&tasks[0], json!(null)).await;
            session.run("DELETE FROM workflow.execution").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_start_fails_with_a_code_of_its_own() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&by_tenant(1, "fail")).await;
        let id = session.start().await;
        let refusal = session.refused("SELECT workflow_start('demo.w')").await;
        assert_eq!(refusal.code(), ("55000", "WF623"), "{refusal:?}");
        let refusal =
            session.refused(r#"SELECT workflow_start_many('demo.w', ARRAY['{"tenant": "b"}', '{}']::jsonb[])"#).await;
        assert_eq!((refusal.code().1, refusal.detail.as_str()), ("WF623", "It is element 2 of parameters."));
        let tasks = claim_of(&mut session, &[id]).await;
        session.complete(&tasks[0], json!(null)).await;
        session.start().await;
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_waits_is_skipped_or_fails() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let caller = "tasks:
  - name: call
    action: demo.w
    next:
      - {when: '{{ succeeded() }}', do: [done]}
      - {when: '{{ failed() }}', do: [failed]}
      - {when: '{{ skipped() }}', do: [skipped]}
  - {name: done, action: demo.b}
  - {name: failed, action: demo.c}
  - {name: skipped, action: demo.d}
";
        session.define(&by_tenant(1, "wait")).await;
        session.define_as("demo.caller", caller).await;
        session.define_as("demo.items", "tasks:\n  - {name: call, action: demo.w, with_items: [1, 2, 3]}\n").await;
        for (when_full, follows) in [("wait", None), ("skip", Some("skipped")), ("fail", Some("failed"))] {
            session.define(&by_tenant(1, when_full)).await;
            let running = session.start().await;
            let tasks = claim_of(&mut session, &[running]).await;
            let caller: i64 = session.value("SELECT workflow_start('demo.caller')").await;
            assert_sound(&mut session).await;
            match follows {
                Some(name) => session.work(name, json!(null)).await,
                None => assert!(claim(&mut session).await.is_empty()),
            }
            session.complete(&tasks[0], json!(null)).await;
            if follows.is_none() {
                session.work("deploy", json!(null)).await;
                session.work("done", json!(null)).await;
            }
            session.assert_ended(caller, "completed", json!(null)).await;
            let listed: Value =
                session.value(format!("SELECT to_jsonb(s.skipped_tasks) FROM workflow_status({caller}) s")).await;
            assert_eq!(listed, if when_full == "skip" { json!(["call"]) } else { json!([]) });
            assert_sound(&mut session).await;
        }
        session.define(&by_tenant(1, "skip")).await;
        let items: i64 = session.value("SELECT workflow_start('demo.items')").await;
        session.work("deploy", json!(null)).await;
        session.assert_ended(items, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn the_oldest_is_cancelled_and_has_closed_before_the_next_begins() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define("concurrency: {max: 1, when_full: cancel_oldest}\nfinally: last\ntasks:\n  - {name: deploy, action: demo.a}\n  - {name: last, action: demo.b}\n")
            .await;
        for _ in 0..3 {
            let first = session.start().await;
            let [deploy] = session.claim_named(["deploy"]).await;
            let second = session.start().await;
            assert_eq!(session.status(first).await["status"], json!("canceling"));
            let message: String =
                session.value(format!("SELECT message FROM workflow_list_events({first}) WHERE kind = 'cancel'")).await;
            assert_eq!(message, format!("execution {second} has taken its place"));
            let third = session.start().await;
            assert_eq!(session.status(third).await["status"], json!("running"));
            session.work("last", json!(null)).await;
            session.assert_ended(second, "cancelled", json!(null)).await;
            assert_sound(&mut session).await;
            session.complete(&deploy, json!(null)).await;
            session.work("last", json!(null)).await;
            session.assert_ended(first, "cancelled", json!(null)).await;
            session.work("deploy", json!(null)).await;
            session.work("last", json!(null)).await;
            session.assert_ended(third, "completed", json!(null)).await;
            assert_sound(&mut session).await;
        }
        let ids: Vec<(i64,)> =
            session.rows("SELECT * FROM workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[4]))").await;
        let mut statuses = Vec::new();
        for (id,) in &ids {
            statuses.push(session.status(*id).await["status"].clone());
        }
        assert_eq!(statuses, ["canceling", "canceling", "canceling", "running"]);
        let [last, ..] = session.claim_named(["last", "last", "last"]).await;
        assert_sound(&mut session).await;
        session.complete(&last, json!(null)).await;
    })
    .await;
}

/// If another session has locked the oldest, a tick cancels it.
#[tokio::test]
async fn nobody_waits_for_a_lock_to_cancel_the_oldest() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        session.run("SET lock_timeout = '1s'").await;
        session.define(&by_tenant(1, "cancel_oldest")).await;
        let first = session.start().await;
        other.run(format!("BEGIN; SELECT FROM workflow.workflow_execution WHERE id = {first} FOR UPDATE")).await;
        let second = session.start().await;
        assert_eq!(session.status(first).await["status"], json!("running"));
        other.run("COMMIT").await;
        session.at(2.0).await;
        session.run("SELECT workflow_tick()").await;
        session.assert_ended(first, "cancelled", json!(null)).await;
        claim_of(&mut session, &[second]).await;
        assert_sound(&mut session).await;
    })
    .await;
}
