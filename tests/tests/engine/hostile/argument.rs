//! Null arguments, and SQL in place of text.

use super::LINEAR;
use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

/// A call of the engine, with a valid argument for each position.
const CALLS: [(&str, &[&str]); 17] = [
    ("workflow_validate", &["'x'"]),
    ("workflow_define", &["'x'"]),
    ("workflow_register_action", &["'demo.z'", "'l'", "'d'", "'e'", "1", "'{}'", "'{}'"]),
    ("workflow_start", &["'demo.w'", "'{}'", "'k'", "0", "now()", "0"]),
    ("workflow_start_many", &["'demo.w'", "ARRAY['{}']::jsonb[]", "ARRAY['k']", "0", "now()", "0"]),
    ("workflow_claim", &["'w'", "1", "ARRAY['demo.a']", "interval '1 s'", "ARRAY[0]"]),
    ("workflow_complete", &["$task", "$lease", "'1'"]),
    ("workflow_fail", &["$task", "$lease", "'1'", "'failed'", "'1'", "true", "interval '1 s'"]),
    (
        "workflow_finish",
        &["ARRAY[ROW($task, $lease, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)]::workflow.outcome[]"],
    ),
    (
        "workflow_finish_and_claim",
        &[
            "'w'",
            "ARRAY[ROW($task, $lease, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)]::workflow.outcome[]",
            "1",
            "ARRAY['demo.a']",
            "interval '1 s'",
            "ARRAY[0]",
        ],
    ),
    ("workflow_heartbeat", &["ARRAY[$task]", "ARRAY[$lease]", "interval '1 s'"]),
    ("workflow_pause", &["$execution", "'r'"]),
    ("workflow_cancel", &["$execution", "'r'"]),
    ("workflow_rerun", &["$execution", "ARRAY['one']", "false", "ARRAY[0]"]),
    ("workflow_status", &["$execution"]),
    ("workflow_graph", &["'demo.w'", "'dot'"]),
    ("workflow_tick", &["1", "ARRAY[0]"]),
];

/// Checks that a call returns rows, or raises an error of ours.
async fn sane(session: &mut Session, call: &str) {
    session.run("BEGIN").await;
    session.run("SAVEPOINT s").await;
    if let Err(error) = sqlx::query(AssertSqlSafe(call)).fetch_all(&mut session.connection).await {
        let refusal = Refusal::of(error);
        assert!(refusal.message.starts_with("WF"), "{call}: {refusal:#?}");
        let known = ["22023", "P0002", "23505", "55000", "55006", "54000"];
        assert!(known.contains(&refusal.sqlstate.as_str()), "{call}: {refusal:#?}");
        session.run("ROLLBACK TO s").await;
    }
    let broken: Vec<(String,)> = session.rows("SELECT c::text FROM workflow_check() AS c").await;
    assert!(broken.is_empty(), "{call}: {broken:?}");
    session.run("ROLLBACK").await;
}

#[tokio::test]
async fn one_null_or_one_piece_of_sql_among_good_arguments_is_answered_sanely() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let execution = session.begin(LINEAR).await;
        let [one] = session.claim_named(["one"]).await;
        session.start().await;
        let fill = |argument: &str| {
            argument
                .replace("$task", &one.task.to_string())
                .replace("$lease", &one.lease_token.to_string())
                .replace("$execution", &execution.to_string())
        };
        let evil = "'''; DROP TABLE workflow.pack; --'";
        let mut before = session.contents().await;
        for (function, arguments) in CALLS {
            let arguments: Vec<String> = arguments.iter().map(|argument| fill(argument)).collect();
            sane(&mut session, &format!("SELECT * FROM {function}({})", arguments.join(", "))).await;
            for place in 0..arguments.len() {
                let with = |value: String| {
                    let mut arguments = arguments.clone();
                    arguments[place] = value;
                    format!("SELECT * FROM {function}({})", arguments.join(", "))
                };
                let bad = match arguments[place].as_str() {
                    text if text.starts_with("'{") || text == "'1'" => {
                        vec![
                            "NULL".into(),
                            format!("to_jsonb({evil}::text)"),
                            format!("jsonb_build_object({evil}, {evil})"),
                        ]
                    }
                    "ARRAY['{}']::jsonb[]" => vec![
                        "NULL::jsonb[]".into(),
                        format!("ARRAY[to_jsonb({evil}::text)]"),
                        "ARRAY[['{}'], ['{}']]::jsonb[]".into(),
                    ],
                    text if text.starts_with("ARRAY['") => {
                        vec![
                            "NULL::text[]".into(),
                            format!("ARRAY[{evil}]"),
                            "ARRAY[NULL]::text[]".into(),
                            "ARRAY[['a'], ['b']]".into(),
                        ]
                    }
                    text if text.starts_with("ARRAY[ROW") => {
                        vec!["NULL::workflow.outcome[]".into(), "ARRAY[NULL]::workflow.outcome[]".into()]
                    }
                    text if text.starts_with('\'') => vec![
                        format!("NULL::{}", if function == "workflow_graph" { "text" } else { "unknown" })
                            .replace("::unknown", ""),
                        evil.into(),
                        "''".into(),
                        "repeat('x', 100000)".into(),
                    ],
                    text if text.starts_with("ARRAY[") => {
                        vec!["NULL".into(), "ARRAY[NULL]::int[]".into(), "'{}'".into()]
                    }
                    text if text.starts_with("interval") => vec![
                        "NULL".into(),
                        "interval '0'".into(),
                        "interval '-1 s'".into(),
                        "interval '1000000 years'".into(),
                    ],
                    "now()" => {
                        vec!["NULL".into(), "'infinity'".into(), "'294276-12-31'".into(), "'4713-01-01 BC'".into()]
                    }
                    "true" | "false" => vec!["NULL".into()],
                    _ => vec!["NULL".into(), "0".into(), "-1".into(), "2147483647".into()],
                };
                for value in bad {
                    sane(&mut session, &with(value)).await;
                }
            }
            let after = session.contents().await;
            assert_eq!(after, before, "{function}");
            before = after;
        }
        let packs: i64 = session.value("SELECT count(*) FROM workflow.pack").await;
        assert_eq!(packs, 1);
    })
    .await;
}

#[tokio::test]
async fn text_like_sql_in_a_definition_stays_text() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.register_actions().await;
        let evil = "'; DROP TABLE workflow.pack; --";
        let definition = json!({
            "ref": "demo.w", "label": evil, "version": evil, "description": evil, "tags": [evil],
            "vars": [{"x": evil}],
            "tasks": [{"name": "a", "action": "demo.a", "input": {"x": "{{ vars.x }}", evil: evil}, "publish": [{"x": "{{ result() }}"}]}],
            "output_map": [{"x": "{{ vars.x }}"}]
        });
        sqlx::query("SELECT ref FROM workflow_define($1)").bind(definition.to_string()).execute(&mut session.connection).await.unwrap();
        let id: i64 = sqlx::query_scalar("SELECT workflow_start('demo.w', '{}', $1)")
            .bind(evil)
            .fetch_one(&mut session.connection)
            .await
            .unwrap();
        let [a]: [Task; 1] = sqlx::query_as("SELECT * FROM workflow_claim($1, 1, ARRAY[$1, 'demo.a'])")
            .bind(evil)
            .fetch_all(&mut session.connection)
            .await
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!(a.input, Some(json!({"x": evil, evil: evil})));
        session.complete(&a, json!(evil)).await;
        session.assert_ended(id, "completed", json!({"x": evil})).await;
        let kept: Value = session
            .value("SELECT jsonb_build_array(label, version, tags) FROM workflow.workflow_definition")
            .await;
        assert_eq!(kept, json!([evil, evil, [evil]]));
    })
    .await;
}
