//! Slots of limits that depend on each other: `workflow_why` says so, and its hint ends it.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

/// Defines workflows of which one runs once at a time, and takes a slot that its caller in the other one has.
async fn define(session: &mut Session) {
    session.run("SELECT workflow_set_limit('site', max_running => 1)").await;
    session.run("SELECT workflow_tick()").await;
    session.define_as("demo.job", "concurrency: {max: 1}\ntasks: [{name: step, action: demo.a, limit: site}]\n").await;
    session.define("tasks: [{name: call, action: demo.job, limit: site}, {name: other, action: demo.b}]\n").await;
}

async fn why(session: &mut Session, execution: i64) -> (String, String) {
    session.rows(format!("SELECT why, hint FROM workflow_why({execution}) LIMIT 1")).await.remove(0)
}

#[tokio::test]
async fn executions_that_wait_for_each_others_slots_are_found_and_the_hint_ends_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        define(&mut session).await;
        let job: i64 = session.value("SELECT workflow_start('demo.job')").await;
        let caller = session.start().await;
        let called: i64 =
            session.value(format!("SELECT execution FROM workflow_tree({caller}) WHERE parent = {caller}")).await;
        let [other] = session.claim_named(["other"]).await;
        session.complete(&other, json!(null)).await;
        let deadlock = |id| {
            format!("; this is a deadlock: execution {id} has a slot, and cannot end before something that is waiting for one")
        };
        for _ in 0..6 {
            let (said, hint) = why(&mut session, job).await;
            let ahead = "0 tasks of the same action ahead of it";
            assert_eq!(said, format!("is waiting for limit site: 1 of 1 running, {ahead}{}", deadlock(called)));
            assert_eq!(
                hint,
                format!(
                    "raise limit site, or SELECT workflow_cancel({called}); SELECT * FROM workflow_why({called}) says what it is waiting for"
                )
            );
            let (said, _) = why(&mut session, called).await;
            let what = "is waiting for the concurrency of demo.job: 1 of 1 running, 0 ahead of it";
            assert_eq!(said, format!("{what}{}", deadlock(job)));
        }
        session.run(format!("SELECT workflow_cancel({called})")).await;
        session.work("step", json!(null)).await;
        session.assert_ended(job, "completed", json!(null)).await;
        session.assert_ended(called, "cancelled", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_slot_that_will_become_free_is_no_deadlock() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        define(&mut session).await;
        let first: i64 = session.value("SELECT workflow_start('demo.job')").await;
        let second: i64 = session.value("SELECT workflow_start('demo.job')").await;
        // A worker executes the task that has the slot of the limit.
        let [step] = session.claim_named(["step"]).await;
        let caller = session.start().await;
        let (said, hint) = why(&mut session, caller).await;
        assert_eq!(said, "is waiting for limit site: 1 of 1 running, 0 tasks of the same action ahead of it");
        assert_eq!(
            hint,
            "SELECT workflow_set_limit('site', max_running => 1) with higher numbers takes effect immediately"
        );
        let (said, _) = why(&mut session, second).await;
        assert_eq!(said, "is waiting for the concurrency of demo.job: 1 of 1 running, 0 ahead of it");
        session.complete(&step, json!(null)).await;
        session.assert_ended(first, "completed", json!(null)).await;
        // With a second slot, nobody has to wait for the other.
        session.run("SELECT workflow_set_limit('site', max_running => 2)").await;
        session.run("SELECT workflow_tick()").await;
        for _ in 0..3 {
            for task in session.claim(9).await {
                session.complete(&task, json!(null)).await;
            }
            session.run("SELECT workflow_tick()").await;
        }
        session.assert_ended(second, "completed", json!(null)).await;
        session.assert_ended(caller, "completed", json!(null)).await;
    })
    .await;
}

/// Defines workflows that need a slot of one limit while they have one of the other.
async fn define_two(session: &mut Session, slots: (i32, i32), timeout: &str) {
    session
        .run(format!(
            "SELECT workflow_set_limit('outer', max_running => {}), workflow_set_limit('inner', max_running => {})",
            slots.0, slots.1
        ))
        .await;
    session.run("SELECT workflow_tick()").await;
    for (name, limit) in [("demo.leaf_outer", "outer"), ("demo.leaf_inner", "inner")] {
        session.define_as(name, &format!("tasks: [{{name: step, action: demo.a, limit: {limit}}}]\n")).await;
    }
    let a = format!("{timeout}tasks: [{{name: call, action: demo.leaf_inner, limit: outer}}]\n");
    session.define_as("demo.outer_first", &a).await;
    session.define_as("demo.inner_first", "tasks: [{name: call, action: demo.leaf_outer, limit: inner}]\n").await;
}

/// Starts one execution of each, and returns those that they call.
async fn start_both(session: &mut Session) -> [i64; 2] {
    let mut called = [0; 2];
    for (place, name) in ["demo.outer_first", "demo.inner_first"].into_iter().enumerate() {
        let id: i64 = session.value(format!("SELECT workflow_start('{name}')")).await;
        called[place] = session.value(format!("SELECT execution FROM workflow_tree({id}) WHERE parent = {id}")).await;
    }
    called
}

#[tokio::test]
async fn what_a_worker_a_hold_or_a_timeout_will_end_is_no_deadlock() {
    for scene in ["deadlock", "worker", "hold", "timeout"] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            let slots = if scene == "worker" { (1, 2) } else { (1, 1) };
            define_two(&mut session, slots, if scene == "timeout" { "timeout: 1h\n" } else { "" }).await;
            if scene == "worker" {
                session.run("SELECT workflow_start('demo.leaf_inner')").await;
                assert_eq!(session.claim(1).await.len(), 1);
            }
            let called = start_both(&mut session).await;
            assert!(session.claim(9).await.is_empty());
            if scene == "hold" {
                session.run("SELECT workflow_hold('inner', NULL, workflow.now() + interval '1 minute')").await;
            }
            for id in called {
                let (said, _) = why(&mut session, id).await;
                assert_eq!(said.contains("deadlock"), scene == "deadlock", "{scene}: {said}");
            }
        })
        .await;
    }
}

/// Returns the execution that the hint of a deadlock suggests to cancel, and whether by force.
fn suggested(hint: &str) -> (i64, bool) {
    let call = hint.split_once("SELECT workflow_cancel(").expect("a cancel").1.split_once(')').expect("a call").0;
    match call.strip_suffix(", force => true") {
        Some(id) => (id.parse().unwrap(), true),
        None => (call.parse().unwrap(), false),
    }
}

/// Sets limits of one slot each.
async fn set_limits(session: &mut Session, names: &[&str]) {
    for name in names {
        session.run(format!("SELECT workflow_set_limit('{name}', max_running => 1)")).await;
    }
    session.run("SELECT workflow_tick()").await;
}

/// Returns everything that an execution waits for.
async fn waits(session: &mut Session, execution: i64) -> String {
    let said = session.rows::<(String,)>(format!("SELECT why FROM workflow_why({execution})")).await;
    said.into_iter().map(|(said,)| said).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn closing_tasks_in_a_deadlock_are_stopped_by_force_and_by_no_time_limit() {
    for timeouts in [("", ""), ("timeout: 2h\n", ", timeout: 5s")] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            set_limits(&mut session, &["outer", "inner"]).await;
            for (limit, other) in [("outer", "inner"), ("inner", "outer")] {
                let closing = format!(
                    "finally: close\ntasks: [{{name: work, action: demo.a}}, {{name: close, action: demo.b, limit: {other}}}]\n"
                );
                session.define_as(&format!("demo.called_{limit}"), &closing).await;
                let (whole, of_call) = timeouts;
                let call =
                    format!("{whole}tasks: [{{name: call, action: demo.called_{limit}, limit: {limit}{of_call}}}]\n");
                session.define_as(&format!("demo.{limit}"), &call).await;
            }
            for limit in ["outer", "inner"] {
                session.run(format!("SELECT workflow_start('demo.{limit}')")).await;
            }
            for task in session.claim_named(["work", "work"]).await {
                session.complete(&task, json!(null)).await;
            }
            assert!(session.claim(9).await.is_empty());
            session.run("SELECT workflow_tick()").await;
            let waiting = "SELECT workflow_execution FROM workflow.workflow_task_execution WHERE task_name = 'close'";
            let called = session.rows::<(i64,)>(waiting).await;
            assert_eq!(called.len(), 2);
            let (said, hint) = why(&mut session, called[0].0).await;
            assert!(said.contains("; this is a deadlock"), "{said}");
            let (id, by_force) = suggested(&hint);
            assert!(by_force && called.contains(&(id,)), "{hint}");
            assert!(hint.contains("which leaves closing tasks and undos undone"), "{hint}");
            // A cancel stops what is not closing.
            session.run(format!("SELECT workflow_cancel({id})")).await;
            session.run("SELECT workflow_tick()").await;
            assert!(session.claim(9).await.is_empty());
            session.run(format!("SELECT workflow_cancel({id}, force => true)")).await;
            session.work("close", json!(null)).await;
            session.run("SELECT workflow_tick()").await;
            let running: i64 = session
                .value("SELECT count(*) FROM workflow.workflow_execution WHERE NOT workflow.is_end(status)")
                .await;
            assert_eq!(running, 0);
        })
        .await;
    }
}

#[tokio::test]
async fn what_another_task_may_withdraw_is_in_no_deadlock_before_that_has_ended() {
    let race = "tasks: [{name: begin, on_success: [near, far]}, {name: near, action: demo.a, on_success: use}, \
                {name: far, action: demo.b, limit: inner, on_success: use}, {name: use, join: {count: 1, rest: cancel}}]\n";
    let fork = "tasks: [{name: begin, on_success: [near, far]}, {name: near, action: demo.a}, {name: far, action: demo.b, limit: inner}]\n";
    // The race is decided above the call that has the slot.
    let above = "tasks: [{name: begin, on_success: [near, call]}, {name: near, action: demo.a, on_success: use}, \
                 {name: call, action: demo.leaf, limit: outer, on_success: use}, {name: use, join: {count: 1, rest: cancel}}]\n";
    for (scene, called) in [("race", race), ("fork", fork), ("above", above)] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            set_limits(&mut session, &["outer", "inner"]).await;
            session.define_as("demo.leaf", "tasks: [{name: far, action: demo.b, limit: inner}]\n").await;
            session.define_as("demo.called", called).await;
            session.define_as("demo.other", "tasks: [{name: step, action: demo.b, limit: outer}]\n").await;
            let limit = if scene == "above" { "" } else { ", limit: outer" };
            session.define_as("demo.one", &format!("tasks: [{{name: call, action: demo.called{limit}}}]\n")).await;
            session.define_as("demo.two", "tasks: [{name: call, action: demo.other, limit: inner}]\n").await;
            session.run("SELECT workflow_start('demo.two')").await;
            let one: i64 = session.value("SELECT workflow_start('demo.one')").await;
            let waiting: i64 = session.value("SELECT max(id) FROM workflow.workflow_execution").await;
            session.run("SELECT workflow_tick()").await;
            let [near] = session.claim_named(["near"]).await;
            assert!(session.claim(9).await.is_empty());
            for _ in 0..6 {
                for id in [one, waiting] {
                    let said = waits(&mut session, id).await;
                    assert!(!said.contains("deadlock"), "{scene}: {said}");
                }
            }
            session.complete(&near, json!(null)).await;
            session.run("SELECT workflow_tick()").await;
            if scene == "fork" {
                let said = waits(&mut session, waiting).await;
                assert!(said.contains("; this is a deadlock"), "{said}");
            } else {
                session.work("step", json!(null)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn the_suggested_cancel_frees_a_slot_for_a_worker_and_not_for_another_call() {
    for by in ["cancel", "raise"] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            set_limits(&mut session, &["outer", "inner"]).await;
            for (limit, other) in [("outer", "inner"), ("inner", "outer")] {
                let called = format!(
                    "tasks: [{{name: work, action: demo.a, on_success: step}}, {{name: step, action: demo.b, limit: {other}}}]\n"
                );
                session.define_as(&format!("demo.called_{limit}"), &called).await;
                let call = format!("tasks: [{{name: call, action: demo.called_{limit}, limit: {limit}}}]\n");
                session.define_as(&format!("demo.{limit}"), &call).await;
            }
            let mut started = Vec::new();
            for limit in ["outer", "inner"] {
                started.push(session.value::<i64>(format!("SELECT workflow_start('demo.{limit}')")).await);
            }
            let work = session.claim_named(["work", "work"]).await;
            // This call is the first in line for `outer`, and would then wait for `inner`.
            started.push(session.value::<i64>("SELECT workflow_start('demo.outer')").await);
            assert!(session.claim(9).await.is_empty());
            for task in work {
                session.complete(&task, json!(null)).await;
            }
            assert!(session.claim(9).await.is_empty());
            let called: i64 =
                session.value(format!("SELECT execution FROM workflow_tree({}) WHERE depth = 1", started[1])).await;
            let mut hints = Vec::new();
            for id in &started {
                let (said, hint) = why(&mut session, *id).await;
                assert!(said.contains("; this is a deadlock"), "{said}");
                hints.push(hint);
            }
            assert!(hints.iter().all(|hint| hint.starts_with("raise limit inner, or ") && suggested(hint) == (called, false)), "{hints:?}");
            match by {
                "cancel" => session.run(format!("SELECT workflow_cancel({called})")).await,
                _ => session.run("SELECT workflow_set_limit('inner', max_running => 2)").await,
            }
            for _ in 0..6 {
                session.run("SELECT workflow_tick()").await;
                for task in session.claim(9).await {
                    session.complete(&task, json!(null)).await;
                }
            }
            session.assert_ended(started[0], "completed", json!(null)).await;
            session.assert_ended(started[2], "completed", json!(null)).await;
        })
        .await;
    }
}

#[tokio::test]
async fn what_waits_beside_a_task_that_will_begin_is_in_no_deadlock() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set_limits(&mut session, &["outer", "inner", "third"]).await;
        session.define_as("demo.busy", "tasks: [{name: busy, action: demo.c, limit: third}]\n").await;
        let called = "tasks: [{name: begin, on_success: [near, far]}, {name: near, action: demo.a, limit: third}, {name: far, action: demo.b, limit: inner}]\n";
        session.define_as("demo.called", called).await;
        session.define_as("demo.other", "tasks: [{name: step, action: demo.b, limit: outer}]\n").await;
        session.define_as("demo.one", "tasks: [{name: call, action: demo.called, limit: outer}]\n").await;
        session.define_as("demo.two", "tasks: [{name: call, action: demo.other, limit: inner}]\n").await;
        session.run("SELECT workflow_start('demo.busy')").await;
        let [busy] = session.claim_named(["busy"]).await;
        session.run("SELECT workflow_start('demo.two'), workflow_start('demo.one')").await;
        session.run("SELECT workflow_tick()").await;
        assert!(session.claim(9).await.is_empty());
        let waiting: i64 = session.value("SELECT max(id) FROM workflow.workflow_execution").await;
        let said = waits(&mut session, waiting).await;
        assert!(said.contains("limit third") && said.contains("limit inner") && !said.contains("deadlock"), "{said}");
        session.complete(&busy, json!(null)).await;
        session.work("near", json!(null)).await;
        let said = waits(&mut session, waiting).await;
        assert!(said.contains("limit inner") && said.contains("; this is a deadlock"), "{said}");
    })
    .await;
}

/// What it has called goes on, and no cancel of it reaches that.
#[tokio::test]
async fn of_an_execution_that_has_failed_the_called_one_is_cancelled() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set_limits(&mut session, &["outer", "inner"]).await;
        session.define_as("demo.leaf", "tasks: [{name: far, action: demo.b, limit: inner}]\n").await;
        let called = "timeout: 1h\ntasks: [{name: begin, on_success: [near, call]}, {name: near, action: demo.a}, {name: call, action: demo.leaf}]\n";
        session.define_as("demo.called", called).await;
        session.define_as("demo.other", "tasks: [{name: step, action: demo.b, limit: outer}]\n").await;
        session.define_as("demo.one", "tasks: [{name: call, action: demo.called, limit: outer}]\n").await;
        session.define_as("demo.two", "tasks: [{name: call, action: demo.other, limit: inner}]\n").await;
        session.run("SELECT workflow_start('demo.two'), workflow_start('demo.one')").await;
        session.run("SELECT workflow_tick()").await;
        let [near] = session.claim_named(["near"]).await;
        session.fail(&near, json!({"message": "no"})).await;
        session.run("SELECT workflow_tick()").await;
        assert!(session.claim(9).await.is_empty());
        let waiting = "SELECT workflow_execution FROM workflow.workflow_task_execution WHERE task_name = 'far'";
        let waiting: i64 = session.value(waiting).await;
        let step = "SELECT workflow_execution FROM workflow.workflow_task_execution WHERE task_name = 'step'";
        let step: i64 = session.value(step).await;
        let (said, hint) = why(&mut session, step).await;
        assert!(said.contains("; this is a deadlock"), "{said}");
        assert!([waiting, step].contains(&suggested(&hint).0), "{hint}");
        session.run(format!("SELECT workflow_cancel({waiting})")).await;
        session.work("step", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn an_execution_with_too_many_tasks_to_examine_raises_no_alarm() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        define(&mut session).await;
        session
            .define_as(
                "demo.job",
                "concurrency: {max: 1}\nparameters: {type: object, properties: {items: {type: integer}}}\n\
                 tasks:\n  - {name: step, action: demo.a, limit: site}\n  \
                 - {name: item, action: demo.a, with_items: \"{{ range(parameters.items | default(0)) | list }}\"}\n",
            )
            .await;
        for (items, is_named) in [(998, true), (999, false)] {
            let job: i64 =
                session.value(format!("SELECT workflow_start('demo.job', '{{\"items\": {items}}}')")).await;
            let caller = session.start().await;
            let done = "SELECT count(*) FROM workflow_finish((SELECT array_agg(ROW(c.task, c.lease_token, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome) FROM workflow_claim('w', 2000) AS c))";
            assert_eq!(session.value::<i64>(done).await, items + 1);
            let (said, _) = why(&mut session, job).await;
            assert_eq!(said.contains("deadlock"), is_named, "{items}: {said}");
            session.run(format!("SELECT workflow_cancel({caller})")).await;
            session.run(format!("SELECT workflow_cancel({job})")).await;
        }
    })
    .await;
}
