//! Calls of workflows that are under a limit and run again: they hold a slot, and none is forgotten.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

/// Returns the number of running and of waiting tasks of the limit.
async fn counts(session: &mut Session) -> (Option<i64>, i64) {
    session.rows("SELECT running, waiting FROM workflow_list_limit_keys('site')").await.remove(0)
}

/// Defines a workflow with one call under the limit, and with this rule for running the call again.
async fn define(session: &mut Session, again: &str) {
    session.run("SELECT workflow_set_limit('site', max_running => 1)").await;
    session.run("SELECT workflow_tick()").await;
    session.define_as("demo.inner", "tasks:\n  - {name: inner, action: demo.a}\n").await;
    session.define(&format!("tasks:\n  - {{name: call, action: demo.inner, limit: site{again}}}\n")).await;
}

#[tokio::test]
async fn a_call_that_runs_again_while_somebody_has_locked_its_limit_begins_later() {
    for (again, ends) in [
        (", retry: {count: 1, delay: 5}", "failed"),
        (", repeat: {until: '{{ false }}', max: 1, delay: 5}", "completed"),
    ] {
        with_database(async |db| {
            let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
            define(&mut session, again).await;
            let id = session.start().await;
            let [inner] = session.claim_named(["inner"]).await;
            match ends {
                "failed" => session.fail(&inner, json!({"message": "no answer"})).await,
                _ => session.complete(&inner, json!(null)).await,
            };
            other
                .run("BEGIN; SELECT FROM workflow.limit_key FOR UPDATE; SELECT FROM workflow.limit_slot FOR UPDATE")
                .await;
            session.at(6.0).await;
            session.run("SELECT workflow_tick()").await;
            assert!(session.claim(9).await.is_empty());
            other.run("ROLLBACK").await;
            session.at(7.0).await;
            session.run("SELECT workflow_tick()").await;
            session.work("inner", json!(null)).await;
            let status = session.status(id).await;
            assert_eq!(status["ended"], json!(true), "{status:#}");
            assert_sound(&mut session).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_call_that_is_rerun_waits_for_a_slot() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        define(&mut session, "").await;
        let first = session.start().await;
        let [inner] = session.claim_named(["inner"]).await;
        session.fail(&inner, json!({})).await;
        let second = session.start().await;
        session.run(format!("SELECT workflow_rerun({first})")).await;
        assert_eq!(counts(&mut session).await, (Some(1), 1));
        assert_sound(&mut session).await;
        let waits: Vec<(Option<String>, String)> =
            session.rows(format!("SELECT task, why FROM workflow_why({first})")).await;
        assert!(waits[0].1.starts_with("is waiting for limit site: 1 of 1 running"), "{waits:?}");
        session.work("inner", json!(null)).await;
        session.assert_ended(second, "completed", json!(null)).await;
        session.at(2.0).await;
        session.run("SELECT workflow_tick()").await;
        // The called execution continues; no new one is called.
        let [again] = session.claim_named(["inner"]).await;
        assert_eq!((again.task, counts(&mut session).await), (inner.task, (Some(1), 0)));
        session.complete(&again, json!(null)).await;
        session.assert_ended(first, "completed", json!(null)).await;
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_whose_child_is_rerun_counts_even_beyond_the_limit() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        define(&mut session, "").await;
        let first = session.start().await;
        let [inner] = session.claim_named(["inner"]).await;
        session.fail(&inner, json!({})).await;
        session.start().await;
        session.run(format!("SELECT workflow_rerun({})", inner.execution)).await;
        assert_eq!(counts(&mut session).await, (Some(2), 0));
        assert_sound(&mut session).await;
        let third = session.start().await;
        for task in session.claim_named(["inner", "inner"]).await {
            assert!(session.claim(9).await.is_empty());
            session.complete(&task, json!(null)).await;
        }
        session.assert_ended(first, "completed", json!(null)).await;
        session.at(2.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(counts(&mut session).await, (Some(1), 0));
        session.work("inner", json!(null)).await;
        session.assert_ended(third, "completed", json!(null)).await;
        assert_sound(&mut session).await;
    })
    .await;
}

/// While the call had the slot, the undo shared it. Now that the caller tries it again, the undo needs one itself.
#[tokio::test]
async fn an_undo_that_the_caller_tries_again_has_a_slot() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('site', max_running => 1)").await;
        session.run("SELECT workflow_tick()").await;
        session.run("SELECT workflow_register_action('demo.u', limits => '[\"site\"]')").await;
        let inner = "tasks:
  - {name: one, action: demo.a, undo: {action: demo.u}, on_success: two}
  - {name: two, action: demo.b}
";
        session.define_as("demo.inner", inner).await;
        session.define("tasks:\n  - {name: call, action: demo.inner, limit: site}\n").await;
        let first = session.start().await;
        session.work("one", json!(null)).await;
        let [two] = session.claim_named(["two"]).await;
        session.fail(&two, json!({})).await;
        let [undo] = session.claim_named(["undo:one"]).await;
        session.fail(&undo, json!({})).await;
        session.run("SELECT workflow_tick()").await;
        let [again] = session.claim_named(["undo:one"]).await;
        assert_eq!((again.task, counts(&mut session).await), (undo.task, (Some(1), 0)));
        session.start().await;
        assert!(session.claim(9).await.is_empty());
        assert_eq!(counts(&mut session).await, (Some(1), 1));
        session.complete(&again, json!(null)).await;
        assert_eq!(session.status(first).await["undo"], json!("done"));
        session.at(2.0).await;
        session.run("SELECT workflow_tick()").await;
        session.claim_named(["one"]).await;
        assert_sound(&mut session).await;
    })
    .await;
}

/// Several calls take their slots at once. The first is refused or skipped, and what its caller does then withdraws the
/// others, which have not begun.
#[tokio::test]
async fn calls_that_are_withdrawn_before_they_begin_leave_no_slot_behind() {
    let two_calls = "{name: a, action: demo.inner, limit: site}, {name: b, action: demo.inner, limit: site}";
    let items = |items: &str| format!("{{name: a, action: demo.inner, limit: site, with_items: {items}}}");
    for (when_full, tasks) in [
        ("fail", two_calls.to_owned()),
        ("fail", items("[1, 2]")),
        ("skip", items("{items: [1, 2], min_successes: 1}")),
    ] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            session.run("SELECT workflow_set_limit('site', max_running => 2)").await;
            session.run("SELECT workflow_tick()").await;
            let inner =
                format!("concurrency: {{max: 1, when_full: {when_full}}}\ntasks: [{{name: t, action: demo.a}}]\n");
            session.define_as("demo.inner", &inner).await;
            session.run("SELECT workflow_start('demo.inner')").await;
            for _ in 0..6 {
                session.begin(&format!("tasks: [{tasks}]\n")).await;
                assert_eq!(counts(&mut session).await, (Some(0), 0), "{when_full}: {tasks}");
                assert_sound(&mut session).await;
            }
        })
        .await;
    }
}
