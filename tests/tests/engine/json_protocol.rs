//! The work protocol in JSON.

use crate::fixture::{Session, Task};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

async fn finish(session: &mut Session, outcomes: &Value) -> Value {
    let call = sqlx::query_scalar("SELECT workflow_finish_json($1)").bind(outcomes.clone());
    call.fetch_one(&mut session.connection).await.unwrap()
}

fn outcome(task: &Task, status: &str) -> Value {
    json!({"task": task.task.to_string(), "lease_token": task.lease_token.to_string(), "status": status})
}

#[tokio::test]
async fn a_worker_can_do_everything_in_json() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: one, action: demo.a, timeout: 90, input: {x: 12345678901234567890}, retry: {count: 1}, on_success: two}
  - {name: two, action: demo.b, input: '{{ task.one.result }}'}
";
        session.define(rest).await;
        let id: i64 = session.value("SELECT workflow_start('demo.w', part => 1000)").await;
        let claim = "SELECT workflow_finish_and_claim_json('w1', '[]', 5)";
        let taken: Value = session.value(claim).await;
        let one = taken["tasks"][0].clone();
        assert_eq!(taken["answers"], json!([]));
        assert_eq!((&one["execution"], &one["task_name"], &one["attempt"]), (&json!(id.to_string()), &json!("one"), &json!(1)));
        assert_eq!((&one["deadline"], &one["lease_until"]), (&json!("2026-01-01T00:01:30+00:00"), &json!("2026-01-01T00:00:30+00:00")));
        assert_eq!(one["input"].to_string(), r#"{"x":12345678901234567890}"#);
        let failed = json!([{"task": one["task"], "lease_token": one["lease_token"], "status": "failed", "error": {"type": "busy"},
                             "progress": {"page": 7}, "retry_in": "PT0S"}]);
        let again: Value = session
            .value(format!("SELECT workflow_finish_and_claim_json('w1', '{failed}', 5)"))
            .await;
        assert_eq!(again["answers"][0]["state"], "retrying");
        let one = again["tasks"][0].clone();
        assert_eq!((&one["attempt"], &one["last_error"], &one["progress"]), (&json!(2), &json!({"type": "busy"}), &json!({"page": 7})));
        let done = json!([{"task": one["task"], "lease_token": one["lease_token"], "status": "completed", "result": {"y": null}}]);
        assert_eq!(finish(&mut session, &done).await, json!([{"task": one["task"], "lease_token": one["lease_token"],
            "state": "completed", "code": null, "message": null}]));
        let [two] = session.claim_named(["two"]).await;
        assert_eq!(two.input, Some(json!({"y": null})));
        finish(&mut session, &json!([outcome(&two, "completed")])).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn one_bad_element_is_refused_by_itself() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin("tasks: [{name: each, action: demo.a, with_items: [1, 2]}]").await;
        let [one, two] = session.claim_named(["each"; 2]).await;
        let with = |field: &str, value: Value| {
            let mut outcome = outcome(&two, "completed");
            outcome[field] = value;
            outcome
        };
        let bad = [
            (json!(7), "must be an object"),
            (json!(null), "must be an object"),
            (json!([1]), "must be an object"),
            (json!({}), "task must be a string of digits"),
            (with("task", json!(two.task)), "task must be a string of digits"),
            (with("task", json!("")), "task must be a string of digits"),
            (with("task", json!("9999999999999999999")), "task must be a string of digits"),
            (with("lease_token", json!(two.lease_token)), "lease_token must be a string of digits"),
            (with("status", json!("done")), "a task cannot end as done"),
            (with("status", json!(null)), "a task cannot end as null"),
            (with("status", json!(["completed"])), "a task cannot end as"),
            (with("may_retry", json!("no")), "may_retry must be"),
            (with("retry_in", json!("soon")), "retry_in must be"),
            (with("retry_in", json!("P1Y")), "retry_in must be"),
            (with("retry_in", json!(-1)), "retry_in must be"),
            (with("retry_in", json!(1e300)), "retry_in must be"),
            (with("hold_for", json!(-1)), "hold_for must be"),
            (with("hold_for", json!("soon")), "hold_for must be"),
            (with("hold_for", json!(1e9)), "hold_for of task"),
            (with("resutl", json!(1)), "has no field \"resutl\""),
        ];
        let mut all: Vec<Value> = bad.iter().map(|(outcome, _)| outcome.clone()).collect();
        all.insert(5, outcome(&one, "completed"));
        let answers = finish(&mut session, &Value::from(all)).await;
        let mut answers = answers.as_array().unwrap().clone();
        assert_eq!(answers.remove(5)["state"], "completed");
        for ((outcome, message), answer) in bad.iter().zip(&answers) {
            assert_eq!(answer["code"], "WF613", "{outcome}: {answer}");
            assert!(answer["message"].as_str().unwrap().contains(message), "{outcome}: {answer}");
        }
        assert_eq!(finish(&mut session, &json!([outcome(&two, "completed")])).await[0]["state"], "completed");
        for given in ["NULL", "'{}'", "'3'", "'null'", "(SELECT jsonb_agg(n) FROM generate_series(1, 10001) AS n)"] {
            for call in
                [format!("workflow_finish_json({given})"), format!("workflow_finish_and_claim_json('w', {given})")]
            {
                let refusal = session.refused(format!("SELECT {call}")).await;
                assert!(matches!(refusal.code(), ("22023", "WF613") | ("54000", "WF614")), "{call}: {refusal:?}");
                assert!(!refusal.hint.is_empty());
            }
        }
    })
    .await;
}
