//! Values that are passed on as they are: from parameters and results to inputs, whatever is in them.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

/// Three tasks: the second gets the result of the first, the third a member of the result of the second.
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

    /// Returns whether this is the input of the newest task of this name.
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

/// A larger number is not JSON that workers could read.
const LARGEST: &str = "1.7976931348623157e308";

#[tokio::test]
async fn a_number_that_no_double_holds_is_refused_where_it_would_be_used() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(LINE).await;
        let fits = format!(r#"{{"x": [-{LARGEST}], "y": {LARGEST}}}"#);
        session.run(format!("SELECT workflow_start('demo.w', '{fits}')")).await;
        session.work_in_sql(&fits).await;
        assert!(session.has_input("two", &fits).await);
        session.work_in_sql(&fits).await;
        session.work_in_sql(&fits).await;
        for number in ["1.8e308", "-1.8e308", "1e309", "1e400"] {
            for value in
                [number.to_owned(), format!(r#"{{"x": {number}}}"#), format!("[[1, {{\"y\": [2, {number}]}}]]")]
            {
                let refusal = session.refused(format!("SELECT workflow_start('demo.w', '{value}')")).await;
                assert_eq!(refusal.code(), ("54000", "WF614"), "{value}: {refusal:#?}");
                let id = session.start().await;
                let [one] = session.claim_named(["one"]).await;
                let refusal = session
                    .refused(format!("SELECT workflow_complete({}, {}, '{value}')", one.task, one.lease_token))
                    .await;
                assert_eq!(refusal.code(), ("54000", "WF614"), "{value}: {refusal:#?}");
                assert_eq!(session.complete(&one, json!({"y": 1})).await, "completed");
                session.work("two", json!({"y": 1})).await;
                session.work("three", json!(null)).await;
                session.assert_ended(id, "completed", json!(null)).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn one_that_nobody_looked_at_is_kept_and_never_passed_on() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "tasks:
  - {name: one, action: demo.a, on_success: two}
  - {name: two, action: demo.b, on_success: three}
  - {name: three, action: demo.c, input: '{{ task.one.result }}'}
",
            )
            .await;
        let id = session.start().await;
        session.work_in_sql(r#"{"x": 1e400}"#).await;
        session.work("two", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let message = session.status(id).await["error_message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("WF602: input of task three") && message.contains("double"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn long_ones_come_through_whole_and_compressed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(LINE).await;
        // One value that is compressed, and one that is stored out of line without compression.
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
