//! Tasks that wait for signals.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

const APPROVAL: &str = "tasks:
  - {name: ask, action: demo.a, on_success: approved}
  - {name: approved, wait_for: {signal: approval, timeout: 1h}, on_success: ship, on_timeout: remind}
  - {name: ship, action: demo.b, input: {by: '{{ task.approved.result.by }}'}}
  - {name: remind, action: demo.c}
";

async fn signal(session: &mut Session, execution: i64, rest: &str) -> String {
    session.value(format!("SELECT workflow_signal({execution}, {rest})")).await
}

async fn row(session: &mut Session, task: &str) -> Value {
    session
        .value(format!(
            "SELECT to_jsonb(t) FROM workflow.workflow_task_execution AS t WHERE task_name = '{task}' ORDER BY id DESC LIMIT 1"
        ))
        .await
}

#[tokio::test]
async fn a_signal_completes_the_task_that_waits_with_its_payload_as_result() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(APPROVAL).await;
        session.work("ask", json!(null)).await;
        assert!(session.claim(10).await.is_empty(), "no worker can take what waits");
        let waiting = row(&mut session, "approved").await;
        assert_eq!((&waiting["status"], &waiting["signal"]), (&json!("scheduled"), &json!("approval")));
        assert_eq!(session.status(id).await["current_tasks"], json!(["approved"]));
        session.at(90.5).await;
        assert_eq!(signal(&mut session, id, r#"'approval', '{"by": "ann"}'"#).await, "delivered");
        assert_eq!(row(&mut session, "approved").await["duration_ms"], 90_500);
        let [ship] = session.claim_named(["ship"]).await;
        assert_eq!(ship.input, Some(json!({"by": "ann"})));
        session.complete(&ship, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_signal_that_comes_early_is_kept_and_a_key_counts_once() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(APPROVAL).await;
        for _ in 0..2 {
            assert_eq!(signal(&mut session, id, r#"'approval', '{"by": "ann"}', 'k'"#).await, "kept");
        }
        let kept: i64 = session.value("SELECT count(*) FROM workflow.signal WHERE task IS NULL").await;
        assert_eq!(kept, 1);
        session.work("ask", json!(null)).await;
        assert_eq!(signal(&mut session, id, r#"'approval', '{"by": "bob"}', 'k'"#).await, "delivered");
        let [ship] = session.claim_named(["ship"]).await;
        assert_eq!(ship.input, Some(json!({"by": "ann"})));
        // Without a key, each signal counts, but no task is waiting any longer.
        assert_eq!(signal(&mut session, id, "'approval'").await, "kept");
    })
    .await;
}

#[tokio::test]
async fn who_waited_first_is_served_first_and_each_signal_serves_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let wait = "tasks: [{name: w, wait_for: {signal: 'go-{{ item }}'}, with_items: {items: [a, b, a]}}]
output_map: [{r: '{{ task.w.result }}'}]\n";
        let id = session.begin(wait).await;
        assert_eq!(signal(&mut session, id, "'go-a', '1'").await, "delivered");
        assert_eq!(signal(&mut session, id, "'go-a', '2'").await, "delivered");
        assert_eq!(signal(&mut session, id, "'go-a', '3'").await, "kept");
        assert_eq!(signal(&mut session, id, "'go-b', '4'").await, "delivered");
        session.assert_ended(id, "completed", json!({"r": [1, 4, 2]})).await;

        // Each kept signal also serves only one task.
        let id = session
            .begin("tasks:\n  - {name: a, action: demo.a, on_success: w}\n  - {name: w, wait_for: {signal: go}, with_items: {items: [0, 1, 2], concurrency: 2}}\noutput_map: [{r: '{{ task.w.result }}'}]\n")
            .await;
        for payload in 0..3 {
            assert_eq!(signal(&mut session, id, &format!("'go', '{payload}'")).await, "kept");
        }
        session.work("a", json!(null)).await;
        session.assert_ended(id, "completed", json!({"r": [0, 1, 2]})).await;
    })
    .await;
}

#[tokio::test]
async fn a_wait_times_out_and_waits_again_where_it_may_be_retried() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define("tasks:\n  - {name: w, wait_for: {signal: go, timeout: 60}, retry: {count: 1, delay: 10}, on_timeout: late}\n  - {name: late, action: demo.a, input: '{{ task.w.error.message }}'}\n")
            .await;
        let id = session.start().await;
        session.at(59.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
        session.at(60.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        let retried = row(&mut session, "w").await;
        assert_eq!((&retried["status"], &retried["retry_count"]), (&json!("requested"), &json!(0)));
        session.at(70.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        assert_eq!(row(&mut session, "w").await["retry_count"], 1);
        session.at(130.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        let [late] = session.claim_named(["late"]).await;
        assert_eq!(late.input, Some(json!("timed out after 60 s waiting for signal `go`")));
        assert_eq!(row(&mut session, "w").await["timed_out"], true);
        assert_eq!(session.refused(format!("SELECT workflow_signal({id}, 'go')")).await.code(), ("55000", "WF611"));
        session.complete(&late, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn what_waits_ends_with_its_workflow_and_a_rerun_waits_again() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let beside = "tasks:\n  - {name: w, wait_for: {signal: go}}\n  - {name: a, action: demo.a}\n";
        let id = session.begin(beside).await;
        let [a] = session.claim_named(["a"]).await;
        session.fail(&a, json!({})).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(row(&mut session, "w").await["status"], "cancelled");
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.work("a", json!(null)).await;
        assert_eq!(session.status(id).await["current_tasks"], json!(["w"]));
        assert_eq!(signal(&mut session, id, "'go'").await, "delivered");
        session.assert_ended(id, "completed", json!(null)).await;

        let id = session.start().await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_paused_execution_takes_signals_and_what_follows_waits_for_the_end_of_the_pause() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(APPROVAL).await;
        session.work("ask", json!(null)).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        assert_eq!(signal(&mut session, id, r#"'approval', '{"by": "ann"}'"#).await, "delivered");
        assert!(session.claim(10).await.is_empty());
        session.run(format!("SELECT workflow_resume({id})")).await;
        session.work("ship", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_signal_that_nobody_can_take_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(APPROVAL).await;
        let refusal = session.refused(format!("SELECT workflow_signal({id}, 'aproval')")).await;
        assert_eq!(refusal.code(), ("55000", "WF611"));
        assert_eq!(refusal.hint, "Its workflow waits for these signals: approval.");
        for (call, code) in [
            ("12345, 'approval'".to_owned(), ("P0002", "WF616")),
            (format!("{id}, NULL"), ("22023", "WF613")),
            ("NULL, 'approval'".to_owned(), ("22023", "WF613")),
            (format!("{id}, repeat('x', 1001)"), ("22023", "WF613")),
            (format!("{id}, 'approval', NULL, repeat('x', 1001)"), ("22023", "WF613")),
        ] {
            assert_eq!(session.refused(format!("SELECT workflow_signal({call})")).await.code(), code, "{call}");
        }
        session.run("SET pg_workflow.max_result_bytes = 100").await;
        let large = format!("SELECT workflow_signal({id}, 'approval', to_jsonb(repeat('x', 101)))");
        assert_eq!(session.refused(large).await.code(), ("54000", "WF614"));
        session.run(format!("SELECT workflow_cancel({id}, 'no')")).await;
        let refusal = session.refused(format!("SELECT workflow_signal({id}, 'approval')")).await;
        assert_eq!(refusal.code(), ("55000", "WF611"));
        assert!(refusal.message.contains("it is cancelled"), "{refusal:?}");
        let none = session.begin("tasks: [{name: a, action: demo.a}]\n").await;
        let refusal = session.refused(format!("SELECT workflow_signal({none}, 'approval')")).await;
        assert_eq!(refusal.hint, "No task of its workflow has wait_for.");
    })
    .await;
}

#[tokio::test]
async fn a_routing_task_with_a_delay_continues_after_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id =
            session.begin("tasks:\n  - {name: later, delay: 60, on_success: a}\n  - {name: a, action: demo.a}\n").await;
        assert!(session.claim(10).await.is_empty());
        session.run(format!("SELECT workflow_pause({id})")).await;
        session.at(60.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        assert_eq!(session.status(id).await["current_tasks"], json!(["later"]));
        session.run(format!("SELECT workflow_resume({id})")).await;
        session.work("a", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_signal_whose_wait_has_timed_out_does_not_answer_the_next_question() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: first, wait_for: {signal: answer, timeout: 10}, input: {question: pay?}, on_timeout: remind}
  - {name: remind, action: demo.a, on_success: second}
  - {name: second, wait_for: {signal: answer}, input: {question: ship?}}
";
        let id = session.begin(rest).await;
        let hint: String = session.value(format!("SELECT hint FROM workflow_why({id})")).await;
        assert!(hint.contains("replacing …") && hint.contains("{\"question\": \"pay?\"}"), "{hint}");
        session.at(11.0).await;
        session.run("SELECT workflow_tick()").await;
        let refusal = session.refused(format!("SELECT workflow_signal({id}, 'answer', '\"yes\"')")).await;
        assert_eq!(refusal.code(), ("55000", "WF611"));
        assert!(refusal.message.contains("too late: task first"), "{refusal:?}");
        session.work("remind", json!(null)).await;
        let state: String = session.value(format!("SELECT workflow_signal({id}, 'answer', '\"no\"')")).await;
        assert_eq!(state, "delivered");
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_payload_that_violates_the_schema_is_refused_and_the_task_keeps_waiting() {
    const ASK: &str = "tasks:
  - name: approved
    wait_for: {signal: approval, schema: {type: object, required: [ok], properties: {ok: {type: boolean}}}}
    input: {question: 'ship?'}
    on_success: other
  - {name: other, action: demo.a, on_success: [second, third]}
  - {name: second, wait_for: {signal: next, schema: {type: integer}}}
  - {name: third, wait_for: {signal: 'next', schema: {type: string}}}
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(ASK).await;
        let why: String = session.value(format!("SELECT hint FROM workflow_why({id})")).await;
        assert!(why.contains("which must satisfy") && why.contains("boolean"), "{why}");
        for payload in ["NULL", "'{}'", "'{\"ok\": \"yes\"}'", "'[]'"] {
            let refusal = session.refused(format!("SELECT workflow_signal({id}, 'approval', {payload})")).await;
            assert_eq!(refusal.code(), ("22023", "WF621"), "{refusal:?}");
            assert!(refusal.message.contains("schema of task approved"), "{refusal:?}");
        }
        assert_eq!(signal(&mut session, id, "'approval', '{\"ok\": true}'").await, "delivered");
        // No task that may wait for it can accept this payload; each of these is accepted by one of the two.
        let refusal = session.refused(format!("SELECT workflow_signal({id}, 'next', 'true')")).await;
        assert_eq!(refusal.code().1, "WF621");
        assert_eq!(signal(&mut session, id, "'next', '\"three\"'").await, "kept");
        assert_eq!(signal(&mut session, id, "'next', '2'").await, "kept");
        session.work("other", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(row(&mut session, "second").await["result"], json!(2));
        assert_eq!(row(&mut session, "third").await["result"], json!("three"));
    })
    .await;
}

#[tokio::test]
async fn an_error_fails_the_wait_which_may_be_retried() {
    const ASK: &str = "tasks:
  - {name: approved, wait_for: {signal: approval, schema: {type: boolean}}, retry: {count: 1}, on_success: ship, on_failure: amend}
  - {name: ship, action: demo.a}
  - {name: amend, action: demo.b, input: {why: '{{ task.approved.error.message }}'}}
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(ASK).await;
        let refused = r#"'approval', error => '{"message": "not like this"}'"#;
        let both = session.refused(format!("SELECT workflow_signal({id}, 'approval', 'true', error => '{{}}')")).await;
        assert_eq!(both.code().1, "WF613");
        assert_eq!(signal(&mut session, id, refused).await, "delivered");
        let waits: i64 = session.value("SELECT count(*) FROM workflow_list_waits()").await;
        assert_eq!(waits, 1, "it waits again");
        assert_eq!(signal(&mut session, id, refused).await, "delivered");
        let [amend] = session.claim_named(["amend"]).await;
        assert_eq!(amend.input, Some(json!({"why": "not like this"})));
        session.complete(&amend, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        // A signal that arrives early is kept, and fails the task as soon as it waits.
        let id = session.begin("tasks:\n  - {name: first, action: demo.a, on_success: asked}\n  - {name: asked, wait_for: {signal: go}}\n").await;
        assert_eq!(signal(&mut session, id, "'go', error => '{\"message\": \"no\"}'").await, "kept");
        session.work("first", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.status(id).await["error_message"], json!("task asked ended as failed and no transition handles it: no"));
    })
    .await;
}

#[tokio::test]
async fn what_waits_is_listed_and_found_by_idempotency_key() {
    const ASK: &str = "parameters: {type: object, properties: {n: {type: integer, default: 1}}}
tasks:
  - {name: approved, wait_for: {signal: approval, timeout: 1h, schema: {type: boolean}}, input: {order: '{{ parameters.n }}'}}
  - {name: each, with_items: [1, 2], wait_for: {signal: 'item {{ item }}'}}
";
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ASK).await;
        let first: i64 = session.value("SELECT workflow_start('demo.w', '{\"n\": 1}', 'one')").await;
        let second: i64 = session.value("SELECT workflow_start('demo.w', '{\"n\": 2}', 'two')").await;
        for mode in ["auto", "force_generic_plan"] {
            session.run(format!("SET plan_cache_mode = {mode}")).await;
            for _ in 0..7 {
                let all: Vec<(i64, String, Option<i32>, String)> = session
                    .rows("SELECT execution, task_name, task_index, signal_name FROM workflow_list_waits()")
                    .await;
                let of = |execution, task: &str, index, signal: &str| (execution, task.to_owned(), index, signal.to_owned());
                let expected = [first, second].map(|id| {
                    [of(id, "approved", None, "approval"), of(id, "each", Some(0), "item 1"), of(id, "each", Some(1), "item 2")]
                });
                assert_eq!(all, expected.concat());
            }
        }
        let one: Value = session.value(format!("SELECT to_jsonb(w) FROM workflow_list_waits('approval', {second}) AS w")).await;
        assert_eq!((&one["input"], &one["schema"]), (&json!({"order": 2}), &json!({"type": "boolean"})));
        assert_eq!((&one["since"], &one["until"]), (&json!("2026-01-01T00:00:00+00:00"), &json!("2026-01-01T01:00:00+00:00")));
        let page: Vec<(i64,)> = session.rows("SELECT task FROM workflow_list_waits(max_rows => 2, after => (SELECT min(task) FROM workflow_list_waits()))").await;
        assert_eq!(page.len(), 2);
        let by_key = "SELECT workflow_signal_by_key('demo.w', 'two', 'approval', 'true', key => 'k')";
        assert_eq!(session.value::<String>(by_key).await, "delivered");
        assert_eq!(session.value::<String>(by_key).await, "delivered");
        let refusal = session.refused("SELECT workflow_signal_by_key('demo.w', 'three', 'approval')").await;
        assert_eq!(refusal.code(), ("P0002", "WF616"));
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow_list_waits('approval')").await, 1);
        session.run(format!("SELECT workflow_cancel({first})")).await;
        assert_eq!(session.value::<i64>(format!("SELECT count(*) FROM workflow_list_waits(execution_id => {first})")).await, 0);
    })
    .await;
}

const HEARTBEAT: &str = "tasks:
  - {name: w, wait_for: {signal: go, heartbeat: 10m, timeout: 25m}, on_success: done, on_timeout: late}
  - {name: done, action: demo.a}
  - {name: late, action: demo.b, input: {why: '{{ task.w.error.message }}'}}
";

#[tokio::test]
async fn a_wait_continues_as_long_as_it_is_extended() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let minute = 60.0;
        let id = session.begin(HEARTBEAT).await;
        let extend =
            format!("SELECT extract(epoch FROM workflow_extend_wait({id}, 'go') - workflow.now())::float8 / 60");
        session.at(9.0 * minute).await;
        assert_eq!(session.value::<f64>(extend.clone()).await, 10.0);
        session.at(18.0 * minute).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.value::<f64>(extend.clone()).await, 7.0, "its timeout stays");
        // A pause stops both clocks.
        session.run(format!("SELECT workflow_pause({id})")).await;
        session.at(48.0 * minute).await;
        let until: Option<f64> = session.value(extend.clone()).await;
        assert_eq!(until, None);
        session.run(format!("SELECT workflow_resume({id})")).await;
        session.at(54.0 * minute).await;
        session.run("SELECT workflow_tick()").await;
        assert!((session.value::<f64>(extend.clone()).await - 1.0).abs() < 1e-9);
        session.at(56.0 * minute).await;
        session.run("SELECT workflow_tick()").await;
        let [late] = session.claim_named(["late"]).await;
        assert_eq!(late.input, Some(json!({"why": "timed out after 1500 s waiting for signal `go`"})));
        session.complete(&late, json!(null)).await;
        let refused = session.refused(extend.clone()).await;
        assert_eq!(refused.code().1, "WF611", "{refused:?}");

        session.start().await;
        session.at(66.5 * minute).await;
        session.run("SELECT workflow_tick()").await;
        let [late] = session.claim_named(["late"]).await;
        assert_eq!(
            late.input,
            Some(json!({"why": "timed out after 600 s without a heartbeat, waiting for signal `go`"}))
        );

        let id = session.begin("tasks: [{name: w, wait_for: {signal: go}}]").await;
        let refused = session.refused(format!("SELECT workflow_extend_wait({id}, 'go')")).await;
        assert!(refused.message.contains("has no heartbeat"), "{refused:?}");
        for call in [format!("{id}, NULL"), "NULL, 'go'".to_owned()] {
            assert_eq!(session.refused(format!("SELECT workflow_extend_wait({call})")).await.code().1, "WF613");
        }
        assert_eq!(session.refused("SELECT workflow_extend_wait(7, 'go')").await.code().1, "WF616");
    })
    .await;
}
