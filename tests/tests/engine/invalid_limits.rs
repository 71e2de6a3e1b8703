//! Limits and keys that are refused.

use crate::fixture::*;
use crate::limits::{BY_TENANT, set};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

#[tokio::test]
async fn an_invalid_key_fails_the_task_with_a_reason() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'payments', max_running => 1").await;
        session.define(BY_TENANT).await;
        for (tenant, message) in [
            (json!(null), "key of limit payments of task charge must be text, a number or a boolean, not null"),
            (json!({"a": 1}), "must be text, a number or a boolean, not {\"a\":1}"),
            (json!([]), "must be text, a number or a boolean, not []"),
            (json!(""), "must not be empty"),
            (json!("x".repeat(10_000)), "has 10000 bytes, but at most 500 are allowed"),
        ] {
            let given = json!({"tenant": tenant});
            let refusal = session.refused(format!("SELECT workflow_start('demo.w', '{given}')")).await;
            assert_eq!(refusal.code().1, "WF602", "{given}");
            assert!(refusal.message.contains(message), "{refusal:?}");
        }
        for tenant in [json!(1), json!(true), json!("x".repeat(500)), json!("ключ")] {
            start_for_value(&mut session, tenant).await;
        }
        assert_eq!(session.claim(10).await.len(), 4);
    })
    .await;
}

async fn start_for_value(session: &mut Session, tenant: Value) {
    session.start_with(json!({"tenant": tenant})).await;
}

#[tokio::test]
async fn a_limit_that_does_not_exist_is_a_finding() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.register_actions().await;
        let source = source("demo.w", BY_TENANT);
        let findings: Vec<(String, String, String)> = session
            .rows(format!("SELECT code, message, path FROM workflow_validate($${source}$$) WHERE severity = 'error'"))
            .await;
        assert_eq!(findings, [("WF509".into(), "unknown limit `payments`".into(), "tasks[0].limit".into())]);
        for (limit, code) in [
            ("{key: x}", "WF004"),
            ("{name: A}", "WF008"),
            ("{name: a, per: 1}", "WF003"),
            ("[payments, payments]", "WF006"),
            ("3", "WF005"),
            ("{name: payments, key: [1]}", "WF005"),
        ] {
            let rest = format!("tasks:\n  - {{name: charge, action: demo.a, limit: {limit}}}\n");
            let source = crate::fixture::source("demo.w", &rest);
            let codes: Vec<(String,)> = session
                .rows(format!("SELECT DISTINCT code FROM workflow_validate($${source}$$) WHERE code <> 'WF509'"))
                .await;
            assert_eq!(codes, [(code.into(),)], "{limit}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_invalid_limit_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for wrong in [
            "NULL, max_running => 1",
            "'A', max_running => 1",
            "'a'",
            "'a', max_running => 0",
            "'a', max_running => -1",
            "'a', max_running => 100001",
            "'a', rate => 0, per => '1 s'",
            "'a', rate => 10",
            "'a', per => '1 s'",
            "'a', rate => 1, per => '0 s'",
            "'a', rate => 1, per => '-1 s'",
            "'a', rate => 1, per => '1 month'",
            "'a', rate => 1, per => '1000 years'",
            "'a', max_running => 1, burst => 3",
            "'a', rate => 1, per => '1 s', burst => 0",
        ] {
            let refusal = session.refused(format!("SELECT workflow_set_limit({wrong})")).await;
            assert_eq!(refusal.code(), ("22023", "WF613"), "{wrong}");
            assert!(!refusal.hint.is_empty(), "{wrong}");
        }
        assert!(!session.value::<bool>("SELECT workflow_delete_limit('a')").await);
    })
    .await;
}
