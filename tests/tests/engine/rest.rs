//! Work that is no longer needed, because enough items have completed, or enough tasks have led to a join.

use crate::fixture::Session;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

fn quorum(rest: &str) -> String {
    format!(
        "tasks:
  - name: ask
    action: demo.a
    with_items: {{items: [0, 1, 2, 3, 4], concurrency: 4, min_successes: 2{rest}}}
    on_success: use
  - {{name: use, action: demo.b, input: {{counts: '{{{{ task.ask.counts }}}}'}}}}
"
    )
}

/// Returns the status of the rows of a task, in item order, with the types of their errors.
async fn rows(session: &mut Session, task: &str) -> Vec<(String, Option<String>)> {
    let sql = format!(
        "SELECT status::text, error ->> 'type' FROM workflow.workflow_task_execution WHERE task_name = '{task}' ORDER BY id"
    );
    session.rows(sql).await
}

fn row(status: &str, kind: Option<&str>) -> (String, Option<String>) {
    (status.to_owned(), kind.map(str::to_owned))
}

#[tokio::test]
async fn once_enough_items_have_completed_the_others_are_cancelled() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(&quorum(", rest: cancel_running")).await;
        let [a, b, c, d] = session.claim_named(["ask"; 4]).await;
        assert_eq!(session.complete(&a, json!(1)).await, "completed");
        assert_eq!(session.fail(&b, json!({"type": "busy"})).await, "failed", "which is tolerated");
        assert_eq!(session.complete(&d, json!(2)).await, "completed");
        let expected = [
            row("completed", None),
            row("failed", Some("busy")),
            row("cancelled", Some("not_needed")),
            row("completed", None),
            row("cancelled", Some("not_needed")),
        ];
        assert_eq!(rows(&mut session, "ask").await, expected);
        // A worker that is still executing it is told so, and its report comes too late.
        let beat: String = session
            .value(format!("SELECT state FROM workflow_heartbeat(ARRAY[{}], ARRAY[{}])", c.task, c.lease_token))
            .await;
        assert_eq!(beat, "lost");
        let refused = session.refused(format!("SELECT workflow_complete({}, {})", c.task, c.lease_token)).await;
        assert_eq!(refused.code().1, "WF615", "{refused:?}");
        let [after] = session.claim_named(["use"]).await;
        let counts = json!({"counts": {"total": 5, "completed": 2, "failed": 1, "cancelled": 2}});
        assert_eq!(after.input, Some(counts));
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn running_tasks_may_finish_and_their_failures_do_not_count() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(&quorum("")).await;
        let [a, b, c, d] = session.claim_named(["ask"; 4]).await;
        session.complete(&a, json!(1)).await;
        session.complete(&b, json!(2)).await;
        assert!(session.claim(10).await.is_empty(), "two still run, and the fifth never starts");
        assert_eq!(session.fail(&c, json!(null)).await, "failed");
        assert_eq!(session.fail(&d, json!(null)).await, "failed");
        let [after] = session.claim_named(["use"]).await;
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_task_fails_once_too_few_items_can_still_complete() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(&quorum("").replace("min_successes: 2", "min_successes: '80%'")).await;
        let [a, b, c, d] = session.claim_named(["ask"; 4]).await;
        session.fail(&a, json!({"message": "no"})).await;
        session.fail(&b, json!(null)).await;
        assert!(session.claim(10).await.is_empty());
        session.complete(&c, json!(null)).await;
        session.complete(&d, json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let status = session.status(id).await;
        assert_eq!(status["error_message"], "task ask ended as failed and no transition handles it: item 0: no");

        let few = quorum("").replace("min_successes: 2", "min_successes: 6");
        session.define(&few).await;
        let refused = session.refused("SELECT workflow_start('demo.w')").await;
        assert_eq!(refused.code().1, "WF603", "{refused:?}");
        assert!(refused.message.contains("but it has only 5 items"), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn reports_that_come_together_all_count() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(&quorum(", rest: cancel_running")).await;
        let tasks = session.claim_named(["ask"; 4]).await;
        let outcome = |place: usize, status: &str| {
            json!({"task": tasks[place].task.to_string(), "lease_token": tasks[place].lease_token.to_string(), "status": status})
        };
        let outcomes = json!([
            outcome(0, "completed"),
            outcome(1, "completed"),
            outcome(2, "failed"),
            outcome(3, "completed")
        ]);
        let answers: Value = session.value(format!("SELECT workflow_finish_json('{outcomes}')")).await;
        let states: Vec<&str> = answers.as_array().unwrap().iter().filter_map(|answer| answer["state"].as_str()).collect();
        assert_eq!(states, ["completed", "completed", "failed", "completed"]);
        let [after] = session.claim_named(["use"]).await;
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

const RACE: &str = "tasks:
  - {name: fast, action: demo.a, on_success: first}
  - {name: slow, action: demo.a, on_success: slower}
  - {name: slower, action: demo.c, on_success: first}
  - {name: many, action: demo.a, with_items: {items: [0, 1, 2], concurrency: 1}, on_success: first}
  - {name: ask, wait_for: {signal: go, timeout: 1h}, on_success: first}
  - {name: call, action: demo.child, on_success: first}
  - {name: later, action: demo.a, delay: 1h, on_success: first}
  - {name: first, join: {count: 1, rest: cancel}, action: demo.b}
";

#[tokio::test]
async fn a_join_cancels_whatever_has_yet_to_lead_to_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks: [{name: work, action: demo.c}]").await;
        let id = session.begin(RACE).await;
        let claimed = session.claim(10).await;
        let [fast, slow] = ["fast", "slow"].map(|name| claimed.iter().find(|task| task.task_name == name).unwrap());
        session.complete(fast, json!(null)).await;
        let slow_again =
            session.refused(format!("SELECT workflow_complete({}, {})", slow.task, slow.lease_token)).await;
        assert_eq!(slow_again.code().1, "WF615");
        let refused = session.refused(format!("SELECT workflow_signal({id}, 'go')")).await;
        assert_eq!(refused.code().1, "WF611", "{refused:?}");
        for name in ["slow", "ask", "later"] {
            assert_eq!(rows(&mut session, name).await, [row("cancelled", Some("not_needed"))], "{name}");
        }
        assert_eq!(rows(&mut session, "many").await, vec![row("cancelled", Some("not_needed")); 3]);
        let [first] = session.claim_named(["first"]).await;
        session.complete(&first, json!(null)).await;
        // The workflow waits for the execution that it has called, which the next tick cancels, and whose own task may
        // finish.
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.status(id).await["current_tasks"], json!(["call"]));
        let work = claimed.iter().find(|task| task.task_name == "work").unwrap();
        session.complete(work, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        let status = session.status(id).await;
        assert_eq!(status["completed_tasks"], json!(["fast", "first"]));
        let child: String =
            session.value(format!("SELECT status::text FROM workflow.execution WHERE parent = {id}")).await;
        assert_eq!(child, "cancelled");
        let reached: i64 =
            session.value(format!("SELECT count(*) FROM workflow_list_events({id}) WHERE kind = 'cancel'")).await;
        assert_eq!(reached, 0, "nobody has cancelled the caller");
    })
    .await;
}

#[tokio::test]
async fn what_can_be_undone_may_finish_and_is_undone_if_it_has_completed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: a, action: demo.a, undo: {action: demo.c}, on_success: first}
  - {name: b, action: demo.a, undo: {action: demo.c}, on_success: first}
  - {name: first, join: {count: 1, rest: cancel}, action: demo.b}
",
            )
            .await;
        let [a, b] = session.claim_named(["a", "b"]).await;
        session.complete(&a, json!(null)).await;
        assert_eq!(session.complete(&b, json!(null)).await, "completed");
        let [first] = session.claim_named(["first"]).await;
        session.fail(&first, json!(null)).await;
        for _ in 0..2 {
            let [undo] = <[_; 1]>::try_from(session.claim(1).await).unwrap_or_else(|_| panic!("an undo"));
            session.complete(&undo, json!(null)).await;
        }
        session.assert_ended(id, "failed", json!(null)).await;
        let status = session.status(id).await;
        assert_eq!(status["undo"], "done");
    })
    .await;
}

/// A join on the way to another one that has fired need not fire any longer.
#[tokio::test]
async fn a_needless_join_with_some_arrivals_is_not_a_failure() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: a, action: demo.a, on_success: first}
  - {name: b, action: demo.b, on_success: both}
  - {name: c, action: demo.c, on_success: both}
  - {name: both, join: all, on_success: first}
  - {name: first, join: {count: 1, rest: cancel}, action: demo.d}
",
            )
            .await;
        let [a, b, _] = session.claim_named(["a", "b", "c"]).await;
        session.complete(&b, json!(null)).await;
        session.complete(&a, json!(null)).await;
        session.work("first", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(rows(&mut session, "c").await, [row("cancelled", Some("not_needed"))]);
    })
    .await;
}

/// Once its path is no longer needed, neither the outcome of a running handler nor earlier failures matter.
#[tokio::test]
async fn failures_on_the_way_to_a_join_that_has_fired_do_not_matter() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let ways = "tasks:
  - {name: a, action: demo.a, on_success: first}
  - {name: x, action: demo.b, on_success: first, on_failure: repair}
  - {name: repair, action: demo.c, on_success: first}
  - {name: first, join: {count: 1, rest: cancel}, action: demo.d}
";
        let id = session.begin(ways).await;
        let [a, x] = session.claim_named(["a", "x"]).await;
        session.fail(&x, json!(null)).await;
        let [repair] = session.claim_named(["repair"]).await;
        session.complete(&a, json!(null)).await;
        assert_eq!(session.fail(&repair, json!(null)).await, "failed");
        session.work("first", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;

        // The reverse: the failure stops the workflow, and a rerun continues with the join alone.
        let id = session
            .begin(
                &ways
                    .replace("  - {name: repair, action: demo.c, on_success: first}\n", "")
                    .replace(", on_failure: repair", ""),
            )
            .await;
        let [a, x] = session.claim_named(["a", "x"]).await;
        session.fail(&x, json!(null)).await;
        session.complete(&a, json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.work("first", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

/// A task that may finish because it can be undone is not given to another worker if its worker dies.
#[tokio::test]
async fn nobody_takes_over_what_is_not_needed_any_more() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: a, action: demo.a, on_success: first}
  - {name: b, action: demo.a, undo: {action: demo.c}, on_success: first}
  - {name: first, join: {count: 1, rest: cancel}, action: demo.b}
",
            )
            .await;
        let [a, _] = session.claim_named(["a", "b"]).await;
        session.complete(&a, json!(null)).await;
        session.work("first", json!(null)).await;
        session.at(60.0).await;
        session.run("SELECT workflow_tick()").await;
        assert!(session.claim(9).await.is_empty());
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(rows(&mut session, "b").await[0].0, "abandoned");
    })
    .await;
}

const CALL_OR_NOT: &str = "tasks:
  - {name: a, action: demo.a, on_success: first}
  - {name: call, action: demo.child, on_success: first}
  - {name: first, join: {count: 1, rest: cancel}, action: demo.b}
";

const CHILD: &str = "undo_on: [failed, cancelled]
tasks:
  - {name: keep, action: demo.c, undo: {action: demo.d}, on_success: more}
  - {name: more, action: demo.c}
";

#[tokio::test]
async fn a_needless_call_that_could_not_undo_itself_is_undone_with_its_caller() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", CHILD).await;
        let id = session.begin(CALL_OR_NOT).await;
        let child: i64 = session.value(format!("SELECT id FROM workflow.execution WHERE parent = {id}")).await;
        let [a, keep] = session.claim_named(["a", "keep"]).await;
        session.complete(&keep, json!(null)).await;
        session.complete(&a, json!(null)).await;
        let why: String = session.value(format!("SELECT why FROM workflow_why({id}) WHERE task = 'call'")).await;
        assert!(why.starts_with("is no longer needed, and is waiting for execution"), "{why}");
        session.run("SELECT workflow_tick()").await;
        let [first, undo] = session.claim_named(["first", "undo:keep"]).await;
        session.fail(&undo, json!(null)).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(rows(&mut session, "call").await, [row("cancelled", Some("not_needed"))]);
        assert_eq!(session.status(child).await["undo"], "failed");
        session.fail(&first, json!(null)).await;
        // It has a second chance.
        let [undo] = session.claim_named(["undo:keep"]).await;
        session.complete(&undo, json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.status(id).await["undo"], "done");
    })
    .await;
}

#[tokio::test]
async fn a_needless_call_of_a_paused_execution_is_cancelled_after_the_pause() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks: [{name: keep, action: demo.c}]").await;
        let id = session.begin(CALL_OR_NOT).await;
        let [a, keep] = session.claim_named(["a", "keep"]).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        session.complete(&a, json!(null)).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow_check()").await, 0);
        let child: i64 = session.value(format!("SELECT id FROM workflow.execution WHERE parent = {id}")).await;
        assert_eq!(session.status(child).await["status"], "running");
        session.run(format!("SELECT workflow_resume({id})")).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.status(child).await["status"], "canceling");
        session.complete(&keep, json!(null)).await;
        session.work("first", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

/// One call or two: a task ends with the report that makes its remaining items needless, before what is reported next.
#[tokio::test]
async fn a_task_with_enough_items_ends_before_later_reports_of_the_same_call() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let race = "vars: [{v: none}]
output_map: [{v: '{{ vars.v }}'}]
tasks:
  - {name: a, action: demo.a, with_items: {items: [1, 2, 3], min_successes: 1, rest: cancel_running}, publish: [{v: a}], on_success: c}
  - {name: b, action: demo.a, publish: [{v: b}], on_success: c}
  - {name: c, join: {count: 1, rest: cancel}}
";
        for calls in [1, 2].repeat(6) {
            let id = session.begin(race).await;
            let [first, _, _, b] = session.claim_named(["a", "a", "a", "b"]).await;
            let outcomes = [(first.task, first.lease_token, "completed"), (b.task, b.lease_token, "completed")];
            for outcomes in outcomes.chunks(2 / calls) {
                session.finish(outcomes).await;
            }
            session.assert_ended(id, "completed", json!({"v": "a"})).await;
        }
        // An item that is reported in the same call is done.
        let id = session.begin(race).await;
        let [first, second, ..] = session.claim_named(["a", "a", "a", "b"]).await;
        let outcomes = [(first.task, first.lease_token, "completed"), (second.task, second.lease_token, "completed")];
        let states: Vec<String> = session.finish(&outcomes).await.iter().map(|answer| answer.word().to_owned()).collect();
        assert_eq!(states, ["completed", "completed"]);
        session.assert_ended(id, "completed", json!({"v": "a"})).await;
    })
    .await;
}
