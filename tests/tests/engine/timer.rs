//! Work that becomes due: delays, retries, time limits.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

const RETRIED: &str = "tasks:
  - name: a
    action: demo.a
    retry: {count: 2, delay: 10, backoff: exponential, factor: 3}
    on_failure: mend
  - {name: mend, action: demo.b}
";

async fn tick(session: &mut Session) -> i32 {
    session.value("SELECT workflow_tick()").await
}

async fn row(session: &mut Session, name: &str) -> Value {
    session
        .value(format!(
            "SELECT jsonb_build_object('status', status, 'retries', retry_count, 'due', extract(epoch FROM due_at - '{START}'),
               'next', extract(epoch FROM next_retry_at - '{START}'), 'attempt', attempt, 'timed_out', timed_out)
             FROM workflow.workflow_task_execution WHERE task_name = '{name}' ORDER BY id DESC LIMIT 1"
        ))
        .await
}

#[tokio::test]
async fn a_delay_is_waited_for() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin("tasks:\n  - {name: a, action: demo.a, delay: 90s, on_success: b}\n  - {name: b, action: demo.b, delay: '{{ 5 * 2 }}'}\n")
            .await;
        assert!(session.claim(1).await.is_empty());
        session.at(89.0).await;
        assert_eq!(tick(&mut session).await, 0);
        session.at(90.0).await;
        assert_eq!(tick(&mut session).await, 1);
        assert_eq!(tick(&mut session).await, 0);
        session.work("a", json!(null)).await;
        assert_eq!(tick(&mut session).await, 0);
        session.at(100.0).await;
        assert_eq!(tick(&mut session).await, 1);
        session.work("b", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_delay_that_a_template_yields_is_a_duration_as_in_a_definition() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for (delay, seconds) in [
            ("'5m'", 300.0),
            ("'PT1H30M'", 5400.0),
            ("'2.5'", 2.5),
            ("10 ** 20", 2_147_483_647.0),
            ("2 ** 62", 2_147_483_647.0),
        ] {
            session.begin(&format!("tasks:\n  - {{name: a, action: demo.a, delay: \"{{{{ {delay} }}}}\"}}\n")).await;
            assert_eq!(row(&mut session, "a").await["due"].as_f64(), Some(seconds), "{delay}");
        }
        session.define("tasks:\n  - {name: a, action: demo.a, delay: \"{{ '5 minutes' }}\"}\n").await;
        let refusal = session.refused("SELECT workflow_start('demo.w')").await;
        assert_eq!(refusal.code().1, "WF602", "{refusal:?}");
        assert!(refusal.message.contains("expected a duration"), "{refusal:?}");
    })
    .await;
}

#[tokio::test]
async fn a_failed_task_is_tried_again_after_its_delay_until_its_retries_are_used_up() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(RETRIED).await;
        let mut now = 0.0;
        for (retry, delay) in [(0, 10.0), (1, 30.0)] {
            let [a] = session.claim_named(["a"]).await;
            assert_eq!(a.attempt, retry + 1);
            assert_eq!(session.fail(&a, json!({"n": retry})).await, "retrying");
            // It keeps the workflow running; a repeated report gets the same answer.
            assert_eq!(session.fail(&a, json!({"n": retry})).await, "retrying");
            let status = session.status(id).await;
            assert_eq!((&status["status"], &status["current_tasks"]), (&json!("running"), &json!(["a"])));
            let waiting = row(&mut session, "a").await;
            assert_eq!(waiting["retries"], retry, "counted when dispatched: {waiting}");
            assert_eq!(waiting["next"].as_f64(), Some(now + delay), "{waiting}");
            session.at(now + delay - 1.0).await;
            assert_eq!(tick(&mut session).await, 0);
            assert!(session.claim(1).await.is_empty());
            assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow_find_pending_retries()").await, 0);
            now += delay;
            session.at(now).await;
            assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow_find_pending_retries()").await, 1);
            assert_eq!(tick(&mut session).await, 1);
            assert_eq!(row(&mut session, "a").await["retries"], retry + 1);
        }
        let [a] = session.claim_named(["a"]).await;
        assert_eq!(a.attempt, 3);
        assert_eq!(session.fail(&a, json!({"n": 2})).await, "failed");
        session.work("mend", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_retry_that_succeeds_leaves_no_trace_of_the_failure_in_the_way() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: a, action: demo.a, retry: {count: 1}, on_success: b, on_failure: mend}
  - {name: b, action: demo.b, input: {x: '{{ task.a.result }}', e: '{{ task.a.error }}'}}
  - {name: mend, action: demo.c}
",
            )
            .await;
        let [a] = session.claim_named(["a"]).await;
        assert_eq!(session.fail(&a, json!({"type": "x"})).await, "retrying");
        session.work("a", json!(5)).await;
        let [b] = session.claim_named(["b"]).await;
        assert_eq!(b.input, Some(json!({"x": 5, "e": null})));
        session.complete(&b, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn the_workers_word_on_a_retry_counts() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(RETRIED).await;
        let [a] = session.claim_named(["a"]).await;
        let state: String = session
            .value(format!("SELECT workflow_fail({}, {}, retry_in => '5 minutes')", a.task, a.lease_token))
            .await;
        assert_eq!(state, "retrying");
        assert_eq!(row(&mut session, "a").await["next"].as_f64(), Some(300.0));
        session.at(300.0).await;
        tick(&mut session).await;
        let [a] = session.claim_named(["a"]).await;
        let state: String =
            session.value(format!("SELECT workflow_fail({}, {}, may_retry => false)", a.task, a.lease_token)).await;
        assert_eq!(state, "failed");
        session.work("mend", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_retrys_condition_decides_and_a_cancelled_task_is_never_tried_again() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "tasks:
  - {name: a, action: demo.a, retry: {count: 5, when: \"{{ failed() and error().type != 'compile' }}\"}}
",
            )
            .await;
        session.start().await;
        let [a] = session.claim_named(["a"]).await;
        assert_eq!(session.fail(&a, json!({"type": "network"})).await, "retrying");
        let [a] = session.claim_named(["a"]).await;
        assert_eq!(session.fail(&a, json!({"type": "compile"})).await, "failed");
        session.define("tasks: [{name: a, action: demo.a, retry: {count: 5}}]\n").await;
        for (status, word) in
            [("timeout", "retrying"), ("abandoned", "retrying"), ("failed", "retrying"), ("cancelled", "cancelled")]
        {
            session.start().await;
            let [a] = session.claim_named(["a"]).await;
            let state: String = session
                .value(format!(
                    "SELECT workflow_fail({}, {}, status => '{status}', may_retry => NULL)",
                    a.task, a.lease_token
                ))
                .await;
            assert_eq!(state, word, "{status}");
            for again in session.claim(1).await {
                session.complete(&again, json!(null)).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_task_that_runs_too_long_is_timed_out_by_the_tick() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: a, action: demo.a, timeout: 20, on_success: good, on_failure: bad, on_timeout: late}
  - {name: good, action: demo.b}
  - {name: bad, action: demo.c}
  - {name: late, action: demo.d, input: {status: '{{ task.a.status }}', type: '{{ task.a.error.type }}'}}
",
            )
            .await;
        // Waiting in the queue does not count as running.
        session.at(1000.0).await;
        assert_eq!(tick(&mut session).await, 0);
        let [a] = session.claim_named(["a"]).await;
        session.at(1019.0).await;
        assert_eq!(tick(&mut session).await, 0);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow_find_overdue()").await, 0);
        session.at(1020.0).await;
        assert_eq!(tick(&mut session).await, 1);
        assert_eq!(tick(&mut session).await, 0);
        let timed_out = row(&mut session, "a").await;
        assert_eq!((&timed_out["status"], &timed_out["timed_out"]), (&json!("timeout"), &json!(true)));
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow_find_timed_out()").await, 1);
        // A report of its worker now changes nothing.
        let before = session.contents().await;
        assert_eq!(session.complete(&a, json!("too late")).await, "timeout");
        assert_eq!(session.contents().await, before);
        let [late] = session.claim_named(["late"]).await;
        assert_eq!(late.input, Some(json!({"status": "failed", "type": "timeout"})));
        session.complete(&late, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_time_limit_counts_for_one_attempt() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: a, action: demo.a, timeout: 100, retry: {count: 1}}]\n").await;
        let claim = "SELECT * FROM workflow_claim('w1', lease => '1 hour')";
        let first: Vec<Task> = session.rows(claim).await;
        session.at(100.0).await;
        assert_eq!(tick(&mut session).await, 1);
        let second: Vec<Task> = session.rows(claim).await;
        assert_eq!((first[0].task, second[0].attempt), (second[0].task, 2));
        session.at(199.0).await;
        assert_eq!(tick(&mut session).await, 0);
        assert_eq!(session.complete(&second[0], json!(null)).await, "completed");
        session.assert_ended(id, "completed", json!(null)).await;
        session.at(1000.0).await;
        assert_eq!(tick(&mut session).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_tick_does_no_more_than_it_is_asked_to_and_says_how_much() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a, delay: 10}]\n").await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[25]))").await;
        session.at(10.0).await;
        let mut done = Vec::new();
        for _ in 0..4 {
            done.push(session.value::<i32>("SELECT workflow_tick(10)").await);
        }
        assert_eq!(done, [10, 10, 5, 0]);
        assert_eq!(session.claim(100).await.len(), 25);
        for call in [
            "workflow_tick(0)",
            "workflow_tick(-1)",
            "workflow_tick(10001)",
            "workflow_tick(NULL)",
            "workflow_tick(1, '{5000}')",
        ] {
            assert_eq!(session.refused(format!("SELECT {call}")).await.code(), ("22023", "WF613"), "{call}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_tick_keeps_to_its_parts() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a, delay: 10}]\n").await;
        for part in [0, 3] {
            session.run(format!("SELECT workflow_start('demo.w', part => {part})")).await;
        }
        session.at(10.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick(parts => '{3}')").await, 1);
        assert_eq!(session.value::<i32>("SELECT workflow_tick(parts => '{3}')").await, 0);
        let [task] = session.claim_named(["a"]).await;
        assert_eq!(task.task >> 48, 3);
        assert_eq!(tick(&mut session).await, 1);
    })
    .await;
}

#[tokio::test]
async fn many_ticks_at_once_do_everything_once() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define("tasks:\n  - {name: a, action: demo.a, timeout: 5, on_timeout: b}\n  - {name: b, action: demo.b, delay: 10}\n")
            .await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[200]))").await;
        session.run("SELECT workflow_claim('w1', 200, lease => '1 day')").await;
        let ticker = async |seconds: f64| {
            let mut session = Session::new(db).await;
            session.at(seconds).await;
            while session.value::<i32>("SELECT workflow_tick(7)").await > 0 {}
        };
        tokio::join!(ticker(5.0), ticker(5.0), ticker(5.0), ticker(5.0));
        session.at(5.0).await;
        tick(&mut session).await;
        tokio::join!(ticker(15.0), ticker(15.0), ticker(15.0));
        session.at(15.0).await;
        tick(&mut session).await;
        let tasks = session.claim(1000).await;
        assert_eq!(tasks.len(), 200);
        assert!(tasks.iter().all(|task| task.task_name == "b"));
        let rows: i64 = session.value("SELECT count(*) FROM workflow.workflow_task_execution").await;
        assert_eq!(rows, 400);
    })
    .await;
}
