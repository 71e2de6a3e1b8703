//! Attributes: where they come from, which executions inherit them, who sees them, and which values are refused.

use crate::fixture::*;
use pg_workflow_client::{Engine, StartInput, StartManyInput};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

const WITH_TENANT: &str = r#"
parameters: {type: object, properties: {tenant: {type: string}, size: {type: integer}}}
vars: [{kind: order}]
attributes: {tenant: "{{ parameters.tenant | default('none') }}", kind: "{{ vars.kind }}", size: "{{ parameters.size | default(none) }}"}
tasks: [{name: a, action: demo.a}]
"#;

async fn attributes(session: &mut Session, id: i64) -> Value {
    session.value::<Option<Value>>(format!("SELECT attributes FROM workflow_status({id})")).await.unwrap_or(Value::Null)
}

#[tokio::test]
async fn an_execution_has_the_attributes_of_its_definition_overridden_by_those_given() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WITH_TENANT).await;
        let plain = session.start().await;
        assert_eq!(attributes(&mut session, plain).await, json!({"tenant": "none", "kind": "order"}));
        let sized = session.start_with(json!({"tenant": "acme", "size": 5})).await;
        assert_eq!(attributes(&mut session, sized).await, json!({"tenant": "acme", "kind": "order", "size": 5}));
        let input = StartInput {
            r#ref: "demo.w".into(),
            attributes: Some(json!({"kind": null, "tenant": "other", "more": {"deep": [1]}})),
            ..Default::default()
        };
        let given = Engine::start(&db.pool, input).await.unwrap().unwrap();
        assert_eq!(attributes(&mut session, given).await, json!({"tenant": "other", "more": {"deep": [1]}}));
        assert_eq!(Engine::status(&db.pool, given).await.unwrap().attributes.unwrap()["tenant"], "other");
        let input = StartManyInput {
            r#ref: "demo.w".into(),
            parameters: vec![json!({}), json!({})],
            attributes: Some(vec![None, Some(json!({"tenant": "second"}))]),
            ..Default::default()
        };
        let many: Vec<i64> = Engine::start_many(&db.pool, input).await.unwrap().into_iter().flatten().collect();
        assert_eq!(attributes(&mut session, many[0]).await["tenant"], "none");
        assert_eq!(attributes(&mut session, many[1]).await["tenant"], "second");
        let seen: Value = session
            .value(format!(
                "SELECT attributes FROM workflow.workflow_execution_summary WHERE part = 0 AND id = {}",
                many[1]
            ))
            .await;
        assert_eq!(seen["tenant"], "second");
    })
    .await;
}

#[tokio::test]
async fn what_is_called_inherits_the_attributes_of_its_caller() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "attributes: {kind: child}\ntasks: [{name: x, action: demo.a}]").await;
        session
            .define("tasks: [{name: wait, action: demo.b, on_success: call}, {name: call, action: demo.child}]")
            .await;
        let id: i64 = session
            .value(r#"SELECT workflow_start('demo.w', attributes => '{"tenant": "acme", "kind": "root"}')"#)
            .await;
        session.run(format!(r#"SELECT workflow_set_attributes({id}, '{{"late": true}}')"#)).await;
        session.work("wait", json!(null)).await;
        let child: i64 = session.value(format!("SELECT id FROM workflow.execution WHERE parent = {id}")).await;
        assert_eq!(attributes(&mut session, child).await, json!({"tenant": "acme", "kind": "child", "late": true}));
    })
    .await;
}

#[tokio::test]
async fn attributes_are_merged_at_any_time_and_null_removes_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: a, action: demo.a}]").await;
        assert_eq!(attributes(&mut session, id).await, Value::Null);
        let set = |more: Value| async move { Engine::set_attributes(&db.pool, id, &more).await.unwrap() };
        assert_eq!(set(json!({"a": 1, "b": 2})).await, Some(json!({"a": 1, "b": 2})));
        assert_eq!(set(json!({"a": null, "c": {"x": null}})).await, Some(json!({"b": 2, "c": {"x": null}})));
        session.work("a", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(set(json!({"b": null, "c": null})).await, None, "also after the end");
        assert_eq!(attributes(&mut session, id).await, Value::Null);
    })
    .await;
}

/// Measures what a start writes, in a transaction that does nothing else.
#[tokio::test]
async fn a_start_without_attributes_writes_to_no_index_of_attributes_and_an_end_without_failure_is_hot() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        session.start().await;
        let written = |index: &str| format!("SELECT pg_relation_size('workflow.workflow_execution_{index}_idx') / 8192");
        let mut before = Vec::new();
        for index in ["attributes", "failure", "error_code"] {
            before.push(session.value::<i64>(written(index)).await);
        }
        session.run("SELECT pg_stat_force_next_flush()").await;
        session.run("BEGIN").await;
        session.run("SELECT count(*) FROM workflow_start_many('demo.w', array_fill('{}'::jsonb, '{500}'))").await;
        session.run("COMMIT").await;
        session.run("SELECT pg_stat_force_next_flush()").await;
        session.run("BEGIN").await;
        session
            .run("SELECT count(*) FROM workflow_finish((SELECT array_agg(ROW(c.task, c.lease_token, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome) FROM workflow_claim('w', 1000) AS c))")
            .await;
        let (updated, hot): (i64, i64) = session
            .rows("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_all_tables WHERE relid = 'workflow.workflow_execution'::regclass")
            .await[0];
        session.run("COMMIT").await;
        assert_eq!((updated, hot), (501, 501));
        let mut after = Vec::new();
        for index in ["attributes", "failure", "error_code"] {
            after.push(session.value::<i64>(written(index)).await);
        }
        assert_eq!(after, before);
    })
    .await;
}

#[tokio::test]
async fn attributes_that_cannot_be_used_are_refused_and_nothing_is_started() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: a, action: demo.a}]").await;
        let big = format!(r#"{{"x": "{}"}}"#, "y".repeat(1 << 20));
        for (call, sqlstate, code) in [
            ("workflow_start('demo.w', attributes => '[1]')".to_owned(), "22023", "WF613"),
            ("workflow_start('demo.w', attributes => '7')".to_owned(), "22023", "WF613"),
            ("workflow_start('demo.w', attributes => 'null')".to_owned(), "22023", "WF613"),
            (format!("workflow_start('demo.w', attributes => '{big}')"), "54000", "WF614"),
            (
                "workflow_start_many('demo.w', ARRAY['{}', '{}']::jsonb[], attributes => ARRAY['{}']::jsonb[])"
                    .to_owned(),
                "22023",
                "WF613",
            ),
            (
                "workflow_start_many('demo.w', ARRAY['{}']::jsonb[], attributes => ARRAY['\"x\"']::jsonb[])".to_owned(),
                "22023",
                "WF613",
            ),
            (format!("workflow_set_attributes({id}, '{big}')"), "54000", "WF614"),
            (format!("workflow_set_attributes({id}, '[]')"), "22023", "WF613"),
            (format!("workflow_set_attributes({id}, NULL)"), "22023", "WF613"),
            ("workflow_set_attributes(NULL, '{}')".to_owned(), "22023", "WF613"),
            ("workflow_set_attributes(99, '{}')".to_owned(), "P0002", "WF616"),
            ("workflow_set_attributes(-1, '{}')".to_owned(), "P0002", "WF616"),
        ] {
            let refusal = session.refused(format!("SELECT * FROM {call}")).await;
            assert_eq!(refusal.code(), (sqlstate, code), "{:.200}", call);
            assert!(!refusal.hint.is_empty());
        }
        // Values that PostgreSQL itself refuses as jsonb.
        let refusal = session.refused(r#"SELECT workflow_start('demo.w', attributes => '{"a": "\u0000"}')"#).await;
        assert_eq!(refusal.sqlstate, "22P05");
        // Many small ones, which together are too large.
        let half = format!(r#"{{"a": "{}"}}"#, "y".repeat(5000));
        session.run(format!("SELECT workflow_set_attributes({id}, '{half}')")).await;
        let refusal = session
            .refused(format!("SELECT workflow_set_attributes({id}, '{}')", half.replace("\"a\"", "\"b\"")))
            .await;
        assert_eq!(refusal.code(), ("54000", "WF614"));
    })
    .await;
}

#[tokio::test]
async fn attributes_that_fail_to_render_fail_the_start_of_the_root_and_the_call_of_a_child() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define_as("demo.bad", "parameters: {type: object, properties: {n: {type: integer}}, required: [n]}\nattributes: {x: \"{{ 10 // parameters.n }}\"}\ntasks: [{name: a, action: demo.a}]")
            .await;
        session.define("tasks: [{name: call, action: demo.bad, input: {n: 0}}]").await;
        let refusal = session.refused(r#"SELECT workflow_start('demo.bad', '{"n": 0}')"#).await;
        assert_eq!(refusal.code(), ("22023", "WF605"));
        assert!(refusal.message.contains("attribute x"), "{refusal:?}");
        let id = session.start().await;
        let status = session.status(id).await;
        assert_eq!((&status["status"], &status["ended"]), (&json!("failed"), &json!(true)));
        session
            .define_as("demo.huge", "attributes: {x: \"{{ 'abcdefgh' * 2000 }}\"}\ntasks: [{name: a, action: demo.a}]")
            .await;
        let refusal = session.refused("SELECT workflow_start('demo.huge')").await;
        assert_eq!(refusal.code(), ("54000", "WF614"));
        session
            .define_as("demo.nul", "attributes: {x: \"{{ 'a\\\\x00b' }}\"}\ntasks: [{name: a, action: demo.a}]")
            .await;
        let refusal = session.refused("SELECT workflow_start('demo.nul')").await;
        assert_eq!(refusal.code(), ("22023", "WF605"));
    })
    .await;
}
