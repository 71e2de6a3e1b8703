//! Pausing, cancelling and time limits of called workflows and their callers.

use crate::children::{CALL, CHILD, control, family, statuses, tree};
use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

#[tokio::test]
async fn a_pause_reaches_children_and_a_parent_that_does_nothing_else() {
    with_database(async |db| {
        let mut session = family(db, CALL).await;
        let id = session.start().await;
        let child = tree(&mut session, id).await[1].0;
        let paused = "SELECT array_agg(paused ORDER BY execution) FROM workflow.workflow_execution";
        for (first, second) in [(id, id), (child, child), (id, child), (child, id)] {
            assert_eq!(control(&mut session, format!("pause({first}, 'lunch')")).await, "running");
            assert_eq!(session.value::<Vec<bool>>(paused).await, [true, true]);
            assert_eq!(session.status(id).await["pause_reason"], "lunch");
            assert!(session.claim(10).await.is_empty());
            assert_eq!(control(&mut session, format!("resume({second})")).await, "running");
            assert_eq!(session.value::<Vec<bool>>(paused).await, [false, false]);
        }
        // A parent that has other things to do does them.
        session
            .define("tasks:\n  - {name: call, action: demo.child, input: {n: 1}}\n  - {name: e, action: demo.e}\n")
            .await;
        let busy = session.start().await;
        let child = tree(&mut session, busy).await[1].0;
        control(&mut session, format!("pause({child})")).await;
        assert_eq!(session.status(busy).await["paused"], false);
        let [e] = session.claim_named(["e", "x"]).await.into_iter().take(1).collect::<Vec<_>>().try_into().unwrap();
        session.complete(&e, json!(null)).await;
        assert_eq!(session.status(busy).await["ended"], false);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_becomes_ready_in_a_pause_is_made_at_its_end() {
    with_database(async |db| {
        let mut session = family(
            db,
            "tasks:\n  - {name: one, action: demo.e, on_success: call}\n  - {name: call, action: demo.child, input: {n: 1}}\n",
        )
        .await;
        let id = session.start().await;
        let [one] = session.claim_named(["one"]).await;
        control(&mut session, format!("pause({id})")).await;
        session.complete(&one, json!(null)).await;
        assert_eq!(tree(&mut session, id).await.len(), 1);
        control(&mut session, format!("resume({id})")).await;
        assert_eq!(tree(&mut session, id).await.len(), 2);
        session.work("x", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_cancel_reaches_children_and_their_parents() {
    with_database(async |db| {
        let twice =
            "tasks: [{name: each, action: demo.child, with_items: {items: [1, 2]}, input: {n: '{{ item }}'}}]\n";
        let mut session = family(db, twice).await;
        for from_child in [false, true] {
            let id = session.start().await;
            let [x, other] = session.claim_named(["x", "x"]).await;
            let cancelled = if from_child { tree(&mut session, id).await[1].0 } else { id };
            assert_eq!(control(&mut session, format!("cancel({cancelled}, 'enough')")).await, "canceling");
            session.complete(&x, json!(null)).await;
            session.complete(&other, json!(null)).await;
            if from_child {
                // The other child was cancelled when the first one was: none of its tasks continues.
                assert!(session.claim(10).await.is_empty());
            }
            session.assert_ended(id, "cancelled", json!(null)).await;
            assert_eq!(statuses(&mut session, id).await, ["cancelled", "cancelled", "cancelled"]);
        }
    })
    .await;
}

#[tokio::test]
async fn each_workflow_cancels_running_tasks_by_its_own_policy() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", &format!("cancellation_policy: cancel_running\n{CHILD}")).await;
        session.define(CALL).await;
        let id = session.start().await;
        let [x] = session.claim_named(["x"]).await;
        assert_eq!(control(&mut session, format!("cancel({id})")).await, "cancelled");
        session.assert_ended(id, "cancelled", json!(null)).await;
        let late = session.refused(format!("SELECT workflow_complete({}, {})", x.task, x.lease_token)).await;
        assert_eq!(late.code(), ("55006", "WF615"));
    })
    .await;
}

#[tokio::test]
async fn a_call_that_takes_too_long_times_out_and_its_child_is_cancelled() {
    with_database(async |db| {
        let mut session = family(
            db,
            "tasks:\n  - {name: call, action: demo.child, input: {n: 1}, timeout: 60, on_timeout: after}\n  - {name: after, action: demo.c}\n",
        )
        .await;
        let id = session.start().await;
        session.at(60.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        assert_eq!(statuses(&mut session, id).await, ["running", "cancelled"]);
        session.work("after", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_workflow_that_takes_too_long_stops_its_children() {
    with_database(async |db| {
        let mut session = family(db, &format!("timeout: 60\n{CALL}")).await;
        let id = session.start().await;
        session.at(60.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        session.assert_ended(id, "timeout", json!(null)).await;
        assert_eq!(statuses(&mut session, id).await, ["timeout", "cancelled"]);
    })
    .await;
}

#[tokio::test]
async fn an_end_whose_parent_is_busy_is_processed_by_the_next_tick() {
    with_database(async |db| {
        let mut session = family(db, CALL).await;
        let id = session.start().await;
        session.work("x", json!(null)).await;
        let mut busy = Session::new(db).await;
        busy.run(format!("BEGIN; SELECT FROM workflow.workflow_execution WHERE execution = {id} FOR UPDATE")).await;
        session.work("y", json!(1)).await;
        assert_eq!(statuses(&mut session, id).await, ["running", "completed"]);
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0, "it is busy still");
        busy.run("COMMIT").await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
        session.work("after", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_that_finds_a_child_busy_reaches_it_at_the_next_tick() {
    with_database(async |db| {
        let twice =
            "tasks: [{name: each, action: demo.child, with_items: {items: [1, 2]}, input: {n: '{{ item }}'}}]\n";
        let mut session = family(db, twice).await;
        let id = session.start().await;
        let family = tree(&mut session, id).await;
        let mut busy = Session::new(db).await;
        busy.run(format!(
            "BEGIN; SELECT FROM workflow.workflow_execution WHERE execution = {} FOR UPDATE",
            family[2].0
        ))
        .await;
        // It ends at once, which stops its parent; its sibling can't be notified yet.
        assert_eq!(control(&mut session, format!("cancel({})", family[1].0)).await, "cancelled");
        assert_eq!(statuses(&mut session, id).await, ["running", "cancelled", "running"]);
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
        busy.run("COMMIT").await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        session.assert_ended(id, "cancelled", json!(null)).await;
        assert_eq!(statuses(&mut session, id).await, vec!["cancelled"; 3]);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_too_late_ends_once_its_child_has_closed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define_as(
                "demo.child",
                "finally: tidy\ntasks: [{name: x, action: demo.a}, {name: tidy, action: demo.c}]\n",
            )
            .await;
        let rest = "tasks:
  - {name: call, action: demo.child, timeout: 10, on_timeout: late}
  - {name: late, action: demo.b, input: {error: '{{ task.call.error }}'}}
";
        let id = session.begin(rest).await;
        let x: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 1, '{demo.a}', '1 hour')").await;
        session.at(11.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(statuses(&mut session, id).await, ["running", "running"]);
        assert!(session.claim(9).await.is_empty(), "the parent waits for its child to close");
        session.complete(&x[0], json!(null)).await;
        assert_eq!(statuses(&mut session, id).await, ["running", "running"]);
        session.work("tidy", json!(null)).await;
        let [late] = session.claim_named(["late"]).await;
        let error = json!({"type": "timeout", "message": "exceeded its timeout of 10 s", "execution": id + 1});
        assert_eq!(late.input, Some(json!({"error": error})));
        session.complete(&late, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_and_its_child_that_are_late_in_one_tick_are_retried_all_the_same() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks: [{name: w, wait_for: {signal: s, timeout: 20}}]\n").await;
        let id = session
            .begin("tasks: [{name: call, action: demo.child, timeout: 40, retry: {count: 1, delay: 10}}]\n")
            .await;
        session.at(60.0).await;
        session.run("SELECT workflow_tick()").await;
        session.at(70.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(statuses(&mut session, id).await, ["running", "cancelled", "running"]);
        session.run(format!("SELECT workflow_signal({}, 's')", id + 2)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_child_that_was_cancelled_by_hand_cancels_its_caller_although_the_call_is_late() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define_as("demo.child", "finally: tidy\ntasks: [{name: x, action: demo.a}, {name: tidy, action: demo.c}]\n")
            .await;
        let id = session
            .begin("tasks:\n  - {name: call, action: demo.child, timeout: 30, on_timeout: h}\n  - {name: h, action: demo.b}\n")
            .await;
        session.run(format!("SELECT workflow_cancel({})", id + 1)).await;
        session.at(31.0).await;
        session.run("SELECT workflow_tick()").await;
        session.work("tidy", json!(null)).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
    })
    .await;
}
