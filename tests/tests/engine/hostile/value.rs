//! Results and variables that are too large, or nested too deeply.

use super::{LINEAR, refused_soon};
use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

#[tokio::test]
async fn a_result_of_100_mb_is_refused_and_changes_nothing() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        let [one] = session.claim_named(["one"]).await;
        let before = session.contents().await;
        let pid: i32 = session.value("SELECT pg_backend_pid()").await;
        let (task, lease) = (one.task, one.lease_token);
        session.run("CREATE TEMP TABLE large AS SELECT to_jsonb(repeat('x', 100000000)) AS value").await;
        for call in [
            format!("workflow_complete({task}, {lease}, to_jsonb(repeat('x', 100000000)))"),
            format!("workflow_fail({task}, {lease}, to_jsonb(repeat('x', 100000000)))"),
            format!("workflow_fail({task}, {lease}, result => to_jsonb(repeat('x', 100000000)))"),
        ] {
            let refusal = refused_soon(&mut session, format!("SELECT {call}")).await;
            assert_eq!(refusal.code(), ("54000", "WF614"), "{refusal:#?}");
            assert!(refusal.message.contains("100000012 bytes"), "{refusal:#?}");
        }
        let word: String = session
            .value(format!(
                "SELECT code FROM workflow_finish(ARRAY[ROW({task}, {lease}, 'completed', to_jsonb(repeat('x', 100000000)), NULL, NULL, NULL, NULL, NULL)::workflow.outcome])"
            ))
            .await;
        assert_eq!(word, "WF614");
        assert_eq!(session.value::<i32>("SELECT pg_backend_pid()").await, pid);
        assert_eq!(session.contents().await, before);
        session.complete(&one, json!("x")).await;
        session.work("two", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn json_nested_ten_thousand_deep_is_refused_where_it_would_be_read() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        // As deep as PostgreSQL itself reads with this setting.
        session.run("SET max_stack_depth = '6MB'").await;
        session.define(LINEAR).await;
        let deep = "(repeat('[', 10000) || repeat(']', 10000))::jsonb";
        let refusal = refused_soon(&mut session, format!("SELECT workflow_start('demo.w', {deep})")).await;
        assert_eq!(refusal.sqlstate, "54000", "{refusal:#?}");
        let refusal =
            refused_soon(&mut session, format!("SELECT workflow_start('demo.w', jsonb_build_object('x', {deep}))"))
                .await;
        assert_eq!(refusal.code(), ("54000", "WF614"), "{refusal:#?}");
        session.start().await;
        let [one] = session.claim_named(["one"]).await;
        let refusal =
            refused_soon(&mut session, format!("SELECT workflow_complete({}, {}, {deep})", one.task, one.lease_token))
                .await;
        assert_eq!(refusal.code(), ("54000", "WF614"), "{refusal:#?}");
        // As a schema of an action, it causes no stack overflow either.
        session
            .run(format!("SELECT workflow_register_action('demo.x', param_schema => {deep}, out_schema => {deep})"))
            .await;
        let text = source("demo.v", "tasks: [{name: a, action: demo.x, input: {a: 1}}]\n");
        session.run(format!("SELECT count(*) FROM workflow_validate($y${text}$y$)")).await;
    })
    .await;
}

#[tokio::test]
async fn a_deep_result_that_is_only_read_later_fails_its_workflow_and_holds_up_nobody() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "tasks:
  - {name: one, action: demo.a, on_success: two}
  - {name: two, action: demo.b, on_success: three}
  - {name: three, action: demo.c, input: {x: '{{ task.one.result }}'}}
",
            )
            .await;
        let (deep, sound) = (session.start().await, session.start().await);
        let ones = session.claim_named(["one", "one"]).await;
        let value = "(repeat('[', 3000) || repeat(']', 3000))::jsonb";
        session.run(format!("SELECT workflow_complete({}, {}, {value})", ones[0].task, ones[0].lease_token)).await;
        session.complete(&ones[1], json!(1)).await;
        // Both in one batch.
        let twos = session.claim_named(["two", "two"]).await;
        let outcomes: Vec<_> = twos.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
        let answers = session.finish(&outcomes).await;
        assert!(answers.iter().all(|answer| answer.word() == "completed"), "{answers:?}");
        session.assert_ended(deep, "failed", json!(null)).await;
        let message = session.status(deep).await["error_message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with("WF602") && message.contains("task three") && message.contains("deep"),
            "{message}"
        );
        session.work("three", json!(null)).await;
        session.assert_ended(sound, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn variables_fill_their_bound_and_no_more() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SET pg_workflow.max_context_bytes = 1000").await;
        // Besides its value, the variable takes 10 bytes.
        session
            .define(
                "tasks:
  - {name: one, action: demo.a, publish: [{text: '{{ result() }}'}], on_success: two}
  - {name: two, action: demo.b}
output_map: [{text: '{{ vars.text }}'}]
",
            )
            .await;
        let full = session.start().await;
        session.work("one", json!("x".repeat(990))).await;
        session.work("two", json!(null)).await;
        session.assert_ended(full, "completed", json!({"text": "x".repeat(990)})).await;
        let over = session.start().await;
        session.work("one", json!("x".repeat(991))).await;
        let status = session.status(over).await;
        assert_eq!((&status["status"], &status["ended"]), (&json!("failed"), &json!(true)), "{status:#}");
        assert_eq!(
            status["error_message"],
            "WF614: with variable text, published by task one, the variables take 1001 bytes, but at most 1000 are allowed"
        );
        assert_eq!(status["variables"], json!({}));
    })
    .await;
}
