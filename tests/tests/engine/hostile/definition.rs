//! Definitions, and expressions in them, that are bombs or anything but definitions.

use super::{SOON, refused_soon};
use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;
use sqlx::Executor;
use std::time::Instant;

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
        // The server itself refuses input that is not text.
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
                // Refusing it when it is stored is just as good.
                assert!(Refusal::of(error).message.starts_with("WF"), "{expression}");
                continue;
            }
            let begun = Instant::now();
            let start = "SELECT workflow_start('demo.w', $1, run_at => workflow.now())";
            let start = sqlx::query_scalar(start).bind(json!({"list": [1], "text": digits}));
            let id: i64 = start.fetch_one(&mut session.connection).await.unwrap();
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
                   ROW({}, {}, 'completed', '100000000', NULL, NULL, NULL, NULL, NULL)::workflow.outcome,
                   ROW({}, {}, 'completed', '2', NULL, NULL, NULL, NULL, NULL)::workflow.outcome])",
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

#[tokio::test]
async fn a_session_is_usable_after_an_evaluation_was_cancelled() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let walk = "{% for i in range(100000) %}{% for k in parameters.l %}{% set x = parameters.l | sort %}{% endfor %}{% endfor %}";
        session
            .define(&format!(
                "parameters: {{properties: {{l: {{items: {{type: integer}}}}}}}}\nvars: [{{x: '{walk}'}}]\ntasks: [{{name: a, action: demo.a}}]\n"
            ))
            .await;
        session.run("SET pg_workflow.template_fuel = 1000000000").await;
        for _ in 0..3 {
            session.run("SET statement_timeout = 200").await;
            let start = "SELECT workflow_start('demo.w', (SELECT jsonb_build_object('l', jsonb_agg(i)) FROM generate_series(1, 1000) i))";
            let error = session.connection.execute(start).await.unwrap_err();
            assert_eq!(Refusal::of(error).sqlstate, "57014");
            session.run("SET statement_timeout = 0").await;
            // The same graph, cached by the session.
            session.start_with(json!({"l": []})).await;
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
