//! Executions that share the queue by a key.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const BY_TENANT: &str = "fair_by: '{{ parameters.tenant }}'
parameters: {type: object, required: [tenant], properties: {tenant: {}}}
tasks:
  - {name: one, action: demo.a, on_success: two, input: {tenant: '{{ parameters.tenant }}'}}
  - {name: two, action: demo.a, input: {tenant: '{{ parameters.tenant }}'}}
";

async fn rush(session: &mut Session, tenant: &str, count: usize) {
    session
        .run(format!(
            "SELECT workflow_start_many('demo.w', array_fill('{{\"tenant\": \"{tenant}\"}}'::jsonb, ARRAY[{count}]))"
        ))
        .await;
}

/// Returns the keys of the next tasks, in order.
async fn served(session: &mut Session, count: usize) -> String {
    let mut order = String::new();
    for _ in 0..count {
        let claimed = session.claim(1).await;
        order += claimed[0].input.as_ref().unwrap()["tenant"].as_str().unwrap();
        session.complete(&claimed[0], json!(null)).await;
    }
    order
}

#[tokio::test]
async fn a_rush_of_one_key_stands_behind_the_first_task_of_another() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(BY_TENANT).await;
        for mode in ["auto", "force_generic_plan"] {
            session.run(format!("SET plan_cache_mode = {mode}")).await;
            rush(&mut session, "a", 1000).await;
            session.at(10.0).await;
            rush(&mut session, "b", 3).await;
            // The first task of each key is placed at the time of its arrival; then they alternate.
            assert_eq!(served(&mut session, 6).await, "ababab");
            session.run("SELECT workflow_cancel(id) FROM workflow.workflow_execution WHERE status = 'running'").await;
        }
        // Claimed one by one, they share the queue in the same way as in one call.
        for _ in 0..20 {
            session.start_with(json!({"tenant": "a"})).await;
        }
        for _ in 0..3 {
            session.start_with(json!({"tenant": "b"})).await;
        }
        assert_eq!(served(&mut session, 6).await, "ababab");
    })
    .await;
}

#[tokio::test]
async fn a_weight_is_a_share() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(BY_TENANT).await;
        session.run("SELECT workflow_set_weight('demo.w', 'a', 3)").await;
        session
            .define(
                &BY_TENANT
                    .replace(", on_success: two", "")
                    .replace("  - {name: two, action: demo.a, input: {tenant: '{{ parameters.tenant }}'}}\n", ""),
            )
            .await;
        rush(&mut session, "a", 300).await;
        rush(&mut session, "b", 300).await;
        let order = served(&mut session, 80).await;
        let a = order.matches('a').count();
        assert!((58..=62).contains(&a), "{a}: {order}");
        let weights: Vec<(String, f64)> = session.rows("SELECT key, weight FROM workflow_list_weights('demo.w')").await;
        assert_eq!(weights, [("a".to_owned(), 3.0)]);
    })
    .await;
}

/// Tasks that follow from a report are handed over only if no other task has waited longer.
#[tokio::test]
async fn a_hand_over_does_not_pass_the_other_key() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(BY_TENANT).await;
        rush(&mut session, "a", 50).await;
        let [task] = &session.claim(1).await[..] else { panic!("nothing claimed") };
        rush(&mut session, "b", 1).await;
        session.at(20.0).await;
        let tenant: String = session
            .value(format!(
                "SELECT input ->> 'tenant' FROM workflow_finish_and_claim('w', ARRAY[({}, {}, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome], 1) WHERE state = 'claimed'",
                task.task, task.lease_token
            ))
            .await;
        assert_eq!(tenant, "b");
    })
    .await;
}

#[tokio::test]
async fn priority_counts_within_a_key_and_other_workflows_wait_like_before() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.plain", "tasks:\n  - {name: plain, action: demo.a, input: {tenant: p}}\n").await;
        session.define(BY_TENANT).await;
        rush(&mut session, "a", 10).await;
        session
            .run("SELECT workflow_start('demo.w', '{\"tenant\": \"c\"}', priority => 5), workflow_start('demo.plain')")
            .await;
        // The task that follows in c has its priority, too.
        assert_eq!(served(&mut session, 4).await, "ccap");
    })
    .await;
}

#[tokio::test]
async fn an_invalid_key_or_weight_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(BY_TENANT).await;
        for tenant in ["null", "{}", "[1]", "\"\""] {
            let refusal = session.refused(format!("SELECT workflow_start('demo.w', '{{\"tenant\": {tenant}}}')")).await;
            assert_eq!(refusal.code().1, "WF602", "{tenant}");
            assert!(refusal.message.contains("fair_by"), "{refusal:?}");
        }
        for (wrong, code) in [
            ("'demo.w', 'a', 0", "WF613"),
            ("'demo.w', 'a', -1", "WF613"),
            ("'demo.w', 'a', 'NaN'", "WF613"),
            ("'demo.w', 'a', 'Infinity'", "WF613"),
            ("'demo.w', NULL", "WF613"),
            ("'demo.z', 'a'", "WF616"),
        ] {
            assert_eq!(session.refused(format!("SELECT workflow_set_weight({wrong})")).await.code().1, code, "{wrong}");
        }
        let source = source("demo.x", "fair_by: 3\ntasks:\n  - {name: a, action: demo.a}\n");
        let codes: Vec<(String,)> = session.rows(format!("SELECT code FROM workflow_validate($${source}$$)")).await;
        assert_eq!(codes, [("WF005".to_owned(),)]);
    })
    .await;
}
