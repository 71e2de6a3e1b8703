//! Pause, resume, cancel.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

const LINEAR: &str = "tasks:
  - {name: one, action: demo.a, on_success: two}
  - {name: two, action: demo.b}
";

async fn control(session: &mut Session, call: String) -> String {
    session.value(format!("SELECT workflow_{call}::text")).await
}

#[tokio::test]
async fn nothing_of_a_paused_execution_can_be_claimed_and_what_runs_may_finish() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks:\n  - {name: a, action: demo.a, on_success: c}\n  - {name: b, action: demo.b}\n  - {name: c, action: demo.c, delay: 5}\n").await;
        let id = session.start().await;
        let a = session.rows::<Task>("SELECT * FROM workflow_claim('w1', 1, ARRAY['demo.a'])").await.remove(0);
        assert_eq!(control(&mut session, format!("pause({id}, 'lunch')")).await, "running");
        let status = session.status(id).await;
        assert_eq!((&status["paused"], &status["pause_reason"], &status["status"]), (&json!(true), &json!("lunch"), &json!("running")));
        assert!(session.claim(10).await.is_empty());
        // Repeated: the same answer; the reason is kept, or replaced by the new one.
        assert_eq!(control(&mut session, format!("pause({id})")).await, "running");
        assert_eq!(session.status(id).await["pause_reason"], "lunch");
        assert_eq!(control(&mut session, format!("pause({id}, 'dinner')")).await, "running");
        assert_eq!(session.status(id).await["pause_reason"], "dinner");
        assert_eq!(session.complete(&a, json!(null)).await, "completed");
        // Work that becomes due in the meantime waits for the end of the pause.
        session.at(5.0).await;
        session.run("SELECT workflow_tick()").await;
        assert!(session.claim(10).await.is_empty());
        assert_eq!(control(&mut session, format!("resume({id})")).await, "running");
        assert_eq!(session.status(id).await["pause_reason"], json!(null));
        for task in session.claim_named(["b", "c"]).await {
            session.complete(&task, json!(null)).await;
        }
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_ends_during_a_pause_frees_its_task_for_afterwards() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        let [one] = session.claim_named(["one"]).await;
        control(&mut session, format!("pause({id})")).await;
        session.at(30.0).await;
        assert!(session.claim(10).await.is_empty());
        let refusal = session.refused(format!("SELECT workflow_complete({}, {})", one.task, one.lease_token)).await;
        assert_eq!(refusal.code(), ("55006", "WF615"));
        control(&mut session, format!("resume({id})")).await;
        session.work("one", json!(null)).await;
        session.work("two", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn resuming_what_has_nothing_left_to_do_ends_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: a, action: demo.a}]\n").await;
        let [a] = session.claim_named(["a"]).await;
        control(&mut session, format!("pause({id})")).await;
        session.complete(&a, json!(null)).await;
        let status = session.status(id).await;
        if status["ended"] == false {
            assert_eq!(control(&mut session, format!("resume({id})")).await, "completed");
        }
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_execution_lets_its_tasks_finish_and_ends_cancelled_whatever_they_say() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks:\n  - {name: a, action: demo.a, retry: {count: 3}, on_complete: c}\n  - {name: b, action: demo.b}\n  - {name: c, action: demo.c}\n").await;
        for fails in [false, true] {
            let id = session.start().await;
            let a = session.rows::<Task>("SELECT * FROM workflow_claim('w1', 1, ARRAY['demo.a'])").await.remove(0);
            assert_eq!(control(&mut session, format!("cancel({id}, 'no more')")).await, "canceling");
            assert!(session.claim(10).await.is_empty());
            let status = session.status(id).await;
            assert_eq!((&status["ended"], &status["error_message"]), (&json!(false), &json!("cancelled: no more")));
            let before = session.contents().await;
            assert_eq!(control(&mut session, format!("cancel({id})")).await, "canceling");
            assert_eq!(session.contents().await, before);
            if fails {
                // It is no longer retried.
                session.fail(&a, json!(null)).await;
            } else {
                assert_eq!(session.complete(&a, json!(null)).await, "completed");
            }
            session.assert_ended(id, "cancelled", json!(null)).await;
            let before = session.contents().await;
            assert_eq!(control(&mut session, format!("cancel({id}, 'again')")).await, "cancelled");
            assert_eq!(session.contents().await, before, "cancelling what is cancelled changes nothing");
            assert!(session.claim(10).await.is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn with_cancel_running_leases_are_void_at_once() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(&format!("cancellation_policy: cancel_running\n{LINEAR}")).await;
        let [one] = session.claim_named(["one"]).await;
        assert_eq!(control(&mut session, format!("cancel({id})")).await, "cancelled");
        session.assert_ended(id, "cancelled", json!(null)).await;
        let refusal = session.refused(format!("SELECT workflow_complete({}, {})", one.task, one.lease_token)).await;
        assert_eq!(refusal.code(), ("55006", "WF615"));
        let lost: String = session
            .value(format!("SELECT state FROM workflow_heartbeat('{{{}}}', '{{{}}}')", one.task, one.lease_token))
            .await;
        assert_eq!(lost, "lost");
    })
    .await;
}

#[tokio::test]
async fn cancelling_what_waits_only_ends_it_at_once() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks:\n  - {name: a, action: demo.a}\n  - {name: b, action: demo.b, delay: 100}\n").await;
        let id = session.start().await;
        assert_eq!(control(&mut session, format!("cancel({id})")).await, "cancelled");
        session.assert_ended(id, "cancelled", json!(null)).await;
        let id = session.start().await;
        control(&mut session, format!("pause({id})")).await;
        assert_eq!(control(&mut session, format!("cancel({id})")).await, "cancelled");
        session.assert_ended(id, "cancelled", json!(null)).await;
        session.at(1000.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_ends_while_its_execution_is_cancelled_ends_the_task() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        session.claim_named(["one"]).await;
        assert_eq!(control(&mut session, format!("cancel({id})")).await, "canceling");
        session.at(30.0).await;
        session.run("SELECT workflow_tick()").await;
        session.assert_ended(id, "cancelled", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_wrong_state_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(LINEAR).await;
        let completed = session.start().await;
        session.work("one", json!(null)).await;
        session.work("two", json!(null)).await;
        let failed = session.start().await;
        let [one] = session.claim_named(["one"]).await;
        session.fail(&one, json!(null)).await;
        let running = session.start().await;
        session.assert_ended(completed, "completed", json!(null)).await;
        session.assert_ended(failed, "failed", json!(null)).await;
        let outside: i64 = session
            .value(
                "SELECT e.id FROM workflow_create_execution('demo.a') AS e,
                   LATERAL workflow_create_workflow_execution(e.id, (SELECT id FROM workflow.workflow_definition)) AS w",
            )
            .await;
        for (call, sqlstate, code) in [
            (format!("pause({completed})"), "55000", "WF611"),
            (format!("pause({failed})"), "55000", "WF611"),
            (format!("resume({completed})"), "55000", "WF611"),
            (format!("resume({failed})"), "55000", "WF611"),
            (format!("cancel({completed})"), "55000", "WF611"),
            (format!("cancel({failed})"), "55000", "WF611"),
            (format!("rerun({running})"), "55000", "WF612"),
            (format!("rerun({completed})"), "55000", "WF612"),
            (format!("rerun({failed}, ARRAY['two'])"), "55000", "WF612"),
            (format!("rerun({failed}, ARRAY['nowhere'])"), "55000", "WF612"),
            (format!("rerun({failed}, ARRAY['one'], routes => ARRAY[7])"), "55000", "WF612"),
            (format!("rerun({failed}, ARRAY['one'], routes => ARRAY[0, 0])"), "22023", "WF613"),
            (format!("rerun({failed}, ARRAY[NULL]::text[])"), "22023", "WF613"),
            (format!("rerun({failed}, reset_items => NULL)"), "22023", "WF613"),
            (format!("rerun({failed}, routes => ARRAY[0])"), "22023", "WF613"),
        ] {
            let refusal = session.refused(format!("SELECT workflow_{call}")).await;
            assert_eq!(refusal.code(), (sqlstate, code), "{call}: {refusal:#?}");
        }
        for verb in ["pause", "resume", "cancel", "rerun"] {
            for (id, sqlstate, code) in
                [("999".to_owned(), "P0002", "WF616"), ("NULL".into(), "22023", "WF613"), (outside.to_string(), "55000", "WF618"), ("-1".into(), "P0002", "WF616")]
            {
                let refusal = session.refused(format!("SELECT workflow_{verb}({id})")).await;
                assert_eq!(refusal.code(), (sqlstate, code), "{verb}({id}): {refusal:#?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn control_and_reports_at_once_leave_a_sound_execution() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "tasks:
  - {name: each, action: demo.a, with_items: {items: '{{ range(30) | list }}', concurrency: 5}, input: {x: '{{ item }}'}, on_success: last}
  - {name: last, action: demo.b}
",
            )
            .await;
        let ids: Vec<i64> = {
            let mut ids = Vec::new();
            for _ in 0..4 {
                ids.push(session.start().await);
            }
            ids
        };
        let work = || async {
            let mut session = Session::new(db).await;
            let mut nothing = 0;
            while nothing < 20 {
                let tasks = session.claim(4).await;
                nothing = if tasks.is_empty() { nothing + 1 } else { 0 };
                let outcomes: Vec<_> = tasks.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
                session.finish(&outcomes).await;
            }
        };
        let fiddle = |id: i64, last: &'static str| async move {
            let mut session = Session::new(db).await;
            for _ in 0..10 {
                for verb in ["pause", "resume"] {
                    // It may have ended by now.
                    let call = format!("SELECT workflow_{verb}({id})");
                    if let Err(error) = sqlx::query(sqlx::AssertSqlSafe(call.as_str())).execute(&mut session.connection).await {
                        assert_eq!(Refusal::of(error).code(), ("55000", "WF611"));
                    }
                }
            }
            if last == "cancel" {
                let call = format!("SELECT workflow_cancel({id})");
                if let Err(error) = sqlx::query(sqlx::AssertSqlSafe(call.as_str())).execute(&mut session.connection).await {
                    assert_eq!(Refusal::of(error).code(), ("55000", "WF611"));
                }
            }
        };
        tokio::join!(work(), work(), fiddle(ids[0], "resume"), fiddle(ids[1], "cancel"), fiddle(ids[2], "cancel"));
        work().await;
        for id in ids {
            let status = session.status(id).await;
            assert_eq!(status["ended"], true, "{status:#}");
            assert!(["completed", "cancelled"].contains(&status["status"].as_str().unwrap()), "{status:#}");
        }
        let twice: Value = session
            .value("SELECT coalesce(jsonb_agg(t), '[]') FROM (SELECT workflow_execution, task_name, task_index FROM workflow.workflow_task_execution GROUP BY 1, 2, 3 HAVING count(*) > 1) t")
            .await;
        assert_eq!(twice, json!([]));
    })
    .await;
}
