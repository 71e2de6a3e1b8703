//! The log of an execution.

use crate::fixture::*;
use pg_workflow_client::model::{Event, ExecutionStatus};
use pg_workflow_client::{Engine, Page, RerunInput};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

/// Kind, task and item, message, author and detail of every event.
async fn events(session: &mut Session, execution: i64) -> Value {
    session
        .value(format!(
            "SELECT coalesce(jsonb_agg(jsonb_build_array(e.kind, concat(e.task_name, ' ' || e.task_index), e.message, e.author, e.detail)
               ORDER BY e.id), '[]') FROM workflow_list_events({execution}, 1000) AS e"
        ))
        .await
}

async fn kinds(session: &mut Session, execution: i64) -> Vec<String> {
    let rows: Vec<(String,)> = session
        .rows(format!(
            "SELECT concat(kind, ' ' || task_name, ' ' || task_index) FROM workflow_list_events({execution}, 1000)"
        ))
        .await;
    rows.into_iter().map(|(kind,)| kind).collect()
}

const LINEAR: &str = "tasks:
  - {name: one, action: demo.a, retry: {count: 1, delay: 10}, on_success: two}
  - {name: two, action: demo.b}
";

#[tokio::test]
async fn a_success_is_not_logged() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        session.work("one", json!(null)).await;
        session.work("two", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(events(&mut session, id).await, json!([]));
    })
    .await;
}

#[tokio::test]
async fn failures_are_logged_in_order() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        let [one] = session.claim_named(["one"]).await;
        session.fail(&one, json!({"type": "net", "message": "no route", "much": "more"})).await;
        session.at(10.0).await;
        session.run("SELECT workflow_tick()").await;
        session.claim_named(["one"]).await;
        // Its worker is gone, so the lease expires.
        session.at(40.0).await;
        session.run("SELECT workflow_tick()").await;
        let [one] = session.claim_named(["one"]).await;
        session.fail(&one, json!("just a word")).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let events = events(&mut session, id).await;
        let verdict = events[3][2].clone();
        assert_eq!(
            events,
            json!([
                ["retrying", "one", "no route", "w1 (role postgres)",
                 {"type": "net", "attempt": 1, "next_retry_at": "2026-01-01T00:00:10+00:00"}],
                ["lease_expired", "one", null, "w1 (role postgres)", {"attempt": 2, "lost_leases": 1, "max_lost_leases": 5}],
                ["failed", "one", "just a word", "w1 (role postgres)", {"attempt": 3}],
                ["failed", "", verdict, null, null],
            ])
        );
    })
    .await;
}

#[tokio::test]
async fn time_limits_are_explained_for_tasks_and_executions() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "timeout: 100
tasks:
  - {name: a, action: demo.a, timeout: 20, on_timeout: b}
  - {name: b, action: demo.b}
",
            )
            .await;
        session.run("SELECT workflow_claim('w1', lease => '1 hour')").await;
        session.at(20.0).await;
        session.run("SELECT workflow_tick()").await;
        session.at(100.0).await;
        session.run("SELECT workflow_tick()").await;
        let events = events(&mut session, id).await;
        assert_eq!(
            events[0],
            json!(["timeout", "a", "exceeded its timeout of 20 s", "w1 (role postgres)", {"attempt": 1, "type": "timeout"}])
        );
        assert_eq!((&events[1][0], &events[1][1], &events[1][3]), (&json!("timeout"), &json!(""), &json!(null)));
        assert!(events[1][2].as_str().unwrap().contains("WF610"), "{events}");
        assert_eq!(events.as_array().unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn user_actions_are_logged_once_with_reason_and_author() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        let me: String = session.value("SELECT session_user::text").await;
        let connection = &mut session.connection;
        for reason in [Some("lunch"), None, Some("lunch"), Some("dinner")] {
            let status = Engine::pause(&mut *connection, id, reason).await.unwrap();
            assert_eq!(status, ExecutionStatus::Running);
        }
        assert_eq!(Engine::resume(&mut *connection, id, Some("fed")).await.unwrap(), ExecutionStatus::Running);
        for _ in 0..2 {
            assert_eq!(Engine::cancel(&mut *connection, id, Some("no use")).await.unwrap(), ExecutionStatus::Cancelled);
        }
        let input =
            RerunInput { tasks: Some(vec!["one".into()]), reason: Some("after all".into()), ..Default::default() };
        assert_eq!(Engine::rerun(&mut *connection, id, input).await.unwrap(), ExecutionStatus::Running);
        assert_eq!(Engine::cancel(&mut *connection, id, None).await.unwrap(), ExecutionStatus::Cancelled);
        assert_eq!(
            events(&mut session, id).await,
            json!([
                ["pause", "", "lunch", me, null],
                ["pause", "", "dinner", me, null],
                ["resume", "", "fed", me, null],
                ["cancel", "", "no use", me, null],
                ["rerun", "", "after all", me, {"tasks": ["one"]}],
                ["cancel", "", null, me, null],
            ])
        );
        // After SET ROLE and RESET ROLE, the author is the role that logged in.
        let other = session.start().await;
        session.run("SET ROLE pg_read_all_data; RESET ROLE").await;
        session.run(format!("SELECT workflow_pause({other}, repeat('x', 2000))")).await;
        let told = Engine::list_events(&mut session.connection, other, Page::default()).await.unwrap();
        assert_eq!((told[0].author.as_ref(), told[0].message.as_ref().unwrap().len()), (Some(&me), 1000));
    })
    .await;
}

#[tokio::test]
async fn a_signal_is_logged_once_with_its_name_and_author() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let me: String = session.value("SELECT session_user::text").await;
        let id = session.begin("tasks: [{name: approve, wait_for: {signal: approved}}]\n").await;
        for _ in 0..2 {
            session.run(format!("SELECT workflow_signal({id}, 'approved', '{{\"by\": \"mail\"}}', 'key 1')")).await;
        }
        let task: i64 = session.value("SELECT id FROM workflow.workflow_task_execution").await;
        let expected = json!([["signal", "", "approved", me, {"key": "key 1", "task": task}]]);
        assert_eq!(events(&mut session, id).await, expected);
    })
    .await;
}

#[tokio::test]
async fn an_action_that_reaches_other_executions_is_logged_for_them_too() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks: [{name: inner, action: demo.a}]\n").await;
        session.define("tasks: [{name: call, action: demo.child}]\n").await;
        let (parent, other) = (session.start().await, session.start().await);
        let child: i64 = session.value(format!("SELECT id FROM workflow.execution WHERE parent = {parent}")).await;
        for call in [
            format!("workflow_pause({parent}, 'first')"),
            format!("workflow_pause({child}, 'again')"),
            format!("workflow_resume({child})"),
            format!("workflow_pause({child}, 'again')"),
            format!("workflow_resume({parent}, 'enough')"),
            format!("workflow_cancel({parent}, 'no use')"),
            format!("workflow_cancel({child}, 'no use')"),
        ] {
            session.run(format!("SELECT {call}")).await;
        }
        let told = async |session: &mut Session, execution: i64| -> Vec<String> {
            let events = Engine::list_events(&mut session.connection, execution, Page::default()).await.unwrap();
            events.iter().map(|event| format!("{} {}", event.kind, event.message.as_deref().unwrap_or("-"))).collect()
        };
        let expected = ["pause first", "resume -", "pause again", "resume enough", "cancel no use"];
        assert_eq!(told(&mut session, parent).await, expected);
        let expected = ["pause first", "pause again", "resume -", "pause again", "resume enough", "cancel no use"];
        assert_eq!(told(&mut session, child).await, expected);
        assert_eq!(told(&mut session, other).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_cancel_that_reaches_others_later_is_logged_for_them_too() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.leaf", "tasks: [{name: inner, action: demo.a}]\n").await;
        session.define_as("demo.child", "tasks: [{name: call, action: demo.leaf}]\n").await;
        session.define("tasks: [{name: each, action: demo.child, with_items: [1, 2], input: {}}]\n").await;
        let told = async |session: &mut Session, execution: i64| -> Vec<String> {
            let events = Engine::list_events(&mut session.connection, execution, Page::default()).await.unwrap();
            let told = events.iter().map(|event| format!("{} {}", event.kind, event.message.as_deref().unwrap_or("-")));
            told.collect()
        };
        let family = "SELECT array_agg(execution ORDER BY execution) FROM workflow_tree";
        for when in ["at once", "at a report", "at a tick"] {
            let id = session.start().await;
            let family: Vec<i64> = session.value(format!("{family}({id})")).await;
            let leaf = family[3];
            let mut busy = Session::new(db).await;
            let held: Vec<Task> = match when {
                "at a report" => session.claim(1).await,
                _ => Vec::new(),
            };
            if when == "at a tick" {
                let other = "SELECT FROM workflow.workflow_execution WHERE execution";
                busy.run(format!("BEGIN; {other} = {} FOR UPDATE", family[2])).await;
            }
            session.run(format!("SELECT workflow_cancel({leaf}, 'no use')")).await;
            for task in &held {
                session.complete(task, json!(null)).await;
            }
            busy.run("COMMIT").await;
            session.run("SELECT workflow_tick()").await;
            session.assert_ended(id, "cancelled", json!(null)).await;
            for execution in family {
                assert_eq!(told(&mut session, execution).await, ["cancel no use"], "{when}: {execution}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn failures_and_retries_of_items_name_the_item() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - name: each
    action: demo.a
    with_items: {items: [1, 2, 3], on_item_failure: continue, max_failures: 0}
    input: {x: '{{ item }}'}
    retry: {count: 1, delay: 5}
",
            )
            .await;
        let items = session.claim(3).await;
        let report: Vec<_> = items
            .iter()
            .zip(["completed", "failed", "abandoned"])
            .map(|(item, status)| (item.task, item.lease_token, status))
            .collect();
        session.finish(&report).await;
        assert_eq!(kinds(&mut session, id).await, ["retrying each 1", "retrying each 2"]);
    })
    .await;
}

#[tokio::test]
async fn every_step_is_told_where_that_is_asked_for() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SET pg_workflow.log_transitions = on").await;
        let id = session
            .begin(
                "tasks:
  - {name: a, action: demo.a, on_success: [b, c, each]}
  - {name: b, action: demo.b, when: '{{ false }}'}
  - {name: c}
  - {name: each, action: demo.c, with_items: {items: [x, y], concurrency: 1}}
",
            )
            .await;
        let [a] = session.claim_named(["a"]).await;
        session
            .run(format!(
                "SELECT workflow_finish_and_claim('w2', {}, 1)",
                outcome_array(&[(a.task, a.lease_token, "completed")])
            ))
            .await;
        let first: (i64, i64) = session
            .rows("SELECT id, lease FROM workflow.workflow_task_execution WHERE status = 'running'")
            .await
            .remove(0);
        session.finish(&[(first.0, first.1, "completed")]).await;
        let [second] = session.claim_named(["each"]).await;
        session.complete(&second, json!(null)).await;
        assert_eq!(
            kinds(&mut session, id).await,
            [
                "scheduled a",
                "started a",
                "completed a",
                "skipped b",
                "completed c",
                "scheduled each 0",
                "started each 0",
                "scheduled each 1",
                "completed each 0",
                "started each 1",
                "completed each 1",
                "completed",
            ]
        );
        let (mut walked, mut page) = (Vec::<Event>::new(), Some(Page::of(5)));
        while let Some(next) = page {
            let rows = Engine::list_events(&db.pool, id, next).await.unwrap();
            page = next.next(&rows);
            walked.extend(rows);
        }
        assert_eq!(walked.len(), 12);
        assert!(walked.iter().take(11).all(|event| event.task.is_some()), "{walked:#?}");
        assert_eq!(walked[6].author.as_deref(), Some("w2 (role postgres)"));
        // A task that never began is also logged.
        let id = session.start().await;
        session.run(format!("SELECT workflow_cancel({id}, 'enough')")).await;
        assert_eq!(kinds(&mut session, id).await, ["scheduled a", "cancel", "cancelled a", "cancelled"]);
    })
    .await;
}

#[tokio::test]
async fn events_go_with_their_execution_and_bad_input_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        for (call, sqlstate, code) in [
            ("workflow_list_events(NULL)".to_owned(), "22023", "WF613"),
            ("workflow_list_events(99)".into(), "P0002", "WF616"),
            (format!("workflow_list_events({id}, 0)"), "22023", "WF613"),
            (format!("workflow_list_events({id}, NULL)"), "22023", "WF613"),
        ] {
            let refusal = session.refused(format!("SELECT * FROM {call}")).await;
            assert_eq!(refusal.code(), (sqlstate, code), "{call}: {refusal:#?}");
        }
        assert_eq!(session.value::<i32>("SELECT workflow_prune('0')").await, 1);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.event").await, 0);
    })
    .await;
}
