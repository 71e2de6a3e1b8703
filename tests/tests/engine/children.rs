//! Workflows that call workflows: ends propagate up, and stops propagate down.

use crate::fixture::*;
use pg_workflow_tests::{Database, with_database};
use serde_json::{Value, json};

pub const CHILD: &str =
    "parameters: {type: object, required: [n], properties: {n: {type: integer}, m: {type: integer, default: 1}}}
tasks:
  - {name: x, action: demo.a, input: {n: '{{ parameters.n }}', m: '{{ parameters.m }}'}, on_success: y}
  - {name: y, action: demo.b}
output_map: [{y: '{{ task.y.result }}'}]
";

/// demo.child, and demo.w that calls it.
pub async fn family(db: &Database, rest: &str) -> Session {
    let mut session = Session::new(db).await;
    session.define_as("demo.child", CHILD).await;
    session.define(rest).await;
    session
}

/// Returns execution, depth, task, item and status of each execution in a tree.
pub async fn tree(session: &mut Session, execution: i64) -> Vec<(i64, i32, Option<String>, Option<i32>, String)> {
    session
        .rows(format!("SELECT execution, depth, task_name, task_index, status::text FROM workflow_tree({execution})"))
        .await
}

pub async fn statuses(session: &mut Session, execution: i64) -> Vec<String> {
    tree(session, execution).await.into_iter().map(|row| row.4).collect()
}

pub async fn control(session: &mut Session, call: String) -> String {
    session.value(format!("SELECT workflow_{call}::text")).await
}

pub const CALL: &str = "tasks:
  - {name: call, action: demo.child, input: {n: 5}, on_success: after, on_failure: amend}
  - {name: after, action: demo.c, input: {y: '{{ task.call.result.y }}'}}
  - {name: amend, action: demo.d, input: {why: '{{ task.call.error.message }}'}}
";

#[tokio::test]
async fn a_called_workflow_runs_as_a_child_and_its_output_is_the_tasks_result() {
    with_database(async |db| {
        let mut session = family(db, CALL).await;
        let id: i64 = session.value("SELECT workflow_start('demo.w', part => 3, priority => 2)").await;
        let [x] = session.claim_named(["x"]).await;
        assert_eq!(x.input, Some(json!({"n": 5, "m": 1})));
        let family = tree(&mut session, id).await;
        let child = family[1].0;
        assert_eq!(
            family,
            [(id, 0, None, None, "running".into()), (child, 1, Some("call".into()), None, "running".into())]
        );
        assert_eq!(child >> 48, 3, "a tree shares its part");
        let call: Value = session
            .value("SELECT to_jsonb(t) FROM workflow.workflow_task_execution AS t WHERE task_name = 'call'")
            .await;
        assert_eq!(
            (&call["execution"], &call["status"], &call["attempt"]),
            (&json!(child), &json!("running"), &json!(1))
        );
        let priority: i32 =
            session.value(format!("SELECT priority FROM workflow.workflow_execution WHERE execution = {child}")).await;
        assert_eq!(priority, 2);
        session.complete(&x, json!(null)).await;
        session.work("y", json!("done")).await;
        let [after] = session.claim_named(["after"]).await;
        assert_eq!(after.input, Some(json!({"y": "done"})));
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(statuses(&mut session, id).await, ["completed", "completed"]);
    })
    .await;
}

#[tokio::test]
async fn no_worker_can_claim_or_report_a_call() {
    with_database(async |db| {
        let mut session = family(db, CALL).await;
        session.start().await;
        let (call, lease): (i64, i64) = session
            .rows("SELECT id, coalesce(lease, 1) FROM workflow.workflow_task_execution WHERE task_name = 'call'")
            .await
            .remove(0);
        let claimed: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 10, ARRAY['demo.child'])").await;
        assert!(claimed.is_empty());
        assert_eq!(
            session.refused(format!("SELECT workflow_complete({call}, {lease})")).await.code(),
            ("55006", "WF615")
        );
    })
    .await;
}

#[tokio::test]
async fn a_childs_failure_is_the_tasks_and_a_retry_calls_again() {
    with_database(async |db| {
        let mut session = family(
            db,
            "tasks:\n  - {name: call, action: demo.child, input: {n: 5}, retry: {count: 1, delay: 10}, on_success: after}\n  - {name: after, action: demo.c}\n",
        )
        .await;
        let id = session.start().await;
        let [x] = session.claim_named(["x"]).await;
        session.fail(&x, json!({"message": "no"})).await;
        assert_eq!(statuses(&mut session, id).await, ["running", "failed"]);
        session.at(10.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        let [x] = session.claim_named(["x"]).await;
        session.fail(&x, json!({"message": "no"})).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let error: Value =
            session.value("SELECT error FROM workflow.workflow_task_execution WHERE task_name = 'call'").await;
        let family = tree(&mut session, id).await;
        assert_eq!((&error["type"], &error["execution"]), (&json!("workflow"), &json!(family[2].0)));
        assert!(error["message"].as_str().unwrap().contains("task x ended as failed"), "{error}");
        assert_eq!(control(&mut session, format!("rerun({id})")).await, "running");
        session.work("x", json!(null)).await;
        session.work("y", json!(null)).await;
        session.work("after", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        // The rerun called no other execution: the second one continued.
        assert_eq!(statuses(&mut session, id).await, ["completed", "failed", "completed"]);
    })
    .await;
}

#[tokio::test]
async fn a_workflow_that_cannot_be_called_fails_its_task() {
    with_database(async |db| {
        let mut session = family(
            db,
            "parameters: {type: object, properties: {ref: {type: string}, n: {}}}
tasks:
  - {name: call, action: '{{ parameters.ref }}', input: {n: '{{ parameters.n }}'}, on_failure: amend}
  - {name: amend, action: demo.d, input: '{{ task.call.error }}'}
",
        )
        .await;
        session.define_as("demo.off", "enabled: false\ntasks: [{name: a, action: demo.a}]\n").await;
        session.run("SELECT workflow_create_definition('demo.outside', (SELECT id FROM workflow.pack WHERE ref = 'demo'), 'Outside', '1', '{}')").await;
        session.run("SELECT workflow_create_action('demo.outside', (SELECT id FROM workflow.pack WHERE ref = 'demo'), 'Outside')").await;
        session.run("SELECT workflow_link_action((SELECT id FROM workflow.action WHERE ref = 'demo.outside'), (SELECT id FROM workflow.workflow_definition WHERE ref = 'demo.outside'))").await;
        for (r#ref, n, code) in
            [("demo.child", json!("five"), "WF601"), ("demo.off", json!(1), "WF611"), ("demo.outside", json!(1), "WF618")]
        {
            let id = session.start_with(json!({"ref": r#ref, "n": n})).await;
            let [amend] = session.claim_named(["amend"]).await;
            let why = amend.input.clone().unwrap();
            assert_eq!((&why["type"], &why["code"]), (&json!("workflow"), &json!(code)), "{why}");
            session.complete(&amend, json!(null)).await;
            session.assert_ended(id, "completed", json!(null)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn workflows_call_each_other_only_so_deep() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: again, action: demo.w}]\n").await;
        let id = session.start().await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(statuses(&mut session, id).await, vec!["failed"; 11]);
        let message: String = session
            .value("SELECT t.error ->> 'message' FROM workflow.workflow_task_execution t ORDER BY id DESC LIMIT 1")
            .await;
        assert_eq!(message, "workflow demo.w is called through more than 10 workflows");
        session.run("SET pg_workflow.max_workflow_depth = 2").await;
        let id = session.start().await;
        assert_eq!(statuses(&mut session, id).await, vec!["failed"; 3]);
    })
    .await;
}

#[tokio::test]
async fn items_call_so_many_children_at_once_and_their_outputs_are_in_order() {
    with_database(async |db| {
        let mut session = family(
            db,
            "tasks: [{name: each, action: demo.child, with_items: {items: [7, 8, 9], concurrency: 2}, input: {n: '{{ item }}'}}]
output_map: [{ys: \"{{ task.each.result | map(attribute='y') | list }}\"}]
",
        )
        .await;
        let id = session.start().await;
        for expected in [vec![7, 8], vec![9]] {
            let xs = session.claim(10).await;
            let numbers: Vec<_> = xs.iter().map(|x| x.input.as_ref().unwrap()["n"].as_i64().unwrap()).collect();
            assert_eq!(numbers, expected);
            // The last comes first.
            for (x, n) in xs.iter().zip(&numbers).rev() {
                session.complete(x, json!(null)).await;
                session.work("y", json!(n * 10)).await;
                if *n == 8 {
                    let next: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 1, ARRAY['demo.c'])").await;
                    assert!(next.is_empty());
                    break;
                }
            }
            if expected.len() == 2 {
                // One of two has ended, so it is the third one's turn.
                let [third] = session.claim_named(["x"]).await;
                assert_eq!(third.input, Some(json!({"n": 9, "m": 1})));
                session.complete(&xs[0], json!(null)).await;
                session.complete(&third, json!(null)).await;
                for y in session.claim(10).await {
                    let n: i64 = session
                        .value(format!("SELECT (e.config ->> 'n')::bigint FROM workflow.workflow_execution w JOIN workflow.execution e ON e.id = w.execution WHERE w.id = {}", y.execution))
                        .await;
                    session.complete(&y, json!(n * 10)).await;
                }
                break;
            }
        }
        session.assert_ended(id, "completed", json!({"ys": [70, 80, 90]})).await;
    })
    .await;
}

#[tokio::test]
async fn workflows_that_call_ever_more_of_themselves_do_so_in_bounded_steps() {
    if pg_workflow_tests::major() != 15 {
        println!("skipped: twenty thousand executions take time, and other majors do not differ here");
        return;
    }
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: again, action: demo.w, with_items: {items: '{{ range(4) | list }}'}}]\n").await;
        let id = session.start().await;
        let started: i64 = session.value("SELECT count(*) FROM workflow.execution").await;
        assert_eq!(started, 10_001);
        assert!(session.value::<i32>("SELECT workflow_tick(100)").await >= 100);
        let more: i64 = session.value("SELECT count(*) FROM workflow.execution").await;
        assert!(more > started && more <= started + 10_000, "{more}");
        assert_eq!(tree(&mut session, id).await.len(), 1000);
        session.run("TRUNCATE workflow.execution CASCADE").await;
    })
    .await;
}

#[tokio::test]
async fn the_error_of_a_call_leads_down_to_what_broke() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.leaf", "tasks: [{name: pay, action: demo.a, with_items: [1, 2]}]\n").await;
        session.define_as("demo.middle", "tasks: [{name: inner, action: demo.leaf}]\n").await;
        let rest = "tasks:
  - {name: outer, action: demo.middle, on_failure: look}
  - {name: look, action: demo.b, input: {cause: '{{ task.outer.error.cause }}'}, on_success: again}
  - {name: again, action: demo.middle}
";
        let id = session.begin(rest).await;
        for _ in 0..2 {
            let [one, two] = session.claim_named(["pay", "pay"]).await;
            session.complete(&one, json!(null)).await;
            session.fail(&two, json!({"type": "declined", "message": "card declined"})).await;
            if let [look] = &session.claim(1).await[..] {
                let cause = look.input.clone().unwrap()["cause"].clone();
                assert_eq!((&cause["task"], &cause["error"]["type"]), (&json!("inner"), &json!("workflow")));
                let bottom = &cause["cause"];
                assert_eq!((&bottom["task"], &bottom["item"]), (&json!("pay"), &json!(1)));
                assert_eq!(bottom["error"], json!({"type": "declined", "message": "card declined", "item": 1}));
                session.complete(look, json!(null)).await;
            }
        }
        let message = session.status(id).await["error_message"].as_str().unwrap().to_owned();
        assert!(message.ends_with("task pay: card declined"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn the_hint_for_what_was_called_heeds_what_called_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks: [{name: x, action: demo.a}]\n").await;
        let hint = async |session: &mut Session, id: i64| -> String {
            session.value(format!("SELECT hint FROM workflow_why({id})")).await
        };
        let id = session
            .begin("tasks:\n  - {name: call, action: demo.child, on_failure: h}\n  - {name: h, action: demo.b}\n")
            .await;
        let [x] = session.claim_named(["x"]).await;
        session.fail(&x, json!({})).await;
        let said = hint(&mut session, id + 1).await;
        assert_eq!(
            said,
            format!(
                "it was called by execution {id}, which has continued without it: SELECT * FROM workflow_why({id})"
            )
        );
        session.work("h", json!(null)).await;
        let id = session.begin("rerun: never\ntasks: [{name: call, action: demo.child}]\n").await;
        let [x] = session.claim_named(["x"]).await;
        session.fail(&x, json!({})).await;
        assert!(hint(&mut session, id + 1).await.contains("its workflow has rerun: never"));
    })
    .await;
}
