//! `workflow_test`: a definition is played in memory with scripted answers.

use crate::fixture::Session;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

const ORDER: &str = "ref: demo.w
label: Test
version: 1.0.0
parameters: {type: object, required: [n], properties: {n: {type: integer}}}
tasks:
  - {name: charge, action: demo.a, retry: {count: 1, delay: 30}, on_success: ship,
     undo: {action: demo.b, input: {payment: '{{ result() }}', n: '{{ parameters.n }}'}}}
  - {name: ship, action: demo.c}
";

async fn play(session: &mut Session, source: &str, script: Value) -> Vec<(String, bool, Value, String)> {
    let sql =
        format!("SELECT test, passed, differences, took::text FROM workflow_test($t${source}$t$, $s${script}$s$)");
    session.rows(sql).await
}

#[tokio::test]
async fn a_definition_is_played_with_its_undo_and_nothing_is_stored() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let before = session.contents().await;
        let script = json!({"tests": [
            {"name": "charged at the second attempt", "parameters": {"n": 1},
             "answers": {"charge": [{"fail": {"message": "busy"}}, {"result": "p1"}], "ship": {"fail": {}}, "undo:charge": {"result": null}},
             "expect": {"status": "failed", "ran": ["charge", "charge", "ship", "undo:charge"],
                        "inputs": {"undo:charge": {"payment": "p1", "n": 1}}, "took": "30s"}},
            {"name": "it is not shipped", "parameters": {"n": 1}, "default": {"result": null}, "expect": {"not_ran": ["ship"]}},
        ]});
        // A new plan is made at the sixth call.
        for _ in 0..7 {
            let found = play(&mut session, ORDER, script.clone()).await;
            assert_eq!(found[0], ("charged at the second attempt".to_owned(), true, json!([]), "00:00:30".to_owned()));
            let (name, passed, differences, _) = &found[1];
            assert_eq!((name.as_str(), passed), ("it is not shipped", &false));
            assert_eq!((&differences[0]["what"], &differences[0]["expected"]), (&json!("not_ran"), &json!("ship does not run")));
        }
        assert_eq!(session.contents().await, before);
    })
    .await;
}

#[tokio::test]
async fn errors_in_a_script_or_a_definition_are_reported() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let one = |test: Value| json!({"tests": [test]});
        for (source, script, code, message) in [
            (
                ORDER,
                one(json!({"name": "x", "parameters": {"n": 1}, "answers": {"chrge": {"result": 1}}, "expect": {"status": "completed"}})),
                "WF701",
                "there is no task `chrge`",
            ),
            (
                ORDER,
                one(json!({"name": "x", "parameters": {"n": "one"}, "expect": {"status": "completed"}})),
                "WF601",
                "the workflow rejects the parameters",
            ),
            (ORDER, json!([]), "WF005", "must be a map"),
            (ORDER, json!({}), "WF004", "no `tests`"),
            ("ref: demo.w", one(json!({"name": "x", "expect": {"status": "completed"}})), "WF004", "has no `label`"),
            ("", one(json!({"name": "x", "expect": {"status": "completed"}})), "WF001", "the source is empty"),
        ] {
            let refusal = session.refused(format!("SELECT * FROM workflow_test($t${source}$t$, $s${script}$s$)")).await;
            assert_eq!(refusal.code().1, code, "{refusal:?}");
            assert!(refusal.message.contains(message), "{refusal:?}");
            assert!(refusal.json().as_array().is_some_and(|findings| !findings.is_empty()), "{refusal:?}");
        }
        for call in ["workflow_test(NULL, '{}')", "workflow_test('', NULL)"] {
            assert_eq!(session.refused(format!("SELECT * FROM {call}")).await.code().1, "WF613");
        }
    })
    .await;
}
