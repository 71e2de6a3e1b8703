use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};
use sqlx::Connection;

const LINEAR: &str = "tasks:\n  - {name: one, action: demo.a, on_success: two}\n  - {name: two, action: demo.b}\n";
const OTHER: &str = "tasks:\n  - {name: one, action: demo.a, on_success: other}\n  - {name: other, action: demo.c}\n";

#[tokio::test]
async fn a_definition_is_stored_with_its_pack_its_version_and_its_action() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let source = "ref: ops.deploy.eu\nlabel: Deploy\nversion: 1.2.3\ndescription: all of it\ntags: [x, y]\n\
             parameters: {properties: {n: {type: integer, default: 3}}}\noutput: {type: object}\ntasks: [{name: one}]\n";
        let row: Value = sqlx::query_scalar("SELECT to_jsonb(d) FROM workflow_define($1) AS d")
            .bind(source)
            .fetch_one(&mut session.connection)
            .await
            .unwrap();
        assert_eq!(row["ref"], "ops.deploy.eu");
        assert_eq!((&row["label"], &row["version"], &row["pack_ref"]), (&json!("Deploy"), &json!("1.2.3"), &json!("ops")));
        assert_eq!((&row["description"], &row["tags"]), (&json!("all of it"), &json!(["x", "y"])));
        assert_eq!(row["param_schema"]["properties"]["n"]["default"], 3);
        assert_eq!((&row["out_schema"], &row["enabled"]), (&json!({"type": "object"}), &json!(true)));
        let stored: Value = session
            .value(
                "SELECT jsonb_build_array(v.number, v.sha256 = sha256(convert_to(v.source, 'UTF8')), v.definition = d.definition,
                   p.ref, a.is_workflow, a.workflow_def = d.id, a.param_schema = d.param_schema, a.label)
                 FROM workflow.workflow_definition d
                 JOIN workflow.workflow_definition_version v ON v.id = d.current_version
                 JOIN workflow.pack p ON p.id = d.pack
                 JOIN workflow.action a ON a.ref = d.ref AND a.pack = d.pack",
            )
            .await;
        assert_eq!(stored, json!([1, true, true, "ops", true, true, true, "Deploy"]));
        let kept: String = session.value("SELECT source FROM workflow.workflow_definition_version").await;
        assert_eq!(kept, source);
    })
    .await;
}

#[tokio::test]
async fn text_that_is_the_current_version_to_the_letter_changes_nothing() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(LINEAR).await;
        let before: Value = session.value("SELECT to_jsonb(d) FROM workflow.workflow_definition d").await;
        session.at(60.0).await;
        session.define(LINEAR).await;
        assert_eq!(session.value::<Value>("SELECT to_jsonb(d) FROM workflow.workflow_definition d").await, before);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.workflow_definition_version").await, 1);
    })
    .await;
}

#[tokio::test]
async fn other_text_makes_the_next_version_and_going_back_makes_another() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for rest in [LINEAR, OTHER, LINEAR] {
            session.define(rest).await;
        }
        let numbers: Vec<i32> =
            session.value("SELECT array_agg(number ORDER BY id) FROM workflow.workflow_definition_version").await;
        assert_eq!(numbers, [1, 2, 3]);
        let current: i32 = session
            .value(
                "SELECT v.number FROM workflow.workflow_definition d
                 JOIN workflow.workflow_definition_version v ON v.id = d.current_version AND v.definition = d.definition",
            )
            .await;
        assert_eq!(current, 3);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.workflow_definition").await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_execution_keeps_the_version_it_began_with() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let old = session.begin(LINEAR).await;
        session.define(OTHER).await;
        let new = session.start().await;
        // Also in another backend, which has not cached the graph.
        let mut other = Session::new(db).await;
        for task in session.claim_named(["one", "one"]).await {
            other.complete(&task, json!(null)).await;
        }
        let names: Vec<String> = session.claim_named(["other", "two"]).await.map(|task| task.action).into();
        assert_eq!(names, ["demo.c", "demo.b"]);
        let graph: String = session.value(format!("SELECT workflow_graph({old})")).await;
        assert!(graph.contains("two") && !graph.contains("other"), "{graph}");
        let graph: String = session.value(format!("SELECT workflow_graph({new})")).await;
        assert!(graph.contains("other") && !graph.contains("two"), "{graph}");
    })
    .await;
}

#[tokio::test]
async fn versions_count_without_a_gap_when_many_define_at_once() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.register_actions().await;
        let define = |number: usize| async move {
            let mut session = Session::new(db).await;
            for round in 0..5 {
                let rest = format!("description: '{number} {round}'\n{LINEAR}");
                let define = sqlx::query("SELECT ref FROM workflow_define($1)").bind(source("demo.w", &rest));
                define.execute(&mut session.connection).await.unwrap();
            }
        };
        tokio::join!(define(0), define(1), define(2), define(3));
        let numbers: Vec<i32> =
            session.value("SELECT array_agg(number ORDER BY number) FROM workflow.workflow_definition_version").await;
        assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_definition_with_errors_is_refused_with_code_place_and_all_findings() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.register_actions().await;
        let head = "ref: demo.w\nlabel: W\nversion: 1.0.0\n";
        for (source, sqlstate, code, text, line, column) in [
            ("ref: [".to_owned(), "22023", "WF001", "", 1, 0),
            ("just text".into(), "22023", "WF005", "", 1, 1),
            (String::new(), "22023", "WF001", "", 1, 1),
            (format!("{head}label: V\ntasks: [{{name: a}}]\n"), "22023", "WF002", "label", 4, 1),
            (
                format!("{head}tasks:\n  - {{name: a, actoin: demo.a}}\n"),
                "22023",
                "WF003",
                "Did you mean `action`",
                5,
                15,
            ),
            (
                format!("{head}tasks: [{{name: a}}]\nouput_map: []\n"),
                "22023",
                "WF003",
                "Did you mean `output_map`?",
                5,
                1,
            ),
            ("ref: demo.w\nversion: 1.0.0\ntasks: [{name: a}]\n".into(), "22023", "WF004", "label", 1, 1),
            (format!("{head}tasks: 5\n"), "22023", "WF005", "tasks", 4, 8),
            ("ref: Demo W\nlabel: W\nversion: 1.0.0\ntasks: [{name: a}]\n".into(), "22023", "WF007", "Demo W", 1, 6),
            ("ref: demo\nlabel: W\nversion: 1.0.0\ntasks: [{name: a}]\n".into(), "22023", "WF007", "demo", 1, 6),
            (format!("{head}tasks: []\n"), "22023", "WF101", "", 4, 8),
            (format!("{head}tasks:\n  - {{name: a, on_success: nowhere}}\n"), "22023", "WF104", "nowhere", 5, 27),
            (format!("{head}tasks:\n  - {{name: a, when: '{{{{ 1 + }}}}'}}\n"), "22023", "WF301", "", 5, 0),
            (format!("{head}tasks:\n  - {{name: a, when: '{{{{ vars.x }}}}'}}\n"), "22023", "WF302", "x", 5, 0),
            (format!("{head}parameters: {{type: strange}}\ntasks: [{{name: a}}]\n"), "22023", "WF401", "", 4, 0),
            (format!("{head}tasks:\n  - {{name: a, action: demo.none}}\n"), "22023", "WF501", "demo.none", 5, 23),
        ] {
            let refusal = session.refused(format!("SELECT * FROM workflow_define($source${source}$source$)")).await;
            assert_eq!(refusal.code(), (sqlstate, code), "{source}\n{refusal:#?}");
            let said = format!("{} {}", refusal.message, refusal.hint);
            assert!(said.contains(text), "{source}: {refusal:#?}");
            let findings = refusal.json();
            let first = &findings.as_array().unwrap().iter().find(|finding| finding["severity"] == "error").unwrap();
            assert_eq!(first["code"], code, "{source}");
            assert_eq!(first["line"], line, "{source}: {findings:#}");
            assert!(column == 0 || first["column"] == column, "{source}: {findings:#}");
            assert!(refusal.message.contains(&format!("at line {line} column ")), "{refusal:#?}");
        }
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.workflow_definition").await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_detail_has_every_finding_warnings_too_and_validate_gives_the_same() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.register_actions().await;
        let text = source(
            "demo.w",
            "tasks:\n  - {name: a, action: demo.a, on_success: [b, nowhere]}\n  - {name: b, actoin: demo.b, join: all}\n",
        );
        let refusal = session.refused(format!("SELECT * FROM workflow_define($y${text}$y$)")).await;
        let found: Vec<(String, String, i32, i32)> = sqlx::query_as(
            "SELECT code, severity, line, \"column\" FROM workflow_validate($1) WITH ORDINALITY AS f
             ORDER BY f.ordinality",
        )
        .bind(&text)
        .fetch_all(&mut session.connection)
        .await
        .unwrap();
        let detail: Vec<(String, String, i32, i32)> = refusal
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|f| serde_json::from_value(json!([f["code"], f["severity"], f["line"], f["column"]])).unwrap())
            .collect();
        assert_eq!(detail, found);
        let codes: Vec<&str> = found.iter().map(|(code, ..)| code.as_str()).collect();
        assert!(codes.contains(&"WF104") && codes.contains(&"WF003") && codes.contains(&"WF108"), "{codes:?}");
        assert!(found.is_sorted_by_key(|(_, _, line, column)| (*line, *column)), "{found:?}");
        assert!(refusal.message.contains("(and 1 more)"), "{refusal:#?}");
    })
    .await;
}

#[tokio::test]
async fn warnings_keep_no_definition_from_being_stored() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:\n  - {name: a, action: demo.a, on_success: b}\n  - {name: b, action: demo.b, join: all}\n";
        session.define(rest).await;
        let found: Vec<(String, String)> = sqlx::query_as("SELECT code, severity FROM workflow_validate($1)")
            .bind(source("demo.w", rest))
            .fetch_all(&mut session.connection)
            .await
            .unwrap();
        assert_eq!(found, [("WF108".into(), "warning".into())]);
    })
    .await;
}

#[tokio::test]
async fn a_null_source_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for call in ["workflow_define(NULL)", "workflow_validate(NULL)"] {
            let refusal = session.refused(format!("SELECT * FROM {call}")).await;
            assert_eq!(refusal.code(), ("22023", "WF613"));
            assert_eq!(refusal.message, "WF613: source is null");
        }
    })
    .await;
}

#[tokio::test]
async fn a_definition_lives_and_dies_with_the_callers_transaction() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.register_actions().await;
        let mut transaction = session.connection.begin().await.unwrap();
        let id = |text: String| sqlx::query_scalar::<_, i64>("SELECT id FROM workflow_define($1)").bind(text);
        id(source("demo.w", LINEAR)).fetch_one(&mut *transaction).await.unwrap();
        sqlx::query("SELECT workflow_start('demo.w')").execute(&mut *transaction).await.unwrap();
        transaction.rollback().await.unwrap();
        assert_eq!(session.refused("SELECT workflow_start('demo.w')").await.code(), ("P0002", "WF616"));
        // The same backend has cached nothing that was rolled back.
        session.begin(OTHER).await;
        session.work("one", json!(null)).await;
        session.work("other", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn an_action_is_registered_anew_with_everything_replaced_but_never_over_a_workflow() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let ids: (i64, i64) = (
            session
                .value("SELECT id FROM workflow_register_action('ci.build', 'Build', 'of all', 'build.sh', 7, '{\"type\": \"object\"}')")
                .await,
            session.value("SELECT id FROM workflow_register_action('ci.build')").await,
        );
        assert_eq!(ids.0, ids.1);
        let row: Value = session.value("SELECT to_jsonb(a) FROM workflow.action a WHERE ref = 'ci.build'").await;
        assert_eq!((&row["label"], &row["description"], &row["entrypoint"]), (&json!("ci.build"), &json!(""), &json!("")));
        assert_eq!((&row["runtime"], &row["param_schema"], &row["pack_ref"]), (&json!(null), &json!(null), &json!("ci")));
        session.define(LINEAR).await;
        let refusal = session.refused("SELECT * FROM workflow_register_action('demo.w')").await;
        assert_eq!(refusal.code(), ("23505", "WF617"));
        for wrong in ["''", "'build'", "'Ci.build'", "'ci.'", "'ci.build '", "'ci.a b'", "'.build'", "'ci.é'", "NULL"] {
            let refusal = session.refused(format!("SELECT * FROM workflow_register_action({wrong})")).await;
            assert_eq!(refusal.code(), ("22023", "WF613"), "{wrong}");
        }
    })
    .await;
}

#[tokio::test]
async fn literal_input_is_checked_against_the_actions_schema() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .run(
                "SELECT workflow_register_action('ci.build', param_schema =>
                   '{\"type\": \"object\", \"required\": [\"app\"], \"properties\": {\"app\": {\"type\": \"string\"}}, \"additionalProperties\": false}')",
            )
            .await;
        for (input, code) in [("{}", "WF503"), ("{app: x, b: 1}", "WF504"), ("{app: 5}", "WF505")] {
            let text = source("ci.w", &format!("tasks:\n  - {{name: a, action: ci.build, input: {input}}}\n"));
            let refusal = session.refused(format!("SELECT * FROM workflow_define($y${text}$y$)")).await;
            assert_eq!(refusal.code(), ("22023", code), "{refusal:#?}");
        }
    })
    .await;
}
