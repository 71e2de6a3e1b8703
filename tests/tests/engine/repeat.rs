//! Tasks that are repeated until their result is right.

use crate::fixture::Session;
use pg_workflow_tests::with_database;
use serde_json::json;

async fn poll(session: &mut Session, result: serde_json::Value) -> String {
    session.run("SELECT workflow_tick()").await;
    let [poll] = session.claim_named(["poll"]).await;
    session.complete(&poll, result).await
}

async fn poll_now(session: &mut Session, result: serde_json::Value) -> String {
    let [poll] = session.claim_named(["poll"]).await;
    session.complete(&poll, result).await
}

const POLL: &str = "tasks:
  - {name: poll, action: demo.a, repeat: {until: '{{ result().done }}', delay: 10, max: 2, timeout: 60}, retry: {count: 1}, on_success: after, on_timeout: late, on_failure: broken}
  - {name: after, action: demo.b, input: {n: '{{ task.poll.attempts }}', r: '{{ task.poll.result }}'}}
  - {name: late, action: demo.c}
  - {name: broken, action: demo.c, input: {error: '{{ task.poll.error }}'}}
";

#[tokio::test]
async fn a_task_runs_again_until_its_result_is_right() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(POLL).await;
        assert_eq!(poll(&mut session, json!({"done": false})).await, "retrying");
        assert!(session.claim(1).await.is_empty(), "not before its delay");
        let why: String = session.value(format!("SELECT why FROM workflow_why({id})")).await;
        assert!(why.contains("will run again at"), "{why}");
        session.at(10.0).await;
        // A failure in between is retried, and counted separately.
        session.run("SELECT workflow_tick()").await;
        let [task] = session.claim_named(["poll"]).await;
        assert_eq!(session.fail(&task, json!({})).await, "retrying");
        assert_eq!(poll(&mut session, json!({"done": true})).await, "completed");
        let [after] = session.claim_named(["after"]).await;
        assert_eq!(after.input, Some(json!({"n": 3, "r": {"done": true}})));
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_repeat_never_satisfied_fails_after_its_maximum_or_its_timeout() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(POLL).await;
        for (at, state) in [(0.0, "retrying"), (10.0, "retrying"), (20.0, "failed")] {
            session.at(at).await;
            assert_eq!(poll(&mut session, json!({"done": false})).await, state);
        }
        let [broken] = session.claim_named(["broken"]).await;
        let message = "`until` was still not satisfied after 2 repetitions";
        assert_eq!(broken.input, Some(json!({"error": {"type": "repeat", "message": message}})));
        session.complete(&broken, json!(null)).await;
        session.start().await;
        session.at(75.0).await;
        assert_eq!(poll(&mut session, json!({"done": false})).await, "timeout");
        session.work("late", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn items_are_repeated_one_by_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest =
            "tasks: [{name: each, action: demo.a, with_items: [1, 2, 3], repeat: {until: '{{ result() }}', max: 1}}]";
        let id = session.begin(rest).await;
        let [one, two, three] = session.claim_named(["each"; 3]).await;
        assert_eq!(session.complete(&one, json!(true)).await, "completed");
        assert_eq!(session.complete(&two, json!(false)).await, "retrying");
        assert_eq!(session.complete(&three, json!(true)).await, "completed");
        let [again] = session.claim_named(["each"]).await;
        assert_eq!((again.task, session.complete(&again, json!(false)).await), (two.task, "failed".to_owned()));
        session.assert_ended(id, "failed", json!(null)).await;
        assert!(session.status(id).await["error_message"].as_str().unwrap().contains("item 1: `until` was still not"));
    })
    .await;
}

#[tokio::test]
async fn the_delay_grows_and_the_input_sees_the_result_before() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "vars: [{size: 10}]
tasks:
  - name: poll
    action: demo.a
    input: {size: '{{ vars.size }}', cursor: '{{ result().cursor | default(none) }}'}
    repeat: {until: '{{ result().cursor is none }}', delay: 10, backoff: exponential, factor: 3, max_delay: 60}
    retry: {count: 1}
",
            )
            .await;
        for (at, seen, cursor) in [
            (0.0, json!(null), json!("a")),
            (10.0, json!("a"), json!("b")),
            (40.0, json!("b"), json!("c")),
            (100.0, json!("c"), json!("d")),
        ] {
            session.at(at).await;
            session.run("SELECT workflow_tick()").await;
            let [task] = session.claim_named(["poll"]).await;
            assert_eq!(task.input, Some(json!({"size": 10, "cursor": seen})));
            if at == 10.0 {
                // A retry sees the same input as its repetition.
                session.fail(&task, json!(null)).await;
                let [task] = session.claim_named(["poll"]).await;
                assert_eq!(task.input, Some(json!({"size": 10, "cursor": "a"})));
                session.complete(&task, json!({"cursor": cursor})).await;
            } else {
                session.complete(&task, json!({"cursor": cursor})).await;
            }
            assert!(session.claim(1).await.is_empty());
        }
        session.at(160.0).await;
        session.run("SELECT workflow_tick()").await;
        let [task] = session.claim_named(["poll"]).await;
        session.complete(&task, json!({"cursor": null})).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

/// The work is done, but nobody knows whether the result is right: it must neither be repeated without being asked nor
/// be forgotten.
#[tokio::test]
async fn a_success_whose_condition_cannot_be_evaluated_fails_its_task_and_is_undone() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let poll = "tasks: [{name: poll, action: demo.a, repeat: {until: '{{ result().done }}'}, on_success: after}, {name: after, action: demo.b}]";
        let id = session.begin(poll).await;
        assert_eq!(poll_now(&mut session, json!({})).await, "failed");
        session.assert_ended(id, "failed", json!(null)).await;
        let why: String = session.value(format!("SELECT why FROM workflow_why({id})")).await;
        assert!(why.contains("poll") && why.contains("done"), "{why}");
        session.run(format!("SELECT workflow_rerun({id})")).await;
        assert_eq!(poll_now(&mut session, json!({"done": true})).await, "completed");
        session.work("after", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;

        for broken in ["repeat: {until: '{{ result().done }}'}", "repeat: {until: false, delay: '{{ result().delay }}', max: 3}"] {
            let rest = poll.replace("repeat: {until: '{{ result().done }}'}", &format!("{broken}, undo: {{action: demo.c}}"));
            let id = session.begin(&rest).await;
            assert_eq!(poll_now(&mut session, json!({})).await, "failed", "{broken}");
            session.work("undo:poll", json!(null)).await;
            session.assert_ended(id, "failed", json!(null)).await;
            assert_eq!(session.status(id).await["undo"], "done", "{broken}");
        }
    })
    .await;
}

#[tokio::test]
async fn items_whose_condition_cannot_be_evaluated_after_a_success_are_undone_too() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: poll, action: demo.a, with_items: [1, 2], repeat: {until: '{{ result().done }}'}, undo: {action: demo.c, input: {of: '{{ item }}'}}}
",
            )
            .await;
        let [one, two] = session.claim_named(["poll", "poll"]).await;
        assert_eq!(session.complete(&one, json!({"done": true})).await, "completed");
        assert_eq!(session.complete(&two, json!({})).await, "failed");
        for of in [2, 1] {
            let [undo] = session.claim_named(["undo:poll"]).await;
            assert_eq!(undo.input, Some(json!({"of": of})));
            session.complete(&undo, json!(null)).await;
        }
        session.assert_ended(id, "failed", json!(null)).await;
    })
    .await;
}
