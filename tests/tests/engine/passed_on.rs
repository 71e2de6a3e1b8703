//! Values that are passed on as they are: from parameters and results to inputs, whatever is in them.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

/// Three tasks: the second gets what the first yields, the third a member of what the second yields.
const LINE: &str = "tasks:
  - {name: one, action: demo.a, input: '{{ parameters }}', on_success: two}
  - {name: two, action: demo.b, input: '{{ task.one.result }}', on_success: three}
  - {name: three, action: demo.c, input: {y: '{{ task.two.result.y }}'}}
";

impl Session {
    /// Claims a task and reports it as done, all in the database.
    async fn work_in_sql(&mut self, result: &str) {
        let sql = format!(
            "SELECT workflow_complete(c.task, c.lease_token, '{result}') FROM workflow_claim('w', 1) AS c WHERE c.task IS NOT NULL"
        );
        assert_eq!(self.value::<String>(sql).await, "completed");
    }

    /// Is this the input of the newest task of this name?
    async fn has_input(&mut self, name: &str, input: &str) -> bool {
        let sql = format!(
            "SELECT t.input::text = '{input}'::jsonb::text FROM workflow.workflow_task_execution t
             WHERE t.task_name = '{name}' ORDER BY t.id DESC LIMIT 1"
        );
        self.value(sql).await
    }
}

#[tokio::test]
async fn numbers_keep_all_their_digits() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(LINE).await;
        let value = r#"{"y": 1.10, "z": [12345678901234567890123, 0.12345678901234567890123]}"#;
        session.run(format!("SELECT workflow_start('demo.w', '{value}')")).await;
        assert!(session.has_input("one", value).await);
        session.work_in_sql(value).await;
        assert!(session.has_input("two", value).await);
        session.work_in_sql(value).await;
        assert!(session.has_input("three", r#"{"y": 1.1}"#).await);
    })
    .await;
}

#[tokio::test]
async fn a_number_that_no_double_holds_fails_only_what_looks_at_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(LINE).await;
        let value = r#"{"x": 1e400, "y": 1}"#;
        let whole = session.start().await;
        session.work_in_sql(value).await;
        assert!(session.has_input("two", value).await);
        session.work_in_sql(value).await;
        session.assert_ended(whole, "failed", json!(null)).await;
        let message = session.status(whole).await["error_message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("WF602") && message.contains("input of task three"), "{message}");
        // A value that is nothing else is looked at when it is passed on.
        let alone = session.start().await;
        session.work_in_sql("1e400").await;
        session.assert_ended(alone, "failed", json!(null)).await;
        let message = session.status(alone).await["error_message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("WF602") && message.contains("input of task two"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn parameters_that_their_schema_cannot_be_asked_about_are_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let schema = "parameters: {type: object, properties: {x: {type: number}}}\n";
        session.define(&format!("{schema}tasks: [{{name: one, action: demo.a}}]\n")).await;
        let refusal = session.refused(r#"SELECT workflow_start('demo.w', '{"x": 1e400}')"#).await;
        assert_eq!(refusal.code(), ("22023", "WF601"), "{refusal:#?}");
    })
    .await;
}

#[tokio::test]
async fn long_ones_come_through_whole_and_compressed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(LINE).await;
        // One that is compressed, and one that is not and lies beside its row.
        for text in ["repeat('ab', 50000)", "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 2000) AS n)"] {
            let value = format!("jsonb_build_object('y', {text})");
            session.run(format!("SELECT * FROM workflow_start_many('demo.w', ARRAY[{value}, {value}])")).await;
            session
                .run(format!(
                    "SELECT workflow_complete(c.task, c.lease_token, c.input) FROM workflow_claim('w', 2) AS c;
                     SELECT workflow_complete(c.task, c.lease_token, c.input) FROM workflow_claim('w', 2) AS c;
                     DO $do$ BEGIN
                       ASSERT 2 = (SELECT count(*) FROM workflow_claim('w', 9) AS c WHERE c.task_name = 'three' AND c.input = {value});
                     END $do$"
                ))
                .await;
        }
    })
    .await;
}
