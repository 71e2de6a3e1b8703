//! A walk through the possible states of an execution, guided by the hints of `workflow_why`: at every moment, in each
//! of six calls, there is a sentence on what it is waiting for, and the SQL of a hint can be pasted and does what it
//! says.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

type Said = Vec<(Option<String>, String, Option<String>)>;

/// Returns the explanations for an execution, which must be the same at each call, even with a generic plan.
async fn why(session: &mut Session, id: i64) -> Said {
    let call = format!("SELECT task, why, hint FROM workflow_why({id})");
    let first: Said = session.rows(call.clone()).await;
    for _ in 0..5 {
        assert_eq!(session.rows::<(Option<String>, String, Option<String>)>(call.clone()).await, first);
    }
    session.run("SET plan_cache_mode = force_generic_plan").await;
    assert_eq!(session.rows::<(Option<String>, String, Option<String>)>(call).await, first);
    session.run("RESET plan_cache_mode").await;
    let broken: Vec<(String,)> = session.rows("SELECT c::text FROM workflow_check() AS c").await;
    assert!(broken.is_empty(), "{broken:?}");
    first
}

/// Runs the SQL of the only hint that contains some. Returns the sentence that came with it.
async fn follow(session: &mut Session, id: i64, says: &str) -> String {
    let said = why(session, id).await;
    let hint = said.iter().find(|(_, why, _)| why.contains(says)).unwrap_or_else(|| panic!("{says}: {said:?}"));
    let text = hint.2.clone().unwrap_or_else(|| panic!("no hint: {said:?}"));
    let sql = text.split("SELECT ").nth(1).unwrap_or_else(|| panic!("no SQL: {text}"));
    let sql = sql.split([';', ',']).next().unwrap().split(" with ").next().unwrap().split(", or").next().unwrap();
    session.run(format!("SELECT {sql}")).await;
    hint.1.clone()
}

async fn says(session: &mut Session, id: i64, expected: &[&str]) {
    let said = why(session, id).await;
    let sentences: Vec<String> =
        said.iter().map(|(task, why, _)| format!("{} {why}", task.as_deref().unwrap_or_default())).collect();
    for part in expected {
        assert!(sentences.iter().any(|sentence| sentence.contains(part)), "{part}: {sentences:#?}");
    }
}

#[tokio::test]
async fn each_state_of_a_task_has_a_true_sentence_and_a_hint_that_works() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "finally: tidy\ntasks: [{name: x, action: demo.c}, {name: tidy, action: demo.d}]\n").await;
        let rest = "finally: last
tasks:
  - {name: delayed, action: demo.a, delay: 60, on_success: [poll, each, ask]}
  - {name: poll, action: demo.a, repeat: {until: '{{ result() }}', delay: 5}, retry: {count: 1, delay: 7}, on_success: gate}
  - {name: each, action: demo.b, with_items: {items: [1, 2], concurrency: 1}, on_success: gate}
  - {name: ask, wait_for: {signal: go}, on_success: gate}
  - {name: gate, join: all, on_success: call}
  - {name: call, action: demo.child, on_failure: undo}
  - {name: undo, action: demo.b, on_success: boom}
  - {name: boom, action: demo.b}
  - {name: last, action: demo.d}
";
        let id = session.begin(rest).await;
        says(&mut session, id, &["delayed starts at 2026-01-01 00:01:00"]).await;
        session.at(60.0).await;
        follow(&mut session, id, "workflow_tick has not been called since").await;
        says(&mut session, id, &["delayed has been queued since"]).await;
        let [delayed] = session.claim_named(["delayed"]).await;
        says(&mut session, id, &["delayed was claimed by w1 (attempt 1)"]).await;
        session.complete(&delayed, json!(null)).await;
        // An uncommitted claim changes nothing for others, so the explanation stays true.
        let mut other = Session::new(db).await;
        other.at(60.0).await;
        other.run("BEGIN").await;
        other.run("SELECT workflow_claim('dies', 1, '{demo.a}')").await;
        says(&mut session, id, &["poll has been queued", "each", "ask has been waiting for signal go since"]).await;
        other.run("ROLLBACK").await;
        let tasks: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 1, '{demo.a}')").await;
        session.complete(&tasks[0], json!(false)).await;
        says(&mut session, id, &["poll will run again at 2026-01-01 00:01:05+00, because `until` was not satisfied yet"]).await;
        session.at(65.0).await;
        session.run("SELECT workflow_tick()").await;
        let tasks: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 1, '{demo.a}')").await;
        session.fail(&tasks[0], json!({"message": "no net"})).await;
        says(&mut session, id, &["poll failed (no net) and will be retried at 2026-01-01 00:01:12"]).await;
        // A dead worker.
        session.run("SELECT workflow_claim('worker-7', 1, '{demo.b}', '1 second')").await;
        session.at(72.0).await;
        follow(&mut session, id, "was claimed by worker-7 (attempt 1), whose lease ended").await;
        says(&mut session, id, &["poll has been queued", "each"]).await;
        // A pause, and its end by the hint.
        session.run(format!("SELECT workflow_pause({id}, 'lunch')")).await;
        follow(&mut session, id, "paused").await;
        assert_eq!(session.status(id).await["paused"], false);
        for action in ["demo.a", "demo.b", "demo.b"] {
            let tasks: Vec<Task> = session.rows(format!("SELECT * FROM workflow_claim('w1', 1, '{{{action}}}')")).await;
            session.complete(&tasks[0], json!(true)).await;
        }
        session.run(format!("SELECT workflow_signal({id}, 'go', 'true')")).await;
        // A call waits for whatever its child waits for.
        says(&mut session, id, &["call is waiting for execution", "task x has been queued"]).await;
        let child: i64 = session.value("SELECT max(id) FROM workflow.execution").await;
        let tasks: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 1, '{demo.c}')").await;
        session.fail(&tasks[0], json!({"message": "broke"})).await;
        says(&mut session, id, &["call is waiting for execution", "task tidy has been queued"]).await;
        says(&mut session, child, &["it has failed", "tidy has been queued"]).await;
        let tasks: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 1, '{demo.d}')").await;
        session.complete(&tasks[0], json!(null)).await;
        let tasks: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 1, '{demo.b}')").await;
        session.complete(&tasks[0], json!(null)).await;
        let [boom] = session.claim_named(["boom"]).await;
        session.fail(&boom, json!({"message": "kaputt"})).await;
        says(&mut session, id, &["it has failed", "kaputt", "last has been queued"]).await;
        session.work("last", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        // The tasks that closed it are named before the rerun, and the hint is the rerun.
        let said = why(&mut session, id).await;
        let hint = said[0].2.as_deref().unwrap();
        assert!(hint.starts_with("closing tasks have run (undo, boom, last): "), "{hint}");
        assert!(hint.find("last").unwrap() < hint.find("workflow_rerun").unwrap());
        session.run(format!("SELECT workflow_rerun({id})")).await;
        let [boom] = session.claim_named(["boom"]).await;
        session.run(format!("SELECT workflow_cancel({id}, 'enough')")).await;
        says(&mut session, id, &["it was cancelled", "boom was claimed by"]).await;
        session.complete(&boom, json!(null)).await;
        follow_force(&mut session, id).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
    })
    .await;
}

/// An execution that is closing says so, and how to stop that immediately.
async fn follow_force(session: &mut Session, id: i64) {
    let said = why(session, id).await;
    let hint = said.iter().filter_map(|(_, _, hint)| hint.as_deref()).find(|hint| hint.contains("force => true"));
    let hint = hint.unwrap_or_else(|| panic!("{said:?}"));
    let sql = &hint[hint.find("SELECT ").unwrap()..];
    session.run(sql[..sql.find("true)").unwrap() + 5].to_owned()).await;
}

#[tokio::test]
async fn a_join_that_cannot_fire_and_an_end_in_each_way_are_explained() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: a, action: demo.a, on_success: gate}
  - {name: b, action: demo.b, on_success: gate, on_failure: noop}
  - {name: gate, join: all, action: demo.c}
";
        let id = session.begin(rest).await;
        let [a, b] = session.claim_named(["a", "b"]).await;
        session.complete(&a, json!(null)).await;
        says(&mut session, id, &["gate is waiting for", "b was claimed by"]).await;
        session.fail(&b, json!({})).await;
        says(&mut session, id, &["it failed", "join gate can no longer fire"]).await;
        let id = session.start().await;
        session.run(format!("SELECT workflow_cancel({id}, 'not needed')")).await;
        says(&mut session, id, &["it was cancelled", "not needed"]).await;
        session.define("timeout: 5\ntasks: [{name: a, action: demo.a}]\n").await;
        let id = session.start().await;
        session.at(6.0).await;
        follow(&mut session, id, "workflow_tick has not been called since").await;
        says(&mut session, id, &["it timed out"]).await;
        follow(&mut session, id, "it timed out").await;
        session.work("a", json!(null)).await;
        says(&mut session, id, &["it completed"]).await;
    })
    .await;
}
