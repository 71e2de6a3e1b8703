//! What nobody should send: each is answered with an error of ours, soon, and the session goes on.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use std::time::{Duration, Instant};

const LINEAR: &str = "parameters: {properties: {x: {}}}
tasks:
  - {name: one, action: demo.a, on_success: two}
  - {name: two, action: demo.b, input: {x: '{{ task.one.result }}'}}
";

/// On a quiet machine each takes far less than a second, even without optimisation; this leaves room for a busy one.
const SOON: Duration = Duration::from_secs(10);

/// Refused soon, and the same session answers afterwards.
async fn refused_soon(session: &mut Session, sql: impl Into<String>) -> Refusal {
    let begun = Instant::now();
    let sql = sql.into();
    let refusal =
        Refusal::of(sqlx::query(AssertSqlSafe(sql.as_str())).fetch_all(&mut session.connection).await.unwrap_err());
    assert!(begun.elapsed() < SOON, "{:?}: {refusal:?}", begun.elapsed());
    assert_eq!(session.value::<i32>("SELECT 1").await, 1);
    refusal
}

#[tokio::test]
async fn a_result_of_100_mb_is_refused_and_changes_nothing() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        let [one] = session.claim_named(["one"]).await;
        let before = session.contents().await;
        let pid: i32 = session.value("SELECT pg_backend_pid()").await;
        let (task, lease) = (one.task, one.lease_token);
        session.run("CREATE TEMP TABLE large AS SELECT to_jsonb(repeat('x', 100000000)) AS value").await;
        for call in [
            format!("workflow_complete({task}, {lease}, to_jsonb(repeat('x', 100000000)))"),
            format!("workflow_fail({task}, {lease}, to_jsonb(repeat('x', 100000000)))"),
            format!("workflow_fail({task}, {lease}, result => to_jsonb(repeat('x', 100000000)))"),
        ] {
            let refusal = refused_soon(&mut session, format!("SELECT {call}")).await;
            assert_eq!(refusal.code(), ("54000", "WF614"), "{refusal:#?}");
            assert!(refusal.message.contains("100000012 bytes"), "{refusal:#?}");
        }
        let word: String = session
            .value(format!(
                "SELECT code FROM workflow_finish(ARRAY[ROW({task}, {lease}, 'completed', to_jsonb(repeat('x', 100000000)), NULL, NULL, NULL)::workflow.outcome])"
            ))
            .await;
        assert_eq!(word, "WF614");
        assert_eq!(session.value::<i32>("SELECT pg_backend_pid()").await, pid);
        assert_eq!(session.contents().await, before);
        session.complete(&one, json!("x")).await;
        session.work("two", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn json_nested_ten_thousand_deep_is_refused_where_it_would_be_read() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        // As deep as PostgreSQL itself reads with this setting.
        session.run("SET max_stack_depth = '6MB'").await;
        session.define(LINEAR).await;
        let deep = "(repeat('[', 10000) || repeat(']', 10000))::jsonb";
        let refusal = refused_soon(&mut session, format!("SELECT workflow_start('demo.w', {deep})")).await;
        assert_eq!(refusal.sqlstate, "54000", "{refusal:#?}");
        let refusal =
            refused_soon(&mut session, format!("SELECT workflow_start('demo.w', jsonb_build_object('x', {deep}))"))
                .await;
        assert_eq!(refusal.code(), ("54000", "WF614"), "{refusal:#?}");
        session.start().await;
        let [one] = session.claim_named(["one"]).await;
        let refusal =
            refused_soon(&mut session, format!("SELECT workflow_complete({}, {}, {deep})", one.task, one.lease_token))
                .await;
        assert_eq!(refusal.code(), ("54000", "WF614"), "{refusal:#?}");
        // As a schema of an action it is nobody's stack overflow either.
        session
            .run(format!("SELECT workflow_register_action('demo.x', param_schema => {deep}, out_schema => {deep})"))
            .await;
        let text = source("demo.v", "tasks: [{name: a, action: demo.x, input: {a: 1}}]\n");
        session.run(format!("SELECT count(*) FROM workflow_validate($y${text}$y$)")).await;
    })
    .await;
}

#[tokio::test]
async fn a_deep_result_that_is_only_read_later_fails_its_workflow_and_holds_up_nobody() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "tasks:
  - {name: one, action: demo.a, on_success: two}
  - {name: two, action: demo.b, on_success: three}
  - {name: three, action: demo.c, input: {x: '{{ task.one.result }}'}}
",
            )
            .await;
        let (deep, sound) = (session.start().await, session.start().await);
        let ones = session.claim_named(["one", "one"]).await;
        let value = "(repeat('[', 3000) || repeat(']', 3000))::jsonb";
        session.run(format!("SELECT workflow_complete({}, {}, {value})", ones[0].task, ones[0].lease_token)).await;
        session.complete(&ones[1], json!(1)).await;
        // Both in one batch.
        let twos = session.claim_named(["two", "two"]).await;
        let outcomes: Vec<_> = twos.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
        let answers = session.finish(&outcomes).await;
        assert!(answers.iter().all(|answer| answer.word() == "completed"), "{answers:?}");
        session.assert_ended(deep, "failed", json!(null)).await;
        let message = session.status(deep).await["error_message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with("WF602") && message.contains("task three") && message.contains("deep"),
            "{message}"
        );
        session.work("three", json!(null)).await;
        session.assert_ended(sound, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn variables_fill_their_bound_and_no_more() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SET pg_workflow.max_context_bytes = 1000").await;
        // Beside its value the variable takes 10 bytes.
        session
            .define(
                "tasks:
  - {name: one, action: demo.a, publish: [{text: '{{ result() }}'}], on_success: two}
  - {name: two, action: demo.b}
output_map: [{text: '{{ vars.text }}'}]
",
            )
            .await;
        let full = session.start().await;
        session.work("one", json!("x".repeat(990))).await;
        session.work("two", json!(null)).await;
        session.assert_ended(full, "completed", json!({"text": "x".repeat(990)})).await;
        let over = session.start().await;
        session.work("one", json!("x".repeat(991))).await;
        let status = session.status(over).await;
        assert_eq!((&status["status"], &status["ended"]), (&json!("failed"), &json!(true)), "{status:#}");
        assert_eq!(
            status["error_message"],
            "WF614: with variable text that task one publishes the variables take 1001 bytes, at most 1000 are allowed"
        );
        assert_eq!(status["variables"], json!({}));
    })
    .await;
}

#[tokio::test]
async fn definitions_that_are_bombs_are_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let head = "ref: demo.w\\nlabel: W\\nversion: 1.0.0\\n";
        for (source, code) in [
            ("repeat('a', 10000000)".to_owned(), "WF009"),
            (format!("E'{head}description: ' || repeat('a', 10000000)"), "WF009"),
            ("repeat('[', 100000)".into(), "WF009"),
            ("repeat('{a: ', 100000)".into(), "WF009"),
            ("repeat('- ', 100000)".into(), "WF009"),
            ("(SELECT string_agg(repeat(' ', n) || 'a:', E'\\n') FROM generate_series(0, 1000) AS n)".into(), "WF009"),
            ("repeat('{\"a\":', 100000)".into(), "WF009"),
            (format!("E'{head}tasks:\\n  - {{name: a, when: \"{{{{ ' || repeat('(', 5000) || '1' || repeat(')', 5000) || ' }}}}\"}}'"), "WF"),
            (format!("E'{head}tasks:\\n  - {{name: a, when: \"{{{{ 1' || repeat(' + 1', 3000) || ' }}}}\"}}'"), "WF"),
            (
                format!(
                    "E'{head}x: {{a: &a [1,1,1,1,1,1,1,1,1,1], b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a], c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b],
                      d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c], e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d], f: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]}}\\n'"
                ),
                "WF009",
            ),
            (format!("E'{head}tasks:\\n' || (SELECT string_agg('  - {{name: t' || n || '}}', E'\\n') FROM generate_series(1, 5000) AS n)"), "WF009"),
            (format!("E'{head}parameters: {{type: string, pattern: \"(a{{1000}}){{1000}}{{1000}}\"}}\\ntasks: [{{name: a}}]\\n'"), "WF401"),
            ("repeat('*a ', 100000)".into(), "WF"),
            ("repeat(E'\\n', 1000000)".into(), "WF001"),
            ("repeat(E'\\t', 100000)".into(), "WF001"),
        ] {
            let refusal = refused_soon(&mut session, format!("SELECT * FROM workflow_define({source})")).await;
            assert!(refusal.message.starts_with(code), "{source}: {refusal:#?}");
            assert!(["22023", "54000"].contains(&refusal.sqlstate.as_str()), "{refusal:#?}");
            assert!(refusal.detail.len() < 1 << 20, "{source}: {} bytes of detail", refusal.detail.len());
            let begun = Instant::now();
            let findings: i64 = session.value(format!("SELECT count(*) FROM workflow_validate({source})")).await;
            assert!(findings > 0 && begun.elapsed() < SOON, "{source}");
        }
    })
    .await;
}

#[tokio::test]
async fn strange_text_is_a_definition_or_a_finding() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.register_actions().await;
        let rest = "tasks:\n  - {name: a, action: demo.a, input: {x: 'ünï 🦀'}}\n";
        for good in [
            format!("\u{feff}{}", source("demo.bom", rest)),
            source("demo.crlf", rest).replace('\n', "\r\n"),
            format!("---\n{}...\n", source("demo.marked", rest)),
            format!("# nothing but a remark\n{}", source("demo.remark", rest)),
            json!({"ref": "demo.json", "label": "\\u00e9", "version": "1.0.0", "tasks": [{"name": "a", "action": "demo.a"}]}).to_string(),
        ] {
            let stored: String = sqlx::query_scalar("SELECT ref FROM workflow_define($1)")
                .bind(&good)
                .fetch_one(&mut session.connection)
                .await
                .unwrap_or_else(|error| panic!("{error}: {good}"));
            session.run(format!("SELECT workflow_start('{stored}')")).await;
        }
        assert_eq!(session.claim(10).await.len(), 5);
        for bad in [
            "\u{1}\u{2}\u{3}",
            "\u{fffe}\u{ffff}",
            "ref: \"demo.w\\0\"",
            "\"\\0\": 1",
            "ref: demo.w\nlabel: \"a\\0b\"\nversion: 1.0.0\ntasks: [{name: a}]",
            "ref: demo.w\nlabel: W\nversion: 1.0.0\ntasks: [{name: \"a\\0\", action: demo.a}]",
            "ref: demo.w\nlabel: W\nversion: 1.0.0\ntasks: [{name: a, action: demo.a, input: {\"x\\0\": 1}}]",
            "ref: demo.w\nlabel: \"\\uD800\"\nversion: 1.0.0\ntasks: [{name: a}]",
            "{\"ref\": \"demo.w\\u0000\"}",
            "ref: demo.w\r\r\rlabel: \u{85}\u{2028}",
            "%YAML 9.9\n---\nref: x",
            "!!python/object/apply:os.system ['true']",
            "ref: demo.w\nlabel: W\nversion: 1.0.0\ntasks: [{name: a}]\n---\nref: demo.v\n",
            "'; DROP TABLE workflow.pack; --",
        ] {
            let begun = Instant::now();
            let result = sqlx::query("SELECT * FROM workflow_define($1)").bind(bad).fetch_all(&mut session.connection).await;
            let refusal = Refusal::of(result.map(|_| bad).unwrap_err());
            assert!(refusal.message.starts_with("WF00"), "{bad:?}: {refusal:#?}");
            assert_eq!(refusal.sqlstate, "22023");
            assert!(begun.elapsed() < SOON);
        }
        // What is no text at all the server itself refuses.
        let refusal = session.refused("SELECT * FROM workflow_define(convert_from('\\xff', 'UTF8'))").await;
        assert_eq!(refusal.sqlstate, "22021");
    })
    .await;
}

#[tokio::test]
async fn expressions_that_are_bombs_fail_their_workflow_soon() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.register_actions().await;
        let digits = "0123456789".repeat(10_000);
        for expression in [
            "{{ [1] * 100000000 }}",
            "{{ 'x' * 100000000 }}",
            "{{ parameters.list * 100000000 }}",
            "{{ parameters.text * 100000000 }}",
            "{{ range(1000000000) | list | length }}",
            "{{ range(100000) | map('string') | join(parameters.text) | length }}",
            "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
            "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{{ parameters.text | replace('0', parameters.text) | replace('0', parameters.text) | length }}",
            "{{ parameters.text | indent(100000000) }}",
            "{{ [1, 2, 3] | batch(1000000000, 0) | list }}",
            "{{ [1, 2, 3] | slice(1000000000) | list }}",
            "{{ 10 ** 100000000 }}",
            "{{ 9223372036854775807 * 9223372036854775807 * 9223372036854775807 }}",
            "{{ 1 / 0 }}",
            "{{ 1 % 0 }}",
            "{{ range(1, 10, 0) | list }}",
            "{{ '\\x00' }}",
            "{{ {'\\x00': 1} }}",
            "text {{ '\\x00' }}",
        ] {
            let definition = json!({
                "ref": "demo.w", "label": "W", "version": "1.0.0",
                "parameters": {"properties": {"list": {}, "text": {}}},
                "tasks": [{"name": "a", "action": "demo.a", "input": {"x": expression}}]
            });
            let define = sqlx::query("SELECT ref FROM workflow_define($1)").bind(definition.to_string());
            if let Err(error) = session.connection.execute(define).await {
                // Refused when stored is as good.
                assert!(Refusal::of(error).message.starts_with("WF"), "{expression}");
                continue;
            }
            let begun = Instant::now();
            let id = session.start_with(json!({"list": [1], "text": digits})).await;
            assert!(begun.elapsed() < SOON, "{expression}: {:?}", begun.elapsed());
            let status = session.status(id).await;
            assert_eq!((&status["status"], &status["ended"]), (&json!("failed"), &json!(true)), "{expression}");
            let message = status["error_message"].as_str().unwrap();
            assert!(message.starts_with("WF602") && message.contains("task a"), "{expression}: {message}");
            assert!(message.len() < 100_000, "{expression}: {} bytes", message.len());
        }
        assert!(session.claim(10).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_bomb_that_a_result_sets_off_fails_its_workflow_and_no_other_of_the_batch() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "tasks:
  - {name: one, action: demo.a, on_success: two}
  - {name: two, action: demo.b, input: {x: \"{{ [1] * result_size }}\"}}
"
                .replace("result_size", "task.one.result")
                .as_str(),
            )
            .await;
        let ids = [session.start().await, session.start().await];
        let ones = session.claim_named(["one", "one"]).await;
        let begun = Instant::now();
        let words: Vec<String> = session
            .value(format!(
                "SELECT array_agg(state) FROM workflow_finish(ARRAY[
                   ROW({}, {}, 'completed', '100000000', NULL, NULL, NULL)::workflow.outcome,
                   ROW({}, {}, 'completed', '2', NULL, NULL, NULL)::workflow.outcome])",
                ones[0].task, ones[0].lease_token, ones[1].task, ones[1].lease_token
            ))
            .await;
        assert!(begun.elapsed() < SOON);
        assert_eq!(words, ["completed", "completed"]);
        session.assert_ended(ids[0], "failed", json!(null)).await;
        let [two] = session.claim_named(["two"]).await;
        assert_eq!(two.input, Some(json!({"x": [1, 1]})));
    })
    .await;
}

/// A call of the engine with an argument that is fit for each place.
const CALLS: [(&str, &[&str]); 17] = [
    ("workflow_validate", &["'x'"]),
    ("workflow_define", &["'x'"]),
    ("workflow_register_action", &["'demo.z'", "'l'", "'d'", "'e'", "1", "'{}'", "'{}'"]),
    ("workflow_start", &["'demo.w'", "'{}'", "'k'", "0", "now()", "0"]),
    ("workflow_start_many", &["'demo.w'", "ARRAY['{}']::jsonb[]", "ARRAY['k']", "0", "now()", "0"]),
    ("workflow_claim", &["'w'", "1", "ARRAY['demo.a']", "interval '1 s'", "ARRAY[0]"]),
    ("workflow_complete", &["$task", "$lease", "'1'"]),
    ("workflow_fail", &["$task", "$lease", "'1'", "'failed'", "'1'", "true", "interval '1 s'"]),
    ("workflow_finish", &["ARRAY[ROW($task, $lease, 'completed', NULL, NULL, NULL, NULL)]::workflow.outcome[]"]),
    (
        "workflow_finish_and_claim",
        &[
            "'w'",
            "ARRAY[ROW($task, $lease, 'completed', NULL, NULL, NULL, NULL)]::workflow.outcome[]",
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

/// What may come of a call: rows, or an error of ours.
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

#[tokio::test]
async fn a_role_that_may_only_work_needs_no_right_on_a_table() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        let role = db.role().await;
        session
            .run(format!(
                "GRANT USAGE ON SCHEMA workflow TO {role};
                 DO $$ DECLARE f regprocedure; BEGIN
                   FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
                     AND proname IN ('workflow_claim', 'workflow_complete', 'workflow_fail', 'workflow_finish',
                       'workflow_finish_and_claim', 'workflow_heartbeat', 'workflow_tick') LOOP
                     EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO {role}', f);
                   END LOOP; END $$"
            ))
            .await;
        let mut worker = Session { connection: db.connect_as(&role).await };
        let tasks: Vec<Task> = worker.rows("SELECT * FROM workflow_claim('w1', 1)").await;
        let held: String = worker
            .value(format!(
                "SELECT state FROM workflow_heartbeat('{{{}}}', '{{{}}}')",
                tasks[0].task, tasks[0].lease_token
            ))
            .await;
        assert_eq!(held, "held");
        let rows: Vec<(String, i64, i64)> = worker
            .rows(format!(
                "SELECT state, task, lease_token FROM workflow_finish_and_claim('w1', {})",
                outcome_array(&[(tasks[0].task, tasks[0].lease_token, "completed")])
            ))
            .await;
        assert_eq!(rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["completed", "claimed"]);
        worker.run("SELECT workflow_tick()").await;
        worker.run(format!("SELECT workflow_complete({}, {})", rows[1].1, rows[1].2)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        for denied in [
            "SELECT * FROM workflow.workflow_task_execution",
            "DELETE FROM workflow.lease",
            "SELECT workflow_start('demo.w')",
            "SELECT * FROM workflow_define('x')",
            "SELECT workflow_cancel(1)",
            "SELECT workflow.end_tasks(NULL, now())",
            "SELECT workflow.expire_leases(1, now(), NULL)",
            "SELECT workflow.make_id(0, 1)",
            "SET pg_workflow.test_now = '2020-01-01'",
            "SET pg_workflow.max_result_bytes = 1",
        ] {
            let error = worker.connection.execute(AssertSqlSafe(denied)).await.unwrap_err();
            assert_eq!(Refusal::of(error).sqlstate, "42501", "{denied}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_long_row_of_evaluations_can_be_cancelled() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define("tasks: [{name: a, action: demo.a, with_items: '{{ range(10000) | list }}', input: {x: '{{ range(100000) | list | length + item }}'}}]\n")
            .await;
        session.run("SET statement_timeout = 200").await;
        let begun = Instant::now();
        let error = session.connection.execute("SELECT workflow_start('demo.w')").await.unwrap_err();
        assert_eq!(Refusal::of(error).sqlstate, "57014");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    })
    .await;
}
