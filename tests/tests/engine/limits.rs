//! Limits: how many tasks with a key run at once, and how fast they begin.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

pub const BY_TENANT: &str = "parameters: {type: object, required: [tenant], properties: {tenant: {}}}

tasks:
  - {name: charge, action: demo.a, limit: {name: payments, key: '{{ parameters.tenant }}'}}
";

pub async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

/// Returns the running and waiting tasks for each key.
pub async fn keys(session: &mut Session, limit: &str) -> Vec<(String, Option<i64>, i64)> {
    session.rows(format!("SELECT key, running, waiting FROM workflow_list_limit_keys('{limit}')")).await
}

pub async fn start_for(session: &mut Session, tenant: &str, count: usize) {
    for _ in 0..count {
        session.start_with(json!({"tenant": tenant})).await;
    }
}

pub async fn set(session: &mut Session, limit: &str) {
    session.run(format!("SELECT workflow_set_limit({limit})")).await;
}

#[tokio::test]
async fn at_most_max_tasks_of_a_key_run_at_once_and_keys_count_separately() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for mode in ["auto", "force_generic_plan"] {
            session.run(format!("SET plan_cache_mode = {mode}")).await;
            set(&mut session, "'payments', max_running => 2").await;
            session.define(BY_TENANT).await;
            start_for(&mut session, "acme", 9).await;
            start_for(&mut session, "other", 3).await;
            let (mut running, mut done) = (session.claim(100).await, 0);
            assert_eq!(running.len(), 4);
            assert_eq!(
                keys(&mut session, "payments").await,
                [("acme".into(), Some(2), 7), ("other".into(), Some(2), 1)]
            );
            assert!(session.claim(100).await.is_empty());
            while let Some(task) = running.pop() {
                assert_sound(&mut session).await;
                session.complete(&task, json!(null)).await;
                done += 1;
                running.extend(session.claim(100).await);
                let counted = keys(&mut session, "payments").await;
                assert!(counted.iter().all(|(_, running, _)| *running <= Some(2)), "{counted:?}");
            }
            assert_eq!(done, 12);
        }
    })
    .await;
}

#[tokio::test]
async fn tasks_begin_in_queue_order() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'payments', max_running => 1").await;
        session.define(BY_TENANT).await;
        let mut ids = Vec::new();
        for number in 0..6 {
            session.at(f64::from(number)).await;
            let priority = if number == 4 { 1 } else { 0 };
            ids.push(
                session
                    .value::<i64>(format!("SELECT workflow_start('demo.w', '{{\"tenant\": 1}}', priority => {priority})"))
                    .await,
            );
            // One by one, so that most wait from the beginning.
            if number == 0 {
                assert_eq!(session.claim(10).await.len(), 1);
                let first: Vec<Task> = session.rows("SELECT id AS task, lease AS lease_token, workflow_execution AS execution, task_name, task_index, action_ref AS action, input, attempt FROM workflow.workflow_task_execution").await;
                session.run("CREATE TEMP TABLE first AS SELECT id, lease FROM workflow.workflow_task_execution").await;
                assert_eq!(first.len(), 1);
            }
        }
        assert!(session.claim(10).await.is_empty());
        session.run("SELECT workflow_complete(id, lease) FROM first").await;
        let mut order = Vec::new();
        while let [task] = &session.claim(10).await[..] {
            order.push(task.execution);
            session.complete(task, json!(null)).await;
        }
        assert_eq!(order, [ids[4], ids[1], ids[2], ids[3], ids[5]]);
    })
    .await;
}

/// However an attempt ends, its slot is free.
#[tokio::test]
async fn every_end_of_an_attempt_frees_its_slot() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'payments', max_running => 1").await;
        for (round, end) in
            ["completed", "failed", "retried", "timeout", "lost", "cancelled", "forced", "abandoned", "erased"]
                .iter()
                .enumerate()
        {
            session.at(round as f64 * 10_000.0).await;
            let rest = "cancellation_policy: cancel_running
tasks:
  - {name: charge, action: demo.a, limit: payments, timeout: 100, max_lost_leases: 2, retry: {count: 1, delay: 5}}
";
            let (id, next) = (session.begin(rest).await, session.start().await);
            let [task] = session.claim_named(["charge"]).await;
            assert_eq!(task.execution, id, "{end}");
            assert!(session.claim(10).await.is_empty(), "{end}");
            let tick = "SELECT workflow_tick()";
            match *end {
                "completed" => _ = session.complete(&task, json!(1)).await,
                "failed" => {
                    session
                        .run(format!("SELECT workflow_fail({}, {}, may_retry => false)", task.task, task.lease_token))
                        .await
                }
                "retried" => assert_eq!(session.fail(&task, json!(1)).await, "retrying"),
                "timeout" => {
                    session
                        .run(format!(
                            "SELECT * FROM workflow_heartbeat(ARRAY[{}], ARRAY[{}], '1 hour')",
                            task.task, task.lease_token
                        ))
                        .await;
                    session.at(round as f64 * 10_000.0 + 101.0).await;
                    session.run(tick).await;
                }
                "lost" => {
                    session.at(round as f64 * 10_000.0 + 31.0).await;
                    session.run(tick).await;
                }
                "cancelled" => session.run(format!("SELECT workflow_cancel({id})")).await,
                "erased" => session.run(format!("SELECT workflow_erase({id})")).await,
                "forced" => session.run(format!("SELECT workflow_cancel({id}, force => true)")).await,
                "abandoned" => {
                    session
                        .run(format!(
                            "SELECT workflow_fail({}, {}, status => 'abandoned', may_retry => false)",
                            task.task, task.lease_token
                        ))
                        .await
                }
                _ => unreachable!(),
            }
            assert_sound(&mut session).await;
            let claimed = session.claim(10).await;
            let executions: Vec<i64> = claimed.iter().map(|task| task.execution).collect();
            // The task that lost its slot takes its turn again after those that are waiting.
            assert_eq!(executions, [next], "{end}");
            session.run(format!("SELECT workflow_cancel({next}, force => true)")).await;
            if ["retried", "timeout", "lost"].contains(end) {
                session.run(format!("SELECT workflow_cancel({id}, force => true)")).await;
            }
            assert_eq!(keys(&mut session, "payments").await, [(String::new(), Some(0), 0)], "{end}");
            assert_sound(&mut session).await;
        }
    })
    .await;
}

#[tokio::test]
async fn several_limits_are_taken_together_or_not_at_all() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'a', max_running => 1").await;
        set(&mut session, "'b', max_running => 2").await;
        let rest = "tasks:
  - {name: both, action: demo.a, limit: [a, b]}
  - {name: both_too, action: demo.a, limit: [{name: b}, {name: a}]}
  - {name: only_b, action: demo.a, limit: b}
  - {name: only_b_too, action: demo.a, limit: b}
";
        for _ in 0..7 {
            let id = session.begin(rest).await;
            let [both, only_b] = session.claim_named(["both", "only_b"]).await;
            assert_eq!(keys(&mut session, "a").await[0].1, Some(1));
            assert_eq!(keys(&mut session, "b").await[0].1, Some(2));
            session.complete(&only_b, json!(null)).await;
            let [only_b_too] = session.claim_named(["only_b_too"]).await;
            session.complete(&both, json!(null)).await;
            let [both_too] = session.claim_named(["both_too"]).await;
            assert_sound(&mut session).await;
            session
                .finish(&[
                    (only_b_too.task, only_b_too.lease_token, "completed"),
                    (both_too.task, both_too.lease_token, "completed"),
                ])
                .await;
            session.assert_ended(id, "completed", json!(null)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn items_count_one_by_one_and_by_the_item() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'payments', max_running => 1").await;
        let id = session
            .begin(
                "tasks:
  - {name: each, action: demo.a, with_items: [x, y, x, x], limit: {name: payments, key: '{{ item }}'}}
",
            )
            .await;
        for expected in [2, 1, 1] {
            let claimed = session.claim(10).await;
            assert_eq!(claimed.len(), expected);
            for task in &claimed {
                session.complete(task, json!(null)).await;
            }
        }
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_limit_on_a_call_holds_for_the_life_of_what_it_calls_and_is_inherited() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'site', max_running => 1").await;
        session.define_as("demo.inner", "tasks:\n  - {name: inner, action: demo.a, limit: site, on_success: last}\n  - {name: last, action: demo.b, limit: site}\n").await;
        session.define_as("demo.middle", "tasks:\n  - {name: middle, action: demo.inner, limit: site}\n").await;
        session.define("tasks:\n  - {name: call, action: demo.middle, limit: site}\n").await;
        for _ in 0..7 {
            let (first, second) = (session.start().await, session.start().await);
            let [inner] = session.claim_named(["inner"]).await;
            let waits: Vec<(String, String)> = session.rows(format!("SELECT task, why FROM workflow_why({second})")).await;
            assert_eq!(waits.len(), 1);
            assert!(waits[0].1.starts_with("is waiting for limit site: 1 of 1 running"), "{waits:?}");
            session.complete(&inner, json!(null)).await;
            let [last] = session.claim_named(["last"]).await;
            assert_sound(&mut session).await;
            session.complete(&last, json!(null)).await;
            session.assert_ended(first, "completed", json!(null)).await;
            session.run("SELECT workflow_tick()").await;
            for name in ["inner", "last"] {
                session.work(name, json!(null)).await;
            }
            session.assert_ended(second, "completed", json!(null)).await;
            assert_sound(&mut session).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_action_has_limits_for_all_its_tasks() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'api', max_running => 1").await;
        session.define("tasks:\n  - {name: x, action: demo.a, with_items: [1, 1, 2], input: {tenant: '{{ item }}'}}\n").await;
        session.run(r#"SELECT workflow_register_action('demo.a', limits => '[{"name": "api", "key": "{{ input.tenant }}"}]')"#).await;
        session.start().await;
        assert_eq!(session.claim(10).await.len(), 2);
        assert_eq!(keys(&mut session, "api").await, [("1".into(), Some(1), 1), ("2".into(), Some(1), 0)]);
        session.run("SELECT workflow_register_action('demo.a')").await;
        session.start().await;
        assert_eq!(session.claim(10).await.len(), 3);
        for (limits, problem) in [
            (r#"["nothing"]"#, "WF616"),
            (r#""api""#, "WF613"),
            (r#"[{"key": "x"}]"#, "WF613"),
            (r#"[{"name": "api", "key": "{{ input."}]"#, "WF613"),
        ] {
            let refusal = session.refused(format!("SELECT workflow_register_action('demo.a', limits => '{limits}')")).await;
            assert_eq!(refusal.code().1, problem, "{limits}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_waits_can_be_paused_cancelled_resolved_and_rerun() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'payments', max_running => 1").await;
        session.define(BY_TENANT).await;
        start_for(&mut session, "acme", 1).await;
        let [first] = session.claim_named(["charge"]).await;
        start_for(&mut session, "acme", 3).await;
        assert!(session.claim(10).await.is_empty());
        let ids: Vec<(i64, i64)> = session.rows("SELECT workflow_execution, id FROM workflow.workflow_task_execution WHERE limit_key IS NOT NULL ORDER BY id").await;
        let [(paused, _), (cancelled, _), (resolved, task)] = ids[..] else { panic!("{ids:?}") };
        session.run(format!("SELECT workflow_pause({paused}), workflow_cancel({cancelled}), workflow_resolve({task}, reason => 'by hand')")).await;
        session.assert_ended(cancelled, "cancelled", json!(null)).await;
        session.assert_ended(resolved, "completed", json!(null)).await;
        assert_sound(&mut session).await;
        session.complete(&first, json!(null)).await;
        assert!(session.claim(10).await.is_empty());
        session.run(format!("SELECT workflow_resume({paused})")).await;
        let [task] = session.claim_named(["charge"]).await;
        session.fail(&task, json!("no")).await;
        session.run(format!("SELECT workflow_rerun({paused}), workflow_rerun({cancelled})")).await;
        session.work("charge", json!(null)).await;
        session.work("charge", json!(null)).await;
        assert_sound(&mut session).await;
    })
    .await;
}

/// Tasks that wait for a full key cost others nothing, and tasks after them in the queue are claimed.
#[tokio::test]
async fn a_full_key_does_not_block_others() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'payments', max_running => 1").await;
        session.define(BY_TENANT).await;
        session
            .run(r#"SELECT workflow_start_many('demo.w', array_fill('{"tenant": "big"}'::jsonb, ARRAY[500]))"#)
            .await;
        session.at(1.0).await;
        start_for(&mut session, "small", 1).await;
        let claimed = session.claim(2).await;
        let mut all = claimed.clone();
        while all.len() < 2 {
            let more = session.claim(2).await;
            assert!(!more.is_empty() || all.len() == 2, "{all:?}");
            all.extend(more);
        }
        assert_eq!(keys(&mut session, "payments").await, [("big".into(), Some(1), 499), ("small".into(), Some(1), 0)]);
        // A second burst waits from the beginning: no claim has to remove it from the queue.
        session
            .run(r#"SELECT workflow_start_many('demo.w', array_fill('{"tenant": "big"}'::jsonb, ARRAY[500]))"#)
            .await;
        assert_eq!(keys(&mut session, "payments").await[0].2, 999);
        assert_sound(&mut session).await;
    })
    .await;
}
