//! Erasing an execution immediately, whether or not it has ended.

use crate::fixture::*;
use pg_workflow_client::Engine;
use pg_workflow_tests::with_database;
use serde_json::json;

#[tokio::test]
async fn nothing_is_left_of_an_execution_that_runs_and_its_workers_are_told() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks: [{name: x, action: demo.a}]").await;
        session
            .define("parameters: {type: object}\ntasks: [{name: call, action: demo.child}, {name: b, action: demo.b, undo: {action: demo.c}}, {name: w, wait_for: {signal: go}}]")
            .await;
        let id: i64 = session.value("SELECT workflow_start('demo.w', '{\"name\": \"Jane Doe\"}', 'jane', attributes => '{\"person\": \"Jane Doe\"}')").await;
        let other: i64 = session.value("SELECT workflow_start('demo.w', '{\"name\": \"John\"}')").await;
        session.run(format!("SELECT workflow_signal({id}, 'go', '\"Jane Doe\"')")).await;
        let mut tasks = session.claim(10).await;
        tasks.retain(|task| task.execution != other && task.task_name == "b");
        let mut children: Vec<(i64,)> = session.rows(format!("SELECT execution FROM workflow_tree({id})")).await;
        assert_eq!(children.len(), 2);
        assert_eq!(Engine::erase(&db.pool, id).await.unwrap(), 2);
        assert!(!session.contents().await.contains("Jane"));
        children.retain(|(child,)| *child == id);
        assert_eq!(session.finish(&[(tasks[0].task, tasks[0].lease_token, "completed")]).await[0].word(), "WF616");
        let refusal = session.refused(format!("SELECT workflow_status({id})")).await;
        assert_eq!(refusal.code().1, "WF616");
        assert_eq!(session.status(other).await["status"], "running");
        session.at(1000.0).await;
        while session.value::<i32>("SELECT workflow_tick()").await > 0 {}
    })
    .await;
}

#[tokio::test]
async fn an_execution_that_ended_long_ago_can_be_erased_and_its_key_used_again() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        let id: i64 = session.value("SELECT workflow_start('demo.w', idempotency_key => 'k')").await;
        session.work("a", json!(null)).await;
        session.at(1e6).await;
        assert_eq!(session.value::<i32>(format!("SELECT workflow_erase({id})")).await, 1);
        let again: i64 = session.value("SELECT workflow_start('demo.w', idempotency_key => 'k')").await;
        assert_ne!(id, again);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_erased_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks: [{name: x, action: demo.a}]").await;
        session.define("tasks: [{name: call, action: demo.child}]").await;
        let id = session.start().await;
        let child: i64 = session.value(format!("SELECT id FROM workflow.execution WHERE parent = {id}")).await;
        for (call, code) in [
            (format!("workflow_erase({child})"), "WF611"),
            ("workflow_erase(NULL)".to_owned(), "WF613"),
            ("workflow_erase(77)".to_owned(), "WF616"),
            ("workflow_erase(-77)".to_owned(), "WF616"),
            ("workflow_erase(9223372036854775807)".to_owned(), "WF616"),
        ] {
            assert_eq!(session.refused(format!("SELECT {call}")).await.code().1, code, "{call}");
        }
    })
    .await;
}
