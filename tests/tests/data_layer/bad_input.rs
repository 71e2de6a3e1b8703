use crate::fixture::*;
use pg_workflow_client::Error;
use pg_workflow_client::repository::*;
use pg_workflow_tests::{Database, with_database};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};

/// A function of the API.
#[derive(FromRow)]
struct Function {
    name: String,
    types: Vec<String>,
}

async fn api(db: &Database) -> Vec<Function> {
    sqlx::query_as(
        "SELECT p.proname::text AS name,
           ARRAY(SELECT format_type(type, NULL) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, place)
                 ORDER BY place) AS types
         FROM pg_proc AS p
         WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ '^workflow_' AND p.prokind = 'f'
         ORDER BY 1, 2",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap()
}

/// Returns all stored data.
async fn contents(session: &mut PgConnection) -> Value {
    sqlx::query_scalar(
        "SELECT jsonb_build_array(
           (SELECT jsonb_agg(t) FROM workflow.pack AS t), (SELECT jsonb_agg(t) FROM workflow.action AS t),
           (SELECT jsonb_agg(t) FROM workflow.workflow_definition AS t),
           (SELECT jsonb_agg(t) FROM workflow.workflow_definition_version AS t),
           (SELECT jsonb_agg(t) FROM workflow.execution AS t), (SELECT jsonb_agg(t) FROM workflow.workflow_execution AS t),
           (SELECT jsonb_agg(t) FROM workflow.workflow_task_execution AS t), (SELECT jsonb_agg(t) FROM workflow.lease AS t),
           (SELECT jsonb_agg(t) FROM workflow.event AS t),
           (SELECT jsonb_agg(t) FROM workflow.schedule AS t))",
    )
    .fetch_one(session)
    .await
    .unwrap()
}

/// Acceptable answers to a bad argument: rows, or an error that a caller can understand.
async fn answer(session: &mut PgConnection, call: &str) {
    let mut transaction = session.begin().await.unwrap();
    let before = contents(&mut transaction).await;
    let mut savepoint = transaction.begin().await.unwrap();
    let result = sqlx::query(AssertSqlSafe(call)).fetch_all(&mut *savepoint).await;
    match result {
        Ok(_) => {
            savepoint.commit().await.unwrap();
        }
        Err(sqlx::Error::Database(error)) => {
            savepoint.rollback().await.unwrap();
            let sqlstate = error.code().unwrap_or_default().into_owned();
            let known = ["22", "23", "42501", "54", "55000", "55006", "P0002"];
            assert!(known.iter().any(|class| sqlstate.starts_with(class)), "{call}: {sqlstate} {error}");
            assert!(error.message().starts_with("WF"), "{call}: no code of ours: {error}");
        }
        Err(error) => panic!("{call}: {error}"),
    }
    assert_eq!(contents(&mut transaction).await, before, "{call} changed something");
    transaction.rollback().await.unwrap();
}

async fn some_of_everything(db: &Database) {
    let run = any_run(db).await;
    task(db, &run, "build").await;
    let pack = PackRepository::find_by_ref(&db.pool, "ci").await.unwrap().unwrap();
    action(db, &pack, "build").await;
}

#[tokio::test]
async fn null_for_every_argument_is_answered_and_changes_nothing() {
    with_database(async |db| {
        some_of_everything(db).await;
        let mut session = db.connect().await;
        for function in api(db).await.iter().filter(|function| !function.types.is_empty()) {
            let nulls: Vec<String> = function.types.iter().map(|r#type| format!("NULL::{type}")).collect();
            answer(&mut session, &format!("SELECT * FROM pg_catalog.{}({})", function.name, nulls.join(", "))).await;
        }
    })
    .await;
}

#[tokio::test]
async fn null_for_a_required_argument_names_it() {
    with_database(async |db| {
        let message = async |call: &str| {
            let error = sqlx::query(AssertSqlSafe(call)).fetch_all(&db.pool).await.unwrap_err();
            refused::<()>(Err(error.into()))
        };
        for (call, argument) in [
            ("workflow_find_pack(NULL)", "id"),
            ("workflow_find_pack_by_ref(NULL)", "ref"),
            ("workflow_find_definitions_by_tag(NULL)", "tag"),
            ("workflow_find_workflow_executions_by_status(NULL)", "status"),
            ("workflow_find_task_executions_by_task_name(1, NULL)", "name"),
            ("workflow_link_action(NULL, 1)", "action_id"),
            ("workflow_link_action(1, NULL)", "workflow_def_id"),
            ("workflow_create_pack(NULL, 'x', '1')", "ref"),
            ("workflow_create_pack('ci', NULL, '1')", "label"),
            ("workflow_create_pack('ci', 'x', NULL)", "version"),
            ("workflow_create_pack('ci', 'x', '1', meta => NULL)", "meta"),
            ("workflow_create_pack('ci', 'x', '1', tags => NULL)", "tags"),
            ("workflow_create_pack('ci', 'x', '1', is_standard => NULL)", "is_standard"),
            ("workflow_update_pack(NULL, '{}')", "id"),
            ("workflow_update_pack(1, NULL)", "patch"),
            ("workflow_delete_pack(NULL)", "id"),
            ("workflow_create_execution(NULL)", "action_ref"),
            ("workflow_create_task_execution(NULL, 'x')", "workflow_execution"),
        ] {
            assert_eq!(
                message(&format!("SELECT * FROM {call}")).await,
                format!("Validation WF613 {argument} is null"),
                "{call}"
            );
        }
        assert_eq!(
            message("SELECT * FROM workflow_list_packs(NULL)").await,
            "Validation WF613 max_rows is out of range"
        );
    })
    .await;
}

#[tokio::test]
async fn text_that_tries_to_be_sql_stays_text() {
    with_database(async |db| {
        some_of_everything(db).await;
        let mut session = db.connect().await;
        let evil = "'''; DROP SCHEMA workflow CASCADE; --'";
        let some = |r#type: &str| match r#type {
            "text" => evil.to_owned(),
            "text[]" => format!("ARRAY[{evil}]"),
            "jsonb" => format!("to_jsonb({evil}::text)"),
            "boolean" => "true".into(),
            "workflow.execution_status" => "'running'".into(),
            "timestamp with time zone" => "now()".into(),
            "interval" => "'1 s'".into(),
            "bigint" | "integer" => "1".into(),
            other => format!("NULL::{other}"),
        };
        for function in
            api(db).await.iter().filter(|function| function.types.iter().any(|r#type| r#type.starts_with("text")))
        {
            let values: Vec<String> = function.types.iter().map(|r#type| some(r#type)).collect();
            let call = format!("SELECT * FROM pg_catalog.{}({})", function.name, values.join(", "));
            // The effects of these functions are checked below; this only checks that nothing else changes.
            if function.name.contains("_create_") {
                let mut transaction = session.begin().await.unwrap();
                if let Err(error) = sqlx::query(AssertSqlSafe(call.as_str())).fetch_all(&mut *transaction).await {
                    assert!(Error::from(error).code().is_some(), "{call}");
                }
                transaction.rollback().await.unwrap();
            } else {
                answer(&mut session, &call).await;
            }
        }
        let name = "'; DROP SCHEMA workflow CASCADE; --";
        let made = pack(db, "evil").await;
        let input = pg_workflow_client::model::UpdatePackInput {
            label: Some(name.into()),
            description: name.to_owned().into(),
            tags: Some(vec![name.into(), "{}\",\\".into()]),
            ..Default::default()
        };
        let updated = PackRepository::update(&db.pool, made.id, input).await.unwrap();
        assert_eq!((updated.label.as_str(), updated.description.as_deref()), (name, Some(name)));
        assert_eq!(updated.tags, [name, "{}\",\\"]);
    })
    .await;
}

#[tokio::test]
async fn a_patch_with_a_wrong_key_or_type_is_refused_by_name() {
    with_database(async |db| {
        let run = any_run(db).await;
        let task = task(db, &run, "build").await;
        let refusal = async |table: &str, id: i64, patch: Value| {
            let call = format!("SELECT * FROM pg_catalog.workflow_update_{table}($1, $2)");
            let result = sqlx::query(AssertSqlSafe(call)).bind(id).bind(patch).fetch_all(&db.pool).await;
            let error = Error::from(result.map(drop).unwrap_err());
            let refusal = error.refusal().unwrap();
            assert_eq!((refusal.sqlstate.as_str(), refusal.code.as_deref()), ("22023", Some("WF613")), "{error}");
            format!("{}; {}", refusal.message, refusal.detail.clone().unwrap_or_default())
        };
        for (patch, expected) in [
            (json!([]), "patch must be a JSON object; It is of type array."),
            (json!("x"), "patch must be a JSON object; It is of type string."),
            (json!({"labell": "x"}), "the patch has an unknown key; The key is \"labell\"."),
            (json!({"": "x"}), "the patch has an unknown key; The key is \"\"."),
            (json!({"ctid": "x"}), "the patch has an unknown key; The key is \"ctid\"."),
            (json!({"label": "x", "'; DROP": 1}), "the patch has an unknown key; The key is \"'; DROP\"."),
            (json!({"ref": "x"}), "ref cannot be changed; "),
            (json!({"id": 2}), "id cannot be changed; "),
            (json!({"created": "2020-01-01"}), "created cannot be changed; "),
            (json!({"label": null}), "label is null; "),
            (json!({"meta": null}), "meta is null; "),
            (json!({"label": 1}), "label is not of type text; label is 1."),
            (json!({"label": {"a": 1}}), "label is not of type text; label is {\"a\": 1}."),
            (json!({"is_standard": "true"}), "is_standard is not of type boolean; is_standard is \"true\"."),
            (json!({"tags": "x"}), "tags is not of type text[]; tags is \"x\"."),
            (json!({"tags": ["x", null]}), "tags is not of type text[]; tags is [\"x\", null]."),
            (json!({"tags": [["x"]]}), "tags is not of type text[]; tags is [[\"x\"]]."),
        ] {
            assert_eq!(refusal("pack", 1, patch).await, expected);
        }
        for (patch, expected) in [
            (json!({"retry_count": "1"}), "retry_count is not of type integer; retry_count is \"1\"."),
            (json!({"retry_count": 1.5}), "retry_count is not of type integer; retry_count is 1.5."),
            (json!({"retry_count": 2147483648i64}), "retry_count is not of type integer; retry_count is 2147483648."),
            (json!({"retry_count": -1}), "retry_count must not be negative; retry_count is -1."),
            (
                json!({"duration_ms": 1e30}),
                "duration_ms is not of type bigint; duration_ms is 1000000000000000000000000000000.",
            ),
            (json!({"status": "done"}), "status is not of type workflow.execution_status; status is \"done\"."),
            (json!({"status": null}), "status is null; "),
            (
                json!({"started_at": "soon"}),
                "started_at is not of type timestamp with time zone; started_at is \"soon\".",
            ),
            (json!({"started_at": 1}), "started_at is not of type timestamp with time zone; started_at is 1."),
            (
                json!({"started_at": "infinity"}),
                "started_at is not of type timestamp with time zone; started_at is \"infinity\".",
            ),
            (json!({"lease": 1}), "lease cannot be changed; "),
            (json!({"queue_at": "2020-01-01"}), "queue_at cannot be changed; "),
            (json!({"part": 1}), "part cannot be changed; "),
        ] {
            assert_eq!(refusal("task_execution", task.id, patch).await, expected);
        }
        let unchanged = WorkflowTaskExecutionRepository::find_by_id(&db.pool, task.id).await.unwrap();
        assert_eq!(unchanged, Some(task));
    })
    .await;
}

#[tokio::test]
async fn a_value_that_is_too_large_is_an_error_and_nothing_more() {
    with_database(async |db| {
        // Longer than a key of an index may be.
        let long = format!("a{}", "b".repeat(1 << 20));
        let input = pg_workflow_client::model::CreatePackInput {
            r#ref: long.clone(),
            label: "x".into(),
            version: "1".into(),
            ..Default::default()
        };
        let error = PackRepository::create(&db.pool, input).await.unwrap_err();
        assert_eq!(error.to_string(), format!("WF613: ref is too long (It has {} bytes.)", long.len()));
        let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
        let made = pack(db, "ci").await;
        let call = "SELECT id FROM pg_catalog.workflow_update_pack($1, jsonb_build_object('config', $2::text::jsonb))";
        sqlx::query(call).bind(made.id).bind(deep).fetch_all(&db.pool).await.unwrap();
        let found: bool = sqlx::query_scalar("SELECT config IS NOT NULL FROM workflow.pack WHERE id = $1")
            .bind(made.id)
            .fetch_one(&db.pool)
            .await
            .unwrap();
        assert!(found);
    })
    .await;
}
