//! Holds: what must not begin before a given time.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const BY_TENANT: &str = "parameters: {type: object, required: [tenant], properties: {tenant: {}}}
tasks:
  - {name: charge, action: demo.a, limit: {name: payments, key: '{{ parameters.tenant }}'}, retry: {count: 3}}
";

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

async fn why(session: &mut Session, execution: i64) -> (String, Option<String>) {
    let mut rows: Vec<(String, Option<String>)> =
        session.rows(format!("SELECT why, hint FROM workflow_why({execution})")).await;
    rows.remove(0)
}

/// Each hold, with the tasks that it holds back and those that it does not.
#[tokio::test]
async fn nothing_begins_that_is_held_until_its_time_or_its_release() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('payments', max_running => 5)").await;
        session.define_as("demo.other", "tasks:\n  - {name: other, action: demo.b}\n").await;
        session.define(BY_TENANT).await;
        let mut start = 0.0;
        for (arguments, others) in [
            ("name => 'payments', key => 'acme'", 2),
            ("name => 'payments', key => NULL", 1),
            ("name => 'demo.a', key => NULL, target => 'action'", 1),
            ("name => 'demo.w', key => NULL, target => 'workflow'", 1),
            ("name => NULL, key => NULL, target => 'everything'", 0),
        ] {
            for ends_by in ["time", "release"] {
                start += 1000.0;
                session.at(start).await;
                session
                    .run(format!("SELECT workflow_hold(until => workflow.now() + interval '60 s', reason => 'closed', {arguments})"))
                    .await;
                let acme = session.start_with(json!({"tenant": "acme"})).await;
                session.start_with(json!({"tenant": "else"})).await;
                session.run("SELECT workflow_start('demo.other')").await;
                let claimed = session.claim(10).await;
                assert_eq!(claimed.len(), others, "{arguments}");
                assert!(session.claim(10).await.is_empty());
                let (sentence, hint) = why(&mut session, acme).await;
                assert!(sentence.contains("held until") && sentence.contains("closed"), "{sentence}");
                assert_sound(&mut session).await;
                for task in &claimed {
                    session.complete(task, json!(null)).await;
                }
                match ends_by {
                    "time" => session.at(start + 61.0).await,
                    _ => session.run(hint.unwrap()).await,
                }
                let left = session.claim(10).await;
                assert_eq!(left.len(), 3 - others, "{arguments}, by {ends_by}");
                for task in &left {
                    session.complete(task, json!(null)).await;
                }
                assert_sound(&mut session).await;
            }
        }
        session.run("SELECT workflow_tick()").await;
        session.at(start + 2000.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.hold").await, 0);
    })
    .await;
}

/// The transaction that makes the first task wait has not committed when the hold is ended, so whoever ends it does not
/// see that a task waits. The key is checked nevertheless, long before the hold would have ended.
#[tokio::test]
async fn a_hold_that_ends_unseen_by_those_it_made_wait_does_not_delay_them_for_long() {
    with_database(async |db| {
        let (mut worker, mut operator) = (Session::new(db).await, Session::new(db).await);
        worker.run("SELECT workflow_set_limit('payments', max_running => 5)").await;
        worker.define(BY_TENANT).await;
        operator.run("SELECT workflow_hold('payments', NULL, workflow.now() + interval '1 d')").await;
        worker.run("BEGIN").await;
        worker.start_with(json!({"tenant": "acme"})).await;
        for second in [0.0, 2.0, 5.0] {
            worker.at(second).await;
            assert!(worker.claim(10).await.is_empty());
        }
        operator.run("SELECT workflow_release('payments')").await;
        worker.run("COMMIT").await;
        assert_sound(&mut worker).await;
        worker.at(70.0).await;
        assert_eq!(worker.claim(10).await.len(), 1);
    })
    .await;
}

/// The answer to "429, come back in 30 seconds".
#[tokio::test]
async fn a_report_holds_what_is_under_the_same_limits() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('payments', max_running => 5)").await;
        session.define(BY_TENANT).await;
        for round in 0..7 {
            let start = f64::from(round) * 1000.0;
            session.at(start).await;
            session.start_with(json!({"tenant": "acme"})).await;
            let [task] = session.claim_named(["charge"]).await;
            let (id, lease) = (task.task, task.lease_token);
            let report = match round % 3 {
                0 => format!("SELECT workflow_fail({id}, {lease}, '{{\"message\": \"429\"}}', hold_for => '30 s')"),
                1 => format!("SELECT state FROM workflow_finish(ARRAY[({id}, {lease}, 'failed', NULL, '{{\"message\": \"429\"}}', NULL, NULL, '30 s', NULL)::workflow.outcome])"),
                _ => format!("SELECT workflow_finish_json('[{{\"task\": \"{id}\", \"lease_token\": \"{lease}\", \"status\": \"failed\", \"error\": {{\"message\": \"429\"}}, \"hold_for\": 30}}]')::text"),
            };
            session.run(report.clone()).await;
            // A repeated report does not extend the hold.
            session.at(start + 10.0).await;
            session.run(report).await;
            let other = session.start_with(json!({"tenant": "acme"})).await;
            session.start_with(json!({"tenant": "else"})).await;
            let claimed = session.claim(10).await;
            assert_eq!(claimed.len(), 1, "round {round}");
            let (sentence, _) = why(&mut session, other).await;
            assert!(sentence.contains(": 429"), "{sentence}");
            session.complete(&claimed[0], json!(null)).await;
            session.at(start + 29.0).await;
            assert!(session.claim(10).await.is_empty());
            session.at(start + 31.0).await;
            let claimed = session.claim(10).await;
            assert_eq!(claimed.len(), 2, "round {round}");
            for task in &claimed {
                session.complete(task, json!(null)).await;
            }
            assert_sound(&mut session).await;
        }
    })
    .await;
}

#[tokio::test]
async fn without_limits_a_report_holds_its_action() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks:\n  - {name: a, action: demo.a}\n  - {name: b, action: demo.b}\n").await;
        session.start().await;
        let [a, b] = session.claim_named(["a", "b"]).await;
        session.run(format!("SELECT state FROM workflow_finish(ARRAY[({}, {}, 'completed', NULL, NULL, NULL, NULL, '30 s', NULL)::workflow.outcome])", a.task, a.lease_token)).await;
        session.start().await;
        session.complete(&b, json!(null)).await;
        session.work("b", json!(null)).await;
        assert!(session.claim(10).await.is_empty());
        session.at(31.0).await;
        session.work("a", json!(null)).await;
    })
    .await;
}

/// Tasks that follow from a report are handed over without a claim, but not if they are held.
#[tokio::test]
async fn a_hand_over_respects_holds() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks:\n  - {name: a, action: demo.a, on_success: b}\n  - {name: b, action: demo.b}\n").await;
        for (hold, release) in [
            ("'demo.b', NULL, workflow.now() + interval '1 h', target => 'action'", "'demo.b', target => 'action'"),
            ("'demo.w', NULL, workflow.now() + interval '1 h', target => 'workflow'", "'demo.w', target => 'workflow'"),
            ("NULL, NULL, workflow.now() + interval '1 h', target => 'everything'", "NULL, target => 'everything'"),
        ] {
            session.start().await;
            let [a] = session.claim_named(["a"]).await;
            session.run(format!("SELECT workflow_hold({hold})")).await;
            let call = format!(
                "SELECT count(*) FROM workflow_finish_and_claim('w', ARRAY[({}, {}, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome], 5) WHERE state = 'claimed'",
                a.task, a.lease_token
            );
            assert_eq!(session.value::<i64>(call).await, 0, "{hold}");
            session.run(format!("SELECT workflow_release({release})")).await;
            session.work("b", json!(null)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_invalid_hold_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('payments', max_running => 5)").await;
        session.register_actions().await;
        for (wrong, code) in [
            ("'nothing', NULL, workflow.now() + interval '1 s'", "WF616"),
            ("'demo.z', NULL, workflow.now() + interval '1 s', target => 'action'", "WF616"),
            ("'demo.z', NULL, workflow.now() + interval '1 s', target => 'workflow'", "WF616"),
            ("'payments', NULL, workflow.now()", "WF613"),
            ("'payments', NULL, workflow.now() - interval '1 day'", "WF613"),
            ("'payments', NULL, workflow.now() + interval '100 years'", "WF613"),
            ("'payments', NULL, 'infinity'", "WF613"),
            ("'payments', NULL, NULL", "WF613"),
            ("NULL, NULL, workflow.now() + interval '1 s'", "WF613"),
            ("'x', NULL, workflow.now() + interval '1 s', target => 'everything'", "WF613"),
            ("'demo.a', 'key', workflow.now() + interval '1 s', target => 'action'", "WF613"),
            ("'payments', NULL, workflow.now() + interval '1 s', target => 'task'", "WF613"),
            ("'payments', repeat('x', 10000), workflow.now() + interval '1 s'", "WF613"),
        ] {
            assert_eq!(session.refused(format!("SELECT workflow_hold({wrong})")).await.code().1, code, "{wrong}");
        }
        assert_eq!(session.value::<i32>("SELECT workflow_release('payments')").await, 0);
    })
    .await;
}

/// If the same name is defined or registered again, it is not held.
#[tokio::test]
async fn holds_end_with_what_they_are_about() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "fair_by: x\nconcurrency: {max: 1}\ntasks: [{name: a, action: demo.a}]\n";
        let holds = "SELECT string_agg(concat_ws(' ', target, name), ', ' ORDER BY id) FROM workflow_list_holds()";
        let hold = "SELECT workflow_hold('@demo.w', NULL, workflow.now() + interval '1 h'), workflow_hold('@demo.w', 'x', workflow.now() + interval '1 h'),
          workflow_hold('demo.w', NULL, workflow.now() + interval '1 h', target => 'workflow'),
          workflow_hold('demo.a', NULL, workflow.now() + interval '1 h', target => 'action'), workflow_set_weight('demo.w', 'x', 3)";
        for (end, left) in [
            ("SELECT workflow_delete_definition(id) FROM workflow_find_definition_by_ref('demo.w')", Some("action demo.a")),
            ("SELECT workflow_delete_action(id) FROM workflow_find_action_by_ref('demo.a')", Some("limit @demo.w, limit @demo.w, workflow demo.w")),
            ("SELECT workflow_delete_pack(id) FROM workflow_find_pack_by_ref('demo')", None),
        ] {
            session.define(rest).await;
            session.run("DELETE FROM workflow.hold").await;
            session.run(hold).await;
            session.run(end).await;
            assert_eq!(session.value::<Option<String>>(holds).await.as_deref(), left, "{end}");
            let kept: i64 = session
                .value("SELECT (SELECT count(*) FROM workflow.fair_weight) + (SELECT count(*) FROM workflow.limit_rule) + (SELECT count(*) FROM workflow.limit_key)")
                .await;
            assert_eq!(kept, if end.contains("action") { 3 } else { 0 }, "{end}");
        }
        // Without `concurrency`, it has no limit that could be held.
        session.define(rest).await;
        session.run("SELECT workflow_hold('@demo.w', NULL, workflow.now() + interval '1 h')").await;
        session.start().await;
        assert!(session.claim(1).await.is_empty());
        session.define("tasks: [{name: a, action: demo.a}]\n").await;
        assert_eq!(session.value::<Option<String>>(holds).await, None);
        session.work("a", json!(null)).await;
        session.define(rest).await;
        session.start().await;
        session.work("a", json!(null)).await;
        assert_sound(&mut session).await;
    })
    .await;
}

/// A claim in an open transaction may have locked the key of the limit.
#[tokio::test]
async fn a_release_and_a_change_of_a_limit_wait_for_no_claim() {
    for change in ["SELECT workflow_release('few')", "SELECT workflow_set_limit('few', max_running => 3)"] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            let mut other = Session::new(db).await;
            session.run("SELECT workflow_set_limit('few', max_running => 2)").await;
            session.run("SELECT workflow_tick()").await;
            session.define("tasks: [{name: a, action: demo.a, limit: few}]\n").await;
            for _ in 0..6 {
                session.start().await;
            }
            let [task, _] = &session.claim(10).await[..] else { panic!("two tasks") };
            session.complete(task, json!(null)).await;
            other.run("BEGIN").await;
            assert_eq!(other.claim(10).await.len(), 1);
            other.run("SELECT FROM workflow.limit_key FOR NO KEY UPDATE").await;
            session.run("SET lock_timeout = '10s'").await;
            session.run("SELECT workflow_hold('few', NULL, workflow.now() + interval '1 hour')").await;
            session.run(change).await;
            let requests = "SELECT count(*) FROM workflow.limit_wakeup";
            assert_eq!(session.value::<i64>(requests).await, 1);
            other.run("ROLLBACK").await;
            session.run("SELECT workflow_release('few')").await;
            session.run("SELECT workflow_tick()").await;
            assert_eq!(session.value::<i64>(requests).await, 0);
            let free = if change.contains("set_limit") { 2 } else { 1 };
            assert_eq!(session.claim(10).await.len(), free);
            assert_sound(&mut session).await;
        })
        .await;
    }
}
