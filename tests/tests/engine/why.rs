//! Explanations of what an execution is waiting for.

use crate::fixture::*;
use pg_workflow_client::Engine;
use pg_workflow_tests::with_database;
use serde_json::json;

const TICK: &str = "SELECT workflow_tick(), or run a worker, which calls it regularly";

/// Returns every reason as a sentence, and what can be done.
async fn why(session: &mut Session, execution: i64) -> Vec<(String, String)> {
    session.run("SET timezone = 'UTC'").await;
    let reasons = Engine::why(&mut session.connection, execution, 100).await.unwrap();
    assert!(!reasons.is_empty());
    reasons.into_iter().map(|reason| (reason.to_string(), reason.hint.unwrap_or_default())).collect()
}

/// Checks that these are the only reasons; times are on January 1, 2026.
async fn assert_why(session: &mut Session, execution: i64, expected: &[(&str, &str)]) {
    let found = why(session, execution).await;
    let found: Vec<(String, &str)> =
        found.iter().map(|(why, hint)| (why.replace("2026-01-01 ", "").replace("+00", ""), hint.as_str())).collect();
    let found: Vec<(&str, &str)> = found.iter().map(|(why, hint)| (why.as_str(), *hint)).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_task_waits_for_a_worker_that_serves_its_action() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: a, action: demo.a}]\n").await;
        let fresh = "task a has been queued since 00:00:00; \
                     none of the recent tasks of action demo.a has been claimed yet";
        assert_why(&mut session, id, &[(fresh, "")]).await;
        session.at(31.0).await;
        let nobody = "task a has been queued since 00:00:00; \
                      no worker seems to serve action demo.a: none of its recent tasks has been claimed";
        assert_why(&mut session, id, &[(nobody, "run a worker that serves demo.a")]).await;
        session.at(5.0).await;
        session.claim(1).await;
        let other = session.start().await;
        let served = "task a has been queued since 00:00:05; action demo.a was last claimed at 00:00:05";
        assert_why(&mut session, other, &[(served, "")]).await;
        session.at(8.0).await;
        let other = session.start().await;
        let served = "task a has been queued since 00:00:08; action demo.a was last claimed at 00:00:05";
        assert_why(&mut session, other, &[(served, "")]).await;
        session.at(38.5).await;
        assert_why(&mut session, other, &[(served, "make sure that enough workers that serve demo.a are running")]).await;
        session.at(8.0).await;
        let held = "task a was claimed by w1 (attempt 1) at 00:00:05, lease until 00:00:35";
        assert_why(&mut session, id, &[(held, "")]).await;
        session.at(35.0).await;
        let gone =
            "task a was claimed by w1 (attempt 1), whose lease ended at 00:00:35, and workflow_tick has not been called since";
        assert_why(&mut session, id, &[(gone, TICK)]).await;
    })
    .await;
}

#[tokio::test]
async fn overdue_work_is_explained() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "timeout: 100
tasks:
  - {name: a, action: demo.a, timeout: 20}
  - {name: b, action: demo.b, retry: {count: 2, delay: 60}}
  - {name: c, action: demo.c, delay: 70}
",
            )
            .await;
        let tasks: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 10, lease => '1 hour')").await;
        let b = tasks.iter().find(|task| task.task_name == "b").unwrap();
        session.fail(b, json!({"message": "no route"})).await;
        session.at(10.0).await;
        let expected = [
            ("task a was claimed by w1 (attempt 1) at 00:00:00, lease until 01:00:00", ""),
            ("task b failed (no route) and will be retried at 00:01:00 (retry 1 of 2)", ""),
            ("task c starts at 00:01:10", ""),
        ];
        assert_why(&mut session, id, &expected).await;
        session.at(100.0).await;
        let expected = [
            ("its timeout ended at 00:01:40, and workflow_tick has not been called since", TICK),
            (
                "task a was claimed by w1 (attempt 1), and its timeout of 20 s ended at 00:00:20, \
                 and workflow_tick has not been called since",
                TICK,
            ),
            (
                "task b failed (no route) and was due to be retried at 00:01:00, and workflow_tick has not been called since",
                TICK,
            ),
            ("task c was due to start at 00:01:10, and workflow_tick has not been called since", TICK),
        ];
        assert_why(&mut session, id, &expected).await;
        session.run("SELECT workflow_tick()").await;
        let sentence = "it failed at 00:01:40: task a ended as timeout and no transition handles it: \
            exceeded its timeout of 20 s";
        let hint = format!("fix the cause, then SELECT workflow_rerun({id})");
        assert_why(&mut session, id, &[(sentence, &hint)]).await;
        let id = session.start().await;
        session.at(200.0).await;
        session.run("SELECT workflow_tick()").await;
        let [(sentence, _)] = &why(&mut session, id).await[..] else { panic!() };
        assert!(sentence.starts_with("it timed out at 2026-01-01 00:03:20+00: WF610"), "{sentence}");
    })
    .await;
}

#[tokio::test]
async fn a_join_names_what_is_missing() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: a, action: demo.a, on_success: [all, two]}
  - {name: b, action: demo.b, on_success: [all, two]}
  - {name: c, action: demo.c, on_success: [all, two]}
  - {name: all, join: all}
  - {name: two, join: 2}
",
            )
            .await;
        let tasks = session.claim(3).await;
        session.complete(&tasks[1], json!(null)).await;
        let found = why(&mut session, id).await;
        let joins: Vec<&str> =
            found.iter().map(|(why, _)| why.as_str()).filter(|why| why.contains("arrived")).collect();
        assert_eq!(
            joins,
            ["task all is waiting for a, c; arrived: b", "task two is waiting for 1 more of a, c; arrived: b"]
        );
        session.complete(&tasks[0], json!(null)).await;
        let found = why(&mut session, id).await;
        let joins: Vec<&str> =
            found.iter().map(|(why, _)| why.as_str()).filter(|why| why.contains("arrived")).collect();
        assert_eq!(joins, ["task all is waiting for c; arrived: a, b"]);
    })
    .await;
}

#[tokio::test]
async fn a_task_with_items_is_one_sentence() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - name: deploy
    action: demo.a
    with_items: {items: [a, b, c, d, e, f, g], concurrency: 4, on_item_failure: continue}
    input: {x: '{{ item }}'}
",
            )
            .await;
        let items = session.claim(3).await;
        session
            .finish(&[
                (items[0].task, items[0].lease_token, "completed"),
                (items[1].task, items[1].lease_token, "failed"),
            ])
            .await;
        session.at(3.0).await;
        let sentence = "task deploy 2 of 7 items have ended (1 failed); \
             running: 1, item 2 was claimed by w1 (attempt 1) at 00:00:00, lease until 00:00:30; \
             queued: 3, the first since 00:00:00; action demo.a was last claimed at 00:00:00; waiting for their turn: 1";
        assert_why(&mut session, id, &[(sentence, "")]).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        session.at(30.0).await;
        let me: String = session.value("SELECT session_user::text").await;
        let paused = format!("it was paused at 00:00:03 by {me}");
        let resume = format!("SELECT workflow_resume({id})");
        let sentence = "task deploy 2 of 7 items have ended (1 failed); \
             running: 1, item 2 was claimed by w1 (attempt 1), whose lease ended at 00:00:30, \
             and workflow_tick has not been called since; waiting for their turn: 1; to be queued on resume: 3";
        assert_why(&mut session, id, &[(&paused, &resume), (sentence, TICK)]).await;
    })
    .await;
}

#[tokio::test]
async fn of_running_items_the_overdue_one_is_explained() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: each, action: demo.a, with_items: [a, b, c], input: {}}]\n").await;
        for (worker, lease) in [("w1", "1 hour"), ("w2", "10 s"), ("w3", "1 hour")] {
            session.run(format!("SELECT workflow_claim('{worker}', 1, lease => '{lease}')")).await;
        }
        session.at(20.0).await;
        let sentence = "task each 0 of 3 items have ended; running: 3, item 1 was claimed by w2 (attempt 1), \
             whose lease ended at 00:00:10, and workflow_tick has not been called since";
        assert_why(&mut session, id, &[(sentence, TICK)]).await;
    })
    .await;
}

#[tokio::test]
async fn with_very_many_items_those_before_the_queue_show_who_serves_them() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin("tasks: [{name: each, action: demo.a, with_items: '{{ range(2500) | list }}', input: {}}]\n")
            .await;
        session.run("SELECT workflow_claim('w1', 3)").await;
        let (sentence, hint) = why(&mut session, id).await.remove(0);
        assert!(sentence.ends_with("; action demo.a was last claimed at 2026-01-01 00:00:00+00"), "{sentence}");
        assert_eq!(hint, "");
    })
    .await;
}

#[tokio::test]
async fn pauses_cancels_and_ends_name_author_reason_and_remedy() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let me: String = session.value("SELECT session_user::text").await;
        session
            .define("tasks:\n  - {name: a, action: demo.a, on_success: c}\n  - {name: b, action: demo.b}\n  - {name: c, action: demo.c}\n")
            .await;
        let id = session.start().await;
        session.run("SELECT workflow_claim('w1', 1, '{demo.a}')").await;
        session.at(1.0).await;
        session.run(format!("SELECT workflow_pause({id}, 'lunch')")).await;
        let paused = format!("it was paused at 00:00:01 by {me}: lunch");
        let running = "task a was claimed by w1 (attempt 1) at 00:00:00, lease until 00:00:30";
        let ready = "task b is ready, and will be queued when the execution is resumed";
        let resume = format!("SELECT workflow_resume({id})");
        assert_why(&mut session, id, &[(&paused, &resume), (running, ""), (ready, "")]).await;
        session.at(2.0).await;
        session.run(format!("SELECT workflow_cancel({id}, 'no use')")).await;
        let cancelling = format!("it was cancelled at 00:00:02 by {me} (no use), and is ending: running tasks may finish, and closing tasks run");
        let force = format!("to stop it immediately, SELECT workflow_cancel({id}, force => true)");
        let heartbeat = format!("workers are told at their next heartbeat; {force}");
        assert_why(&mut session, id, &[(&cancelling, &heartbeat), (running, "")]).await;
        session.at(30.0).await;
        session.run("SELECT workflow_tick()").await;
        let rerun = format!("to continue it anyway: SELECT workflow_rerun({id})");
        let cancelled = format!("it was cancelled at 00:00:02 by {me} (no use), and ended at 00:00:30");
        assert_why(&mut session, id, &[(&cancelled, &rerun)]).await;
        // An unhandled failure: running tasks may finish.
        let id = session.start().await;
        let tasks = session.claim(2).await;
        session.fail(&tasks[0], json!({"message": "broken"})).await;
        let (first, hint) = why(&mut session, id).await.remove(0);
        assert!(first.starts_with("it has failed") && first.ends_with("; running tasks may finish, and closing tasks run"), "{first}");
        assert_eq!(hint, format!("to stop it immediately, SELECT workflow_cancel({id}, force => true)"));
        session.complete(&tasks[1], json!(null)).await;
        let [(ended, hint)] = &why(&mut session, id).await[..] else { panic!() };
        assert!(ended.starts_with("it failed at 2026-01-01 00:00:30+00"), "{ended}");
        assert!(ended.ends_with("ended as failed and no transition handles it: broken"), "{ended}");
        assert_eq!(hint, &format!("fix the cause, then SELECT workflow_rerun({id})"));
        let id = session.start().await;
        for names in [&["a", "b"][..], &["c"]] {
            for task in session.claim(2).await {
                assert!(names.contains(&task.task_name.as_str()));
                session.complete(&task, json!(null)).await;
            }
        }
        assert_why(&mut session, id, &[("it completed at 00:00:30", "")]).await;
    })
    .await;
}

#[tokio::test]
async fn a_failure_is_explained_down_to_what_was_called() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks: [{name: x, action: demo.a, with_items: [1, 2], input: {}}]\n").await;
        let id = session.begin("tasks: [{name: call, action: demo.child}]\n").await;
        let [first, second] = session.claim_named(["x", "x"]).await;
        session.complete(&first, json!(null)).await;
        session.fail(&second, json!({"message": "no quota"})).await;
        let child = "task x ended as failed and no transition handles it: item 1: no quota";
        // The caller names the innermost cause, not the outcome of everything in between.
        let sentence = format!(
            "it failed at 00:00:00: task call ended as failed and no transition handles it: execution {}: task x: no quota",
            id + 1
        );
        let hint = |id: i64| format!("fix the cause, then SELECT workflow_rerun({id})");
        assert_why(&mut session, id, &[(&sentence, &hint(id))]).await;
        assert_why(&mut session, id + 1, &[(&format!("it failed at 00:00:00: {child}"), &hint(id + 1))]).await;
    })
    .await;
}

#[tokio::test]
async fn a_signal_is_named_with_the_call_that_sends_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: approve, wait_for: {signal: it's approved, timeout: 60}}
  - {name: check, wait_for: {signal: checked}}
",
            )
            .await;
        let call = |name: &str| format!("SELECT workflow_signal({id}, {name}, …), replacing … with the payload");
        let (approve, check) = (call("'it''s approved'"), call("'checked'"));
        let expected = [
            ("task approve has been waiting for signal it's approved since 00:00:00, until 00:01:00", approve.as_str()),
            ("task check has been waiting for signal checked since 00:00:00", check.as_str()),
        ];
        assert_why(&mut session, id, &expected).await;
        session.at(60.0).await;
        let late =
            "task approve was waiting for signal it's approved, and its timeout ended at 00:01:00, and workflow_tick has not been called since";
        assert_why(&mut session, id, &[(late, TICK), expected[1]]).await;
        // Pasted as it is, the call does nothing.
        assert_eq!(session.refused(check.split(" with ").next().unwrap()).await.sqlstate, "42703");
        session.run(format!("SELECT workflow_signal({id}, 'checked', 'true')")).await;
        assert_why(&mut session, id, &[(late, TICK)]).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_waits_for_what_its_execution_waits_for() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.leaf", "tasks: [{name: inner, action: demo.a}]\n").await;
        session.define_as("demo.branch", "tasks: [{name: middle, action: demo.leaf}]\n").await;
        session
            .define("tasks:\n  - {name: call, action: demo.branch}\n  - {name: each, action: demo.leaf, with_items: [1, 2], input: {}}\n")
            .await;
        let id = session.start().await;
        let child = async |session: &mut Session, task: &str| -> i64 {
            session.value(format!("SELECT min(execution) FROM workflow.workflow_task_execution WHERE task_name = '{task}'")).await
        };
        let (branch, leaf) = (child(&mut session, "call").await, child(&mut session, "middle").await);
        let item = child(&mut session, "each").await;
        let queued = "task inner has been queued since 00:00:00; \
                      no worker seems to serve action demo.a: none of its recent tasks has been claimed";
        session.at(60.0).await;
        let call = format!(
            "task call is waiting for execution {branch} (demo.branch): task middle is waiting for execution {leaf} (demo.leaf): {queued}"
        );
        let each =
            format!("task each 0 of 2 items have ended; running: 2, item 0 is waiting for execution {item} (demo.leaf): {queued}");
        let serve = "run a worker that serves demo.a";
        assert_why(&mut session, id, &[(&call, serve), (&each, serve)]).await;
        let inner = session.rows::<Task>("SELECT * FROM workflow_claim('w1', 10)").await;
        for task in inner {
            session.complete(&task, json!(null)).await;
        }
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn why_is_bounded_and_refuses_what_it_cannot_answer() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let tasks: Vec<String> = (0..20).map(|n| format!("  - {{name: t{n}, action: demo.a}}")).collect();
        let id = session.begin(&format!("tasks:\n{}\n", tasks.join("\n"))).await;
        assert_eq!(why(&mut session, id).await.len(), 20);
        assert_eq!(Engine::why(&mut session.connection, id, 7).await.unwrap().len(), 7);
        let outside: i64 = session
            .value(
                "SELECT e.id FROM workflow_create_execution('demo.a') AS e,
                   LATERAL workflow_create_workflow_execution(e.id, (SELECT id FROM workflow.workflow_definition)) AS w",
            )
            .await;
        let sentence = "it is driven from outside, and is requested";
        let hint = "its creator continues it, by calling workflow_update_workflow_execution";
        assert_why(&mut session, outside, &[(sentence, hint)]).await;
        for (call, sqlstate, code) in [
            ("workflow_why(NULL)".to_owned(), "22023", "WF613"),
            ("workflow_why(99)".into(), "P0002", "WF616"),
            (format!("workflow_why({id}, 0)"), "22023", "WF613"),
            (format!("workflow_why({id}, NULL)"), "22023", "WF613"),
        ] {
            let refusal = session.refused(format!("SELECT * FROM {call}")).await;
            assert_eq!(refusal.code(), (sqlstate, code), "{call}: {refusal:#?}");
        }
    })
    .await;
}

#[tokio::test]
async fn for_a_join_late_in_a_long_workflow_arrivals_are_listed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let mut rest = "tasks:\n".to_owned();
        for task in 0..100 {
            let next = if task >= 97 { ", on_success: last" } else { "" };
            let action = if task >= 97 { "demo.b" } else { "demo.a" };
            rest += &format!("  - {{name: t{task}, action: {action}{next}}}\n");
        }
        rest += "  - {name: last, join: all, action: demo.c}\n";
        let id = session.begin(&rest).await;
        let tasks: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w', 10, '{demo.b}')").await;
        session.complete(&tasks[1], json!(null)).await;
        let why: String = session.value(format!("SELECT why FROM workflow_why({id}, 1000) WHERE task = 'last'")).await;
        assert_eq!(why, "is waiting for t97, t99; arrived: t98");
    })
    .await;
}
