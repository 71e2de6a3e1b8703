//! Reruns propagate down to called executions, and up to callers.

use crate::fixture::*;
use pg_workflow_client::{Engine, Page};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

/// Defines the workflow that demo.w calls: two tasks, one after the other.
const CHILD: &str = "parameters: {type: object, properties: {n: {type: integer}}}
tasks:
  - {name: x, action: demo.a, input: {n: '{{ parameters.n }}'}, on_success: y}
  - {name: y, action: demo.b, input: {n: '{{ parameters.n }}'}}
output_map: [{y: '{{ task.y.result }}'}]
";

const CALL: &str = "tasks:
  - {name: before, action: demo.c, on_success: call}
  - {name: call, action: demo.child, input: {n: 5}, on_success: after}
  - {name: after, action: demo.d, input: {y: '{{ task.call.result.y }}'}}
";

async fn control(session: &mut Session, call: String) -> String {
    session.value(format!("SELECT workflow_{call}::text")).await
}

async fn rerun(session: &mut Session, execution: i64) {
    assert_eq!(control(session, format!("rerun({execution}, reason => 'mended')")).await, "running");
}

/// demo.w, which calls demo.child, started.
async fn family(session: &mut Session, rest: &str) -> i64 {
    session.define_as("demo.child", CHILD).await;
    session.begin(rest).await
}

/// Returns the id and status of each execution of a tree.
async fn tree(session: &mut Session, execution: i64) -> Vec<(i64, String)> {
    session.rows(format!("SELECT execution, status::text FROM workflow_tree({execution})")).await
}

/// Claims all tasks, which must have this name, one for each of these parameters, and returns them in that order.
async fn claim_of(session: &mut Session, name: &str, numbers: &[i64]) -> Vec<Task> {
    let mut tasks = session.claim(100).await;
    let number = |task: &Task| task.input.as_ref().unwrap()["n"].as_i64().unwrap();
    tasks.sort_by_key(number);
    let found: Vec<(&str, i64)> = tasks.iter().map(|task| (task.task_name.as_str(), number(task))).collect();
    assert_eq!(found, numbers.iter().map(|n| (name, *n)).collect::<Vec<_>>());
    tasks
}

async fn fail_one(session: &mut Session, name: &str) {
    let [task] = session.claim_named([name]).await;
    session.fail(&task, json!({"message": "no"})).await;
}

/// Returns the events of an execution about reruns: reason and author.
async fn reruns(session: &mut Session, execution: i64) -> Vec<(Option<String>, Option<String>)> {
    let events = Engine::list_events(&mut session.connection, execution, Page::default()).await.unwrap();
    events.into_iter().filter(|event| event.kind == "rerun").map(|event| (event.message, event.author)).collect()
}

async fn assert_told(session: &mut Session, executions: &[i64], times: usize) {
    let me: String = session.value("SELECT session_user::text").await;
    for execution in executions {
        assert_eq!(reruns(session, *execution).await, vec![(Some("mended".into()), Some(me.clone())); times]);
    }
}

#[tokio::test]
async fn what_a_failed_child_did_well_is_kept_when_its_parent_is_rerun() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = family(&mut session, CALL).await;
        session.work("before", json!(null)).await;
        session.work("x", json!(null)).await;
        for times in 1..=2 {
            fail_one(&mut session, "y").await;
            session.assert_ended(id, "failed", json!(null)).await;
            rerun(&mut session, id).await;
            let family = tree(&mut session, id).await;
            assert_eq!(family.iter().map(|(_, status)| status.as_str()).collect::<Vec<_>>(), ["running", "running"]);
            assert_told(&mut session, &[id, family[1].0], times).await;
            let call: Value = session
                .value("SELECT to_jsonb(t) FROM workflow.workflow_task_execution AS t WHERE task_name = 'call'")
                .await;
            assert_eq!((&call["status"], &call["execution"]), (&json!("running"), &json!(family[1].0)));
            assert_eq!((&call["attempt"], &call["error"]["type"]), (&json!(times + 1), &json!("workflow")));
        }
        session.work("y", json!("done")).await;
        let [after] = session.claim_named(["after"]).await;
        assert_eq!(after.input, Some(json!({"y": "done"})));
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(tree(&mut session, id).await.len(), 2);
    })
    .await;
}

/// Starts demo.w, which calls demo.child for each of 1, 2 and 3; those of 1 and 3 have failed at y. Returns all four
/// executions.
async fn items_failed(session: &mut Session, options: &str) -> (i64, [i64; 3]) {
    let items = format!("with_items: {{items: [1, 2, 3], on_item_failure: continue{options}}}");
    let rest = format!("tasks: [{{name: each, action: demo.child, {items}, input: {{n: '{{{{ item }}}}'}}}}]\n");
    let id = family(session, &rest).await;
    loop {
        let tasks = session.claim(10).await;
        if tasks.is_empty() {
            break;
        }
        for task in tasks {
            let n = task.input.as_ref().unwrap()["n"].as_i64().unwrap();
            if task.task_name == "y" && n != 2 {
                session.fail(&task, json!({"message": "no"})).await;
            } else {
                session.complete(&task, json!(n)).await;
            }
        }
    }
    session.assert_ended(id, "failed", json!(null)).await;
    let family = tree(session, id).await;
    (id, [family[1].0, family[2].0, family[3].0])
}

#[tokio::test]
async fn only_children_of_failed_items_continue() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let (id, children) = items_failed(&mut session, "").await;
        rerun(&mut session, id).await;
        for y in claim_of(&mut session, "y", &[1, 3]).await {
            session.complete(&y, json!(null)).await;
        }
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(tree(&mut session, id).await.len(), 4);
        assert_told(&mut session, &[id, children[0], children[2]], 1).await;
        assert_told(&mut session, &[children[1]], 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_child_continues_when_its_item_has_its_turn() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let (id, children) = items_failed(&mut session, ", concurrency: 1").await;
        rerun(&mut session, id).await;
        for (n, told) in [(1, 0), (3, 1)] {
            assert_told(&mut session, &[children[2]], told).await;
            let [y] = claim_of(&mut session, "y", &[n]).await.try_into().unwrap();
            session.complete(&y, json!(null)).await;
        }
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(tree(&mut session, id).await.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn the_item_whose_child_is_named_has_the_first_turn() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let (id, children) = items_failed(&mut session, ", concurrency: 1").await;
        // From its first task, which succeeded.
        let call = format!("rerun({}, ARRAY['x'], reason => 'mended')", children[2]);
        assert_eq!(control(&mut session, call).await, "running");
        assert_told(&mut session, &[id, children[2]], 1).await;
        assert_told(&mut session, &[children[0]], 0).await;
        for (name, n) in [("x", 3), ("y", 3), ("y", 1)] {
            let [task] = claim_of(&mut session, name, &[n]).await.try_into().unwrap();
            session.complete(&task, json!(null)).await;
        }
        session.assert_ended(id, "completed", json!(null)).await;
        assert_told(&mut session, &[id, children[0], children[2]], 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_rerun_goes_down_and_up_through_all_levels() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.leaf", CHILD).await;
        session.define_as("demo.child", "tasks:\n  - {name: inner, action: demo.leaf, input: {n: 1}, on_success: z}\n  - {name: z, action: demo.c}\n").await;
        session.define("tasks:\n  - {name: call, action: demo.child, on_success: after}\n  - {name: after, action: demo.d}\n").await;
        for from in 0..3 {
            let id = session.start().await;
            session.work("x", json!(null)).await;
            fail_one(&mut session, "y").await;
            let family: Vec<i64> = tree(&mut session, id).await.into_iter().map(|(execution, _)| execution).collect();
            rerun(&mut session, family[from]).await;
            assert_told(&mut session, &family, 1).await;
            for name in ["y", "z", "after"] {
                session.work(name, json!(null)).await;
            }
            let expected: Vec<_> = family.iter().map(|execution| (*execution, "completed".to_owned())).collect();
            assert_eq!(tree(&mut session, id).await, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn with_reset_items_calls_start_new_executions() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = family(&mut session, CALL).await;
        session.work("before", json!(null)).await;
        for named in ["", "ARRAY['call'], "] {
            session.work("x", json!(null)).await;
            fail_one(&mut session, "y").await;
            assert_eq!(control(&mut session, format!("rerun({id}, {named}reset_items => true)")).await, "running");
        }
        for name in ["x", "y", "after"] {
            session.work(name, json!(null)).await;
        }
        session.assert_ended(id, "completed", json!(null)).await;
        let statuses: Vec<String> = tree(&mut session, id).await.into_iter().map(|(_, status)| status).collect();
        assert_eq!(statuses, ["completed", "failed", "failed", "completed"]);
    })
    .await;
}

#[tokio::test]
async fn a_child_that_cannot_continue_is_replaced_by_a_new_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        // It completed.
        let id = family(&mut session, CALL).await;
        for name in ["before", "x", "y"] {
            session.work(name, json!(null)).await;
        }
        fail_one(&mut session, "after").await;
        assert_eq!(control(&mut session, format!("rerun({id}, ARRAY['call'])")).await, "running");
        for name in ["x", "y", "after"] {
            session.work(name, json!(null)).await;
        }
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(tree(&mut session, id).await.len(), 3);
        // None of its tasks failed, only the execution as a whole.
        session.define_as("demo.child", &format!("output: {{required: [z]}}\n{CHILD}")).await;
        let id = session.start().await;
        for name in ["before", "x", "y"] {
            session.work(name, json!(null)).await;
        }
        session.assert_ended(id, "failed", json!(null)).await;
        let child = tree(&mut session, id).await[1].0;
        let refusal = session.refused(format!("SELECT workflow_rerun({child})")).await;
        assert_eq!(refusal.message, format!("WF612: execution {child} cannot be rerun: none of its tasks failed"));
        session.define_as("demo.child", CHILD).await;
        rerun(&mut session, id).await;
        for name in ["x", "y", "after"] {
            session.work(name, json!(null)).await;
        }
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(tree(&mut session, id).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_child_cancelled_with_its_parent_continues_with_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = family(&mut session, CALL).await;
        session.work("before", json!(null)).await;
        let child = tree(&mut session, id).await[1].0;
        for execution in [id, child] {
            // It continues with the task that would have come next.
            let [x] = session.claim_named(["x"]).await;
            assert_eq!(control(&mut session, format!("cancel({execution})")).await, "canceling");
            session.complete(&x, json!(null)).await;
            session.assert_ended(id, "cancelled", json!(null)).await;
            rerun(&mut session, execution).await;
            let [y] = session.claim_named(["y"]).await;
            assert_eq!(control(&mut session, format!("cancel({id})")).await, "canceling");
            session.complete(&y, json!(null)).await;
            session.assert_ended(id, "cancelled", json!(null)).await;
            // The child has nothing left to do unless tasks are named.
            assert_eq!(control(&mut session, format!("rerun({child}, ARRAY['x'])")).await, "running");
        }
        for name in ["x", "y", "after"] {
            session.work(name, json!(null)).await;
        }
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(tree(&mut session, id).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_took_too_long_has_its_time_again() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = family(&mut session, "tasks: [{name: call, action: demo.child, input: {n: 1}, timeout: 60}]\n").await;
        session.work("x", json!(null)).await;
        session.at(60.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        session.assert_ended(id, "failed", json!(null)).await;
        for (begun, over) in [(100.0, 160.0), (200.0, 260.0)] {
            session.at(begun).await;
            rerun(&mut session, id).await;
            session.at(over - 1.0).await;
            assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
            session.at(over).await;
            assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
            session.assert_ended(id, "failed", json!(null)).await;
        }
        rerun(&mut session, id).await;
        session.work("y", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(tree(&mut session, id).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_child_is_not_rerun_if_its_caller_has_continued_without_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: call, action: demo.child, input: {n: 5}, on_failure: amend}
  - {name: amend, action: demo.d}
";
        let id = family(&mut session, rest).await;
        session.work("x", json!(null)).await;
        fail_one(&mut session, "y").await;
        let child = tree(&mut session, id).await[1].0;
        let refused = async |session: &mut Session, execution: i64, why: String| {
            let refusal = session.refused(format!("SELECT workflow_rerun({execution})")).await;
            assert_eq!(refusal.code(), ("55000", "WF612"));
            assert_eq!(refusal.message, format!("WF612: execution {execution} cannot be rerun: {why}"));
            refusal.hint
        };
        let why = format!("execution {id}, which called execution {child}, has not ended");
        let hint = refused(&mut session, child, why).await;
        assert_eq!(hint, "Wait until it has ended (workflow_wait), then try again.");
        session.work("amend", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        let why = format!("execution {id}, which called execution {child}, has completed");
        let hint = refused(&mut session, child, why).await;
        assert_eq!(hint, "Nothing is left to do. To do it once more, start a new execution with workflow_start.");
        // A retry has called another execution.
        let id = session.begin("tasks: [{name: call, action: demo.child, input: {n: 5}, retry: {count: 1}}]\n").await;
        for _ in 0..2 {
            session.work("x", json!(null)).await;
            fail_one(&mut session, "y").await;
        }
        let family = tree(&mut session, id).await;
        let (first, second) = (family[1].0, family[2].0);
        let why = format!("the task of execution {id} that called execution {first} has continued without it");
        let hint = refused(&mut session, first, why).await;
        assert_eq!(hint, "Use workflow_tree to find the execution that it called last, and rerun that one.");
        rerun(&mut session, second).await;
        refused(&mut session, second, "it has not ended".into()).await;
        session.work("y", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        refused(&mut session, second, "it has completed".into()).await;
    })
    .await;
}

#[tokio::test]
async fn a_child_that_ran_before_the_newest_round_of_a_cycle_is_not_rerun() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: begin, on_success: call}
  - {name: call, action: demo.child, input: {n: 5}, on_failure: look}
  - {name: look, action: demo.c, next: [{when: '{{ succeeded() }}', do: call}]}
";
        let id = family(&mut session, rest).await;
        session.work("x", json!(null)).await;
        fail_one(&mut session, "y").await;
        session.work("look", json!(null)).await;
        session.work("x", json!(null)).await;
        fail_one(&mut session, "y").await;
        fail_one(&mut session, "look").await;
        session.assert_ended(id, "failed", json!(null)).await;
        let family = tree(&mut session, id).await;
        let refusal = session.refused(format!("SELECT workflow_rerun({})", family[1].0)).await;
        assert!(refusal.message.ends_with("has continued without it"), "{refusal:?}");
        // The newest one is: tasks that followed from its failure no longer run.
        rerun(&mut session, family[2].0).await;
        session.work("y", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_locked_child_continues_at_the_next_tick() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = family(&mut session, CALL).await;
        session.work("before", json!(null)).await;
        session.work("x", json!(null)).await;
        fail_one(&mut session, "y").await;
        let child = tree(&mut session, id).await[1].0;
        let mut busy = Session::new(db).await;
        busy.run(format!("BEGIN; SELECT FROM workflow.workflow_execution WHERE execution = {child} FOR UPDATE")).await;
        rerun(&mut session, id).await;
        assert_eq!(tree(&mut session, id).await[1].1, "failed");
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow_check()").await, 0);
        busy.run("COMMIT").await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        assert_told(&mut session, &[id, child], 1).await;
        session.work("y", json!(null)).await;
        session.work("after", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}
