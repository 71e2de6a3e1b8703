//! Concurrency: how many executions of a workflow run at once.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

pub async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

/// Returns the running and waiting executions for each key of demo.w.
pub async fn keys(session: &mut Session) -> Vec<(String, Option<i64>, i64)> {
    session.rows("SELECT key, running, waiting FROM workflow_list_limit_keys('@demo.w')").await
}

pub fn by_tenant(max: u32, when_full: &str) -> String {
    format!(
        "parameters: {{type: object, properties: {{tenant: {{default: acme}}}}}}
concurrency: {{key: '{{{{ parameters.tenant }}}}', max: {max}, when_full: {when_full}}}
cancellation_policy: cancel_running
tasks:
  - {{name: deploy, action: demo.a, timeout: 100}}
"
    )
}

/// Claims all tasks and returns their executions, in order.
pub async fn claim(session: &mut Session) -> Vec<Task> {
    let mut claimed = session.claim(100).await;
    claimed.sort_by_key(|task| task.execution);
    claimed
}

pub async fn claim_of(session: &mut Session, executions: &[i64]) -> Vec<Task> {
    let claimed = claim(session).await;
    assert_eq!(claimed.iter().map(|task| task.execution).collect::<Vec<_>>(), executions);
    claimed
}

#[tokio::test]
async fn at_most_max_executions_of_a_key_run_at_once_in_start_order() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&by_tenant(2, "wait")).await;
        for mode in ["auto", "force_generic_plan"] {
            session.run(format!("SET plan_cache_mode = {mode}")).await;
            for _ in 0..4 {
                let mut ids = Vec::new();
                for _ in 0..4 {
                    ids.push(session.start().await);
                }
                let other = session.start_with(json!({"tenant": "other"})).await;
                let mut running = claim_of(&mut session, &[ids[0], ids[1], other]).await;
                assert_eq!(keys(&mut session).await, [("acme".into(), Some(2), 2), ("other".into(), Some(1), 0)]);
                let why: String = session.value(format!("SELECT why FROM workflow_why({}) LIMIT 1", ids[3])).await;
                assert_eq!(why, "is waiting for the concurrency of demo.w, key acme: 2 of 2 running, 1 ahead of it");
                assert_sound(&mut session).await;
                session.complete(&running.pop().unwrap(), json!(null)).await;
                assert!(claim(&mut session).await.is_empty());
                session.complete(&running[1], json!(null)).await;
                running[1] = claim_of(&mut session, &[ids[2]]).await.remove(0);
                assert_sound(&mut session).await;
                session.complete(&running[1], json!(null)).await;
                session.complete(&running[0], json!(null)).await;
                let last = claim_of(&mut session, &[ids[3]]).await;
                session.complete(&last[0], json!(null)).await;
                assert_eq!(keys(&mut session).await, [("acme".into(), Some(0), 0), ("other".into(), Some(0), 0)]);
                assert_sound(&mut session).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn every_end_of_an_execution_lets_the_next_begin() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&format!("timeout: 1000\n{}", by_tenant(1, "wait"))).await;
        for (round, end) in
            ["completed", "failed", "timeout", "cancelled", "forced", "erased", "paused", "batch"].iter().enumerate()
        {
            let start = round as f64 * 10_000.0;
            session.at(start).await;
            let (id, next) = (session.start().await, session.start().await);
            let task = claim_of(&mut session, &[id]).await.remove(0);
            // The time limit of a waiting execution does not run.
            session.at(start + 10.0).await;
            match *end {
                "completed" => _ = session.complete(&task, json!(1)).await,
                "failed" => _ = session.fail(&task, json!({"message": "no"})).await,
                "timeout" => {
                    session.at(start + 1001.0).await;
                    session.run("SELECT workflow_tick()").await;
                    session.run("SELECT workflow_tick()").await;
                }
                "cancelled" => session.run(format!("SELECT workflow_cancel({id})")).await,
                "forced" => session.run(format!("SELECT workflow_cancel({id}, force => true)")).await,
                "erased" => session.run(format!("SELECT workflow_erase({id})")).await,
                "paused" => {
                    session.run(format!("SELECT workflow_pause({id}); SELECT workflow_pause({next})")).await;
                    assert!(claim(&mut session).await.is_empty());
                    session.complete(&task, json!(1)).await;
                    session.run(format!("SELECT workflow_resume({id}); SELECT workflow_tick()")).await;
                    assert!(claim(&mut session).await.is_empty(), "it is paused");
                    session.run(format!("SELECT workflow_resume({next}); SELECT workflow_tick()")).await;
                }
                "batch" => _ = session.finish(&[(task.task, task.lease_token, "completed")]).await,
                _ => unreachable!(),
            }
            let task = claim_of(&mut session, &[next]).await.remove(0);
            assert_eq!(keys(&mut session).await, [("acme".into(), Some(1), 0)], "{end}");
            assert_sound(&mut session).await;
            let left: f64 = session
                .value(format!("SELECT extract(epoch FROM due_at - workflow.now())::float8 FROM workflow.workflow_execution WHERE id = {next}"))
                .await;
            assert_eq!(left, 1000.0, "{end}");
            session.complete(&task, json!(1)).await;
            assert_eq!(keys(&mut session).await, [("acme".into(), Some(0), 0)], "{end}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_waits_can_be_cancelled_and_erased_and_closes_without_a_slot() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define("concurrency: {max: 1}\nfinally: last\ntasks:\n  - {name: deploy, action: demo.a}\n  - {name: last, action: demo.b}\n")
            .await;
        let running = session.start().await;
        let [task] = session.claim_named(["deploy"]).await;
        let (cancelled, forced, erased) = (session.start().await, session.start().await, session.start().await);
        assert_eq!(keys(&mut session).await, [(String::new(), Some(1), 3)]);
        session.run(format!("SELECT workflow_cancel({cancelled}); SELECT workflow_cancel({forced}, force => true)")).await;
        session.run(format!("SELECT workflow_erase({erased})")).await;
        assert_eq!(keys(&mut session).await, [(String::new(), Some(1), 0)]);
        session.work("last", json!(null)).await;
        session.assert_ended(cancelled, "cancelled", json!(null)).await;
        session.assert_ended(forced, "cancelled", json!(null)).await;
        assert_sound(&mut session).await;
        session.complete(&task, json!(null)).await;
        session.work("last", json!(null)).await;
        session.assert_ended(running, "completed", json!(null)).await;
        assert_eq!(keys(&mut session).await, [(String::new(), Some(0), 0)]);
        assert_sound(&mut session).await;
    })
    .await;
}

/// Tasks without a worker, delays and items begin like any others, once their execution does.
#[tokio::test]
async fn first_tasks_of_every_kind_begin_with_their_execution() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.inner", "tasks:\n  - {name: inner, action: demo.c}\n").await;
        session
            .define(
                "concurrency: {max: 1}
vars: {x: 1}
tasks:
  - {name: call, action: demo.inner}
  - {name: each, action: demo.a, with_items: {items: [1, 2, 3], concurrency: 2}}
  - {name: later, action: demo.b, delay: 50}
  - {name: pause, delay: 10, on_success: route}
  - {name: route, on_success: after}
  - {name: after, action: demo.d}
  - {name: asked, wait_for: {signal: go}}
  - {name: never, when: '{{ vars.x > 1 }}', action: demo.e}
",
            )
            .await;
        let mut start = 0.0;
        for _ in 0..3 {
            let (first, second) = (session.start().await, session.start().await);
            for (id, from) in [(first, start), (second, start + 100.0)] {
                session.at(from).await;
                session.run("SELECT workflow_tick()").await;
                assert_sound(&mut session).await;
                let claimed = session.claim_named(["each", "each", "inner"]).await;
                session.at(from + 10.0).await;
                session.run("SELECT workflow_tick()").await;
                for task in &claimed {
                    session.complete(task, json!(null)).await;
                }
                let claimed = session.claim_named(["after", "each"]).await;
                session.at(from + 50.0).await;
                for task in &claimed {
                    session.complete(task, json!(null)).await;
                }
                session.run("SELECT workflow_tick()").await;
                session.run(format!("SELECT workflow_signal({id}, 'go')")).await;
                session.at(from + 100.0).await;
                session.work("later", json!(null)).await;
                session.assert_ended(id, "completed", json!(null)).await;
                assert_sound(&mut session).await;
            }
            start += 200.0;
            session.at(start).await;
        }
    })
    .await;
}

#[tokio::test]
async fn starts_in_open_transactions_do_not_wait_and_a_rollback_takes_nothing() {
    with_database(async |db| {
        let (mut first, mut second) = (Session::new(db).await, Session::new(db).await);
        second.run("SET lock_timeout = '1s'").await;
        first.define(&by_tenant(2, "wait")).await;
        for (round, end) in ["COMMIT", "ROLLBACK", "COMMIT", "ROLLBACK"].iter().enumerate() {
            let now = round as f64 * 100.0;
            first.at(now).await;
            second.at(now).await;
            first.run("BEGIN").await;
            for _ in 0..3 {
                first.start().await;
            }
            let others = [second.start().await, second.start().await];
            first.run(*end).await;
            assert_sound(&mut second).await;
            // An execution that found the key locked is examined by a tick.
            let mut done = Vec::new();
            for later in 1..20 {
                second.at(now + f64::from(later)).await;
                second.run("SELECT workflow_tick()").await;
                let claimed = claim(&mut second).await;
                assert!(claimed.len() <= 2, "{claimed:?}");
                for task in claimed {
                    second.complete(&task, json!(null)).await;
                    done.push(task.execution);
                }
            }
            assert_eq!(done.len(), if *end == "COMMIT" { 5 } else { 2 });
            assert!(others.iter().all(|id| done.contains(id)));
            assert_eq!(keys(&mut second).await, [("acme".into(), Some(0), 0)]);
            assert_sound(&mut second).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_rerun_takes_a_slot_again_or_waits() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for when_full in ["wait", "skip"] {
            session.define(&by_tenant(1, when_full)).await;
            for _ in 0..4 {
                let id = session.start().await;
                let tasks = claim_of(&mut session, &[id]).await;
                session.fail(&tasks[0], json!({"message": "no"})).await;
                let other = session.start().await;
                session.run(format!("SELECT workflow_rerun({id})")).await;
                let tasks = claim_of(&mut session, &[other]).await;
                assert_eq!(keys(&mut session).await, [("acme".into(), Some(1), 1)]);
                assert_sound(&mut session).await;
                session.complete(&tasks[0], json!(null)).await;
                let tasks = claim_of(&mut session, &[id]).await;
                session.fail(&tasks[0], json!({"message": "no"})).await;
                session.run(format!("SELECT workflow_rerun({id})")).await;
                let tasks = claim_of(&mut session, &[id]).await;
                assert_eq!(keys(&mut session).await, [("acme".into(), Some(1), 0)]);
                session.complete(&tasks[0], json!(null)).await;
                session.assert_ended(id, "completed", json!(null)).await;
                assert_eq!(keys(&mut session).await, [("acme".into(), Some(0), 0)]);
                assert_sound(&mut session).await;
            }
        }
    })
    .await;
}

/// When the turn of the caller comes, its call reruns what has failed. So specific tasks of the called execution cannot be
/// named while the caller has to wait.
#[tokio::test]
async fn a_child_is_rerun_once_its_caller_has_a_slot_again() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks:\n  - {name: x, action: demo.a}\n  - {name: y, action: demo.b}\n").await;
        session.define("concurrency: {max: 1}\ntasks: [{name: call, action: demo.child}]\n").await;
        for _ in 0..7 {
            let caller = session.start().await;
            let [x, y] = session.claim_named(["x", "y"]).await;
            session.complete(&y, json!(null)).await;
            session.fail(&x, json!({"message": "no"})).await;
            session.assert_ended(caller, "failed", json!(null)).await;
            let child = x.execution;
            let other = session.start().await;
            let [other_x, other_y] = session.claim_named(["x", "y"]).await;
            let refusal = session.refused(format!("SELECT workflow_rerun({child}, ARRAY['x'])")).await;
            assert_eq!(refusal.code().1, "WF612");
            assert!(refusal.message.contains("has to wait"), "{refusal:?}");
            assert_eq!(
                refusal.hint,
                format!("To rerun what has failed once it continues, SELECT workflow_rerun({caller}).")
            );
            let status: String = session.value(format!("SELECT workflow_rerun({child})::text")).await;
            assert_eq!(status, "failed");
            assert!(session.claim(9).await.is_empty());
            session.complete(&other_x, json!(null)).await;
            session.complete(&other_y, json!(null)).await;
            session.assert_ended(other, "completed", json!(null)).await;
            session.run("SELECT workflow_tick()").await;
            let [x] = session.claim_named(["x"]).await;
            assert_eq!(x.execution, child);
            session.complete(&x, json!(null)).await;
            session.assert_ended(caller, "completed", json!(null)).await;
            assert_sound(&mut session).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_refused_rerun_names_the_execution_that_has_to_wait_however_far_above() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks:\n  - {name: x, action: demo.a}\n").await;
        session.define_as("demo.middle", "tasks: [{name: call, action: demo.child}]\n").await;
        session.define("concurrency: {max: 1}\ntasks: [{name: call, action: demo.middle}]\n").await;
        let caller = session.start().await;
        let [x] = session.claim_named(["x"]).await;
        session.fail(&x, json!({"message": "no"})).await;
        session.assert_ended(caller, "failed", json!(null)).await;
        session.start().await;
        let refusal = session.refused(format!("SELECT workflow_rerun({}, ARRAY['x'])", x.execution)).await;
        let why = format!("execution {caller}, whose calls led to it, has to wait before it can continue the call");
        assert_eq!(refusal.message, format!("WF612: execution {} cannot be rerun: {why}", x.execution));
        assert!(refusal.hint.ends_with(&format!("SELECT workflow_rerun({caller}).")), "{}", refusal.hint);
    })
    .await;
}

#[tokio::test]
async fn a_later_start_takes_its_turn_when_its_time_comes() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&by_tenant(1, "wait")).await;
        let later: i64 =
            session.value("SELECT workflow_start('demo.w', run_at => workflow.now() + interval '60 s')").await;
        let now = session.start().await;
        claim_of(&mut session, &[now]).await;
        let why: String = session.value(format!("SELECT why FROM workflow_why({later}) LIMIT 1")).await;
        assert!(why.starts_with("starts at "), "{why}");
        session.at(60.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(keys(&mut session).await, [("acme".into(), Some(1), 1)]);
        assert_sound(&mut session).await;
        let tasks = claim_of(&mut session, &[now]).await;
        session.complete(&tasks[0], json!(null)).await;
        claim_of(&mut session, &[later]).await;
        // A start by a schedule is like any other.
        session.run("SELECT workflow_schedule('nightly', '* * * * *', 'demo.w')").await;
        session.at(121.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(keys(&mut session).await[0].2, 1);
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_has_the_slot_of_its_callers() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&by_tenant(1, "wait")).await;
        session.define_as("demo.middle", "tasks:\n  - {name: again, action: demo.w, input: {depth: 1}}\n").await;
        session
            .define(
                "parameters: {type: object, properties: {depth: {type: integer, default: 0}}}
concurrency: {max: 1}
tasks:
  - {name: deeper, action: demo.middle, when: '{{ parameters.depth == 0 }}'}
  - {name: work, action: demo.a}
",
            )
            .await;
        let (first, second) = (session.start().await, session.start().await);
        let claimed = session.claim_named(["work", "work"]).await;
        assert_eq!(keys(&mut session).await, [(String::new(), Some(1), 1)]);
        assert_sound(&mut session).await;
        for task in &claimed {
            session.complete(task, json!(null)).await;
        }
        session.assert_ended(first, "completed", json!(null)).await;
        session.run("SELECT workflow_tick()").await;
        let claimed = session.claim_named(["work", "work"]).await;
        for task in &claimed {
            session.complete(task, json!(null)).await;
        }
        session.assert_ended(second, "completed", json!(null)).await;
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_definition_changes_it_for_those_that_wait() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&by_tenant(1, "wait")).await;
        let mut ids = Vec::new();
        for _ in 0..6 {
            ids.push(session.start().await);
        }
        claim_of(&mut session, &ids[..1]).await;
        session.define(&by_tenant(3, "wait")).await;
        claim_of(&mut session, &ids[1..3]).await;
        for statement in ["workflow_delete_limit('@demo.w')", "workflow_set_limit('@demo.w', 5)"] {
            assert_eq!(session.refused(format!("SELECT {statement}")).await.code().1, "WF613");
        }
        session.run("SELECT workflow_hold('@demo.w', 'acme', workflow.now() + interval '5 s', 'freeze')").await;
        session.define("tasks:\n  - {name: deploy, action: demo.a}\n").await;
        session.at(20.0).await;
        claim_of(&mut session, &ids[3..]).await;
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn keys_that_cannot_count_are_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&by_tenant(1, "wait")).await;
        for tenant in [json!(null), json!({}), json!([]), json!(""), json!("x".repeat(2000))] {
            let refusal =
                session.refused(format!("SELECT workflow_start('demo.w', '{}')", json!({"tenant": tenant}))).await;
            assert_eq!(refusal.code().1, "WF602", "{refusal:?}");
            assert!(refusal.message.contains("concurrency.key"), "{refusal:?}");
        }
        for (concurrency, code) in [
            ("3", "WF005"),
            ("{}", "WF004"),
            ("{max: 0}", "WF006"),
            ("{max: 1.5}", "WF006"),
            ("{max: 1, when_full: queue}", "WF006"),
            ("{max: 1, key: [a]}", "WF005"),
            ("{max: 1, keys: a}", "WF003"),
            ("{max: 1, key: '{{ task.a.result }}'}", "WF304"),
        ] {
            let source =
                source("demo.x", &format!("concurrency: {concurrency}\ntasks:\n  - {{name: a, action: demo.a}}\n"));
            let found: Vec<(String,)> = session.rows(format!("SELECT code FROM workflow_validate($${source}$$)")).await;
            assert_eq!(found.first().map(|(code,)| code.as_str()), Some(code), "{concurrency}: {found:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_operator_may_start_under_concurrency() {
    with_database(async |db| {
        Session::new(db).await.define(&by_tenant(1, "wait")).await;
        let role = db.role().await;
        db.run(format!("SELECT workflow_grant('{role}', 'operator')")).await;
        let mut operator = Session { connection: db.connect_as(&role).await };
        for _ in 0..6 {
            operator.start().await;
        }
        assert_eq!(keys(&mut operator).await, [("acme".into(), Some(1), 5)]);
    })
    .await;
}
