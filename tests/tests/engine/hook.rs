//! Executions whose end starts others, notifications of ends, and rows that start workflows.

use crate::fixture::*;
use pg_workflow_client::model::{ExecutionStatus, Hook, HookInput};
use pg_workflow_client::{Engine, Error, Page};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};
use sqlx::postgres::PgListener;
use std::time::Duration;

const ONE: &str = "tasks: [{name: a, action: demo.a}]";

const TIDY: &str = "parameters: {type: object, required: [execution, status], properties: {execution: {type: string}, status: {type: string}}}
tasks: [{name: tidy, action: demo.b, input: {of: '{{ parameters.execution }}', because: '{{ parameters.status }}'}}]";

async fn on_end(session: &mut Session, input: HookInput) -> Hook {
    Engine::on_end(&mut session.connection, input).await.unwrap_or_else(|error| panic!("{error}"))
}

fn hook(name: &str) -> HookInput {
    HookInput { name: name.into(), start_workflow: "demo.tidy".into(), ..Default::default() }
}

/// Returns ids and parameters of the executions of a workflow, in order.
async fn started(session: &mut Session, workflow: &str) -> Vec<(i64, Value)> {
    session.rows(format!("SELECT id, config FROM workflow.execution WHERE action_ref = '{workflow}' ORDER BY id")).await
}

async fn events(session: &mut Session, execution: i64, kind: &str) -> Vec<(Option<String>, Value)> {
    session
        .rows(format!(
            "SELECT message, detail FROM workflow_list_events({execution}) WHERE kind = '{kind}' ORDER BY id"
        ))
        .await
}

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String,)> = session.rows("SELECT c::text FROM workflow_check() AS c").await;
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test]
async fn an_end_starts_what_the_hook_says_once_per_end_and_in_the_same_transaction() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.tidy", TIDY).await;
        session.define(ONE).await;
        let statuses = Some(vec![ExecutionStatus::Failed]);
        on_end(&mut session, HookInput { statuses, workflow_pattern: Some("demo.w*".into()), ..hook("tidy") }).await;
        let good = session.start().await;
        session.work("a", json!(1)).await;
        session.assert_ended(good, "completed", json!(null)).await;
        assert_eq!(started(&mut session, "demo.tidy").await, [], "it did not fail");
        let id: i64 = session.value("SELECT workflow_start('demo.w', '{\"n\": 1}', part => 3)").await;
        for end in 1..=2 {
            let [task] = session.claim_named(["a"]).await;
            session.run("BEGIN").await;
            session.fail(&task, json!({"message": "no"})).await;
            assert_eq!(started(&mut session, "demo.tidy").await.len(), 1);
            session.run("ROLLBACK").await;
            assert_eq!(started(&mut session, "demo.tidy").await, [], "what did not end has started nothing");
            session.fail(&task, json!({"message": "no"})).await;
            let tidies = started(&mut session, "demo.tidy").await;
            assert_eq!(tidies.len(), 1);
            let (tidy, parameters) = &tidies[0];
            assert_eq!(tidy >> 48, 3, "in the same part");
            assert_eq!(parameters["execution"], json!(id.to_string()));
            assert_eq!((&parameters["workflow"], &parameters["status"]), (&json!("demo.w"), &json!("failed")));
            assert_eq!((&parameters["hook"], &parameters["parameters"]), (&json!("tidy"), &json!({"n": 1})));
            assert_eq!(parameters["errors"][0]["task"], json!("a"));
            assert!(parameters["error_message"].is_string());
            let seen = events(&mut session, id, "hook").await;
            assert_eq!(seen.len(), end, "a rerun's end counts again");
            let expected = json!({"hook": "tidy", "workflow": "demo.tidy", "execution": tidy.to_string()});
            assert_eq!(seen[end - 1], (None, expected));
            let [task] = session.claim_named(["tidy"]).await;
            assert_eq!(task.input, Some(json!({"of": id.to_string(), "because": "failed"})));
            session.complete(&task, json!(null)).await;
            session.run(format!("SELECT workflow_update_execution({tidy}, '{{}}')")).await;
            session.run(format!("DELETE FROM workflow.execution WHERE id = {tidy}")).await;
            session.run(format!("SELECT workflow_rerun({id})")).await;
        }
        assert_sound(&mut session).await;
    })
    .await;
}

/// An execution matches the attributes of a hook if it has at least these, from whatever source.
#[tokio::test]
async fn a_hook_asks_for_attributes() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.tidy", TIDY).await;
        session.define(&format!("attributes: {{kind: order}}\n{ONE}")).await;
        let attributes = Some(json!({"tenant": "acme", "kind": "order"}));
        on_end(&mut session, HookInput { attributes, ..hook("tidy") }).await;
        for (given, counts) in [
            ("NULL", false),
            (r#"'{"tenant": "other"}'"#, false),
            (r#"'{"tenant": ["acme"]}'"#, false),
            (r#"'{"tenant": "acme", "kind": "refund"}'"#, false),
            (r#"'{"tenant": "acme", "more": 1}'"#, true),
        ] {
            let id: i64 = session.value(format!("SELECT workflow_start('demo.w', attributes => {given})")).await;
            session.work("a", json!(null)).await;
            let tidied: Vec<i64> = started(&mut session, "demo.tidy").await.into_iter().map(|(id, _)| id).collect();
            assert_eq!(tidied.len(), usize::from(counts), "{given}");
            assert_eq!(events(&mut session, id, "hook").await.len(), usize::from(counts), "{given}");
        }
        // Attributes that are set later count as well.
        let id = session.start().await;
        session.run(format!(r#"SELECT workflow_set_attributes({id}, '{{"tenant": "acme"}}')"#)).await;
        let [task] =
            session.rows::<Task>("SELECT * FROM workflow_claim('w1', 10, '{demo.a}')").await.try_into().unwrap();
        session.complete(&task, json!(null)).await;
        assert_eq!(started(&mut session, "demo.tidy").await.len(), 2);
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn only_what_nobody_called_has_an_end_that_counts_and_a_cancel_is_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.tidy", TIDY).await;
        session.define(ONE).await;
        session.define_as("demo.parent", "tasks: [{name: call, action: demo.w}]").await;
        on_end(&mut session, HookInput { workflow_pattern: Some("demo.w".into()), ..hook("tidy") }).await;
        let parent: i64 = session.value("SELECT workflow_start('demo.parent')").await;
        session.work("a", json!(1)).await;
        session.assert_ended(parent, "completed", json!(null)).await;
        assert_eq!(started(&mut session, "demo.tidy").await, []);
        let other = HookInput { statuses: Some(vec![ExecutionStatus::Cancelled]), ..hook("cancelled") };
        on_end(&mut session, other).await;
        let id = session.start().await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        let of: Vec<Value> =
            started(&mut session, "demo.tidy").await.into_iter().map(|(_, p)| p["hook"].clone()).collect();
        assert_eq!(of, ["tidy", "cancelled"], "in the order of hooks");
        assert!(Engine::remove_hook(&mut session.connection, "tidy").await.unwrap());
        assert!(!Engine::remove_hook(&mut session.connection, "tidy").await.unwrap());
        let mut other = Session::new(db).await;
        let hooks = Engine::list_hooks(&mut other.connection, Page::default()).await.unwrap();
        assert_eq!(hooks.iter().map(|hook| hook.name.as_str()).collect::<Vec<_>>(), ["cancelled"]);
        assert_eq!(Engine::find_hook(&mut other.connection, "cancelled").await.unwrap().as_ref(), hooks.first());
        assert_eq!(Engine::find_hook(&mut other.connection, "tidy").await.unwrap(), None);
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_hook_of_another_session_counts_from_its_commit_on() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.tidy", TIDY).await;
        for count in 0..3 {
            session.begin(ONE).await;
            session.work("a", json!(1)).await;
            assert_eq!(started(&mut session, "demo.tidy").await.len(), usize::from(count >= 1));
            session.run("SELECT workflow_cancel(id) FROM workflow.execution WHERE action_ref = 'demo.tidy'").await;
            let mut other = Session::new(db).await;
            match count {
                0 => drop(
                    on_end(&mut other, HookInput { workflow_pattern: Some("demo.w".into()), ..hook("tidy") }).await,
                ),
                _ => other.run("SELECT workflow_remove_hook('tidy')").await,
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_hook_that_cannot_start_is_an_event_and_fails_no_report() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define_as(
                "demo.tidy",
                "parameters: {type: object, required: [nothing_like_it]}\ntasks: [{name: t, action: demo.b}]",
            )
            .await;
        session.define_as("demo.gone", ONE).await;
        on_end(&mut session, hook("strict")).await;
        on_end(&mut session, HookInput { start_workflow: "demo.gone".into(), ..hook("gone") }).await;
        session.run("UPDATE workflow.hook SET start_workflow = 'demo.never' WHERE name = 'gone'").await;
        let id = session.begin(ONE).await;
        session.work("a", json!(1)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        let failed = events(&mut session, id, "hook_failed").await;
        let codes: Vec<(&str, &Value)> =
            failed.iter().map(|(message, detail)| (&message.as_deref().unwrap()[..5], &detail["hook"])).collect();
        assert_eq!(codes, [("WF601", &json!("strict")), ("WF616", &json!("gone"))]);
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_start_by_a_hook_that_is_skipped_has_not_failed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define_as("demo.tidy", "concurrency: {max: 1, when_full: skip}\ntasks: [{name: t, action: demo.b}]")
            .await;
        on_end(&mut session, hook("tidy")).await;
        session.define(ONE).await;
        for skipped in [false, true] {
            let id = session.start().await;
            session.run("SELECT workflow_claim('w', 1, '{demo.a}')").await;
            session.run(format!("SELECT workflow_complete(t.id, t.lease) FROM workflow.workflow_task_execution t WHERE t.workflow_execution = {id}")).await;
            session.assert_ended(id, "completed", json!(null)).await;
            assert!(events(&mut session, id, "hook_failed").await.is_empty());
            let heard = events(&mut session, id, "hook").await;
            let [(message, detail)] = &heard[..] else { panic!("{heard:?}") };
            assert_eq!(detail.get("execution").is_none(), skipped);
            let words = "skipped: workflow demo.tidy has reached its maximum number of running executions";
            assert_eq!(message.as_deref(), skipped.then_some(words));
        }
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_hook_that_leads_to_itself_comes_to_an_end() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        // One ends when a worker has done its task, the other immediately.
        session.define_as("demo.echo", "tasks: [{name: nothing}]").await;
        on_end(
            &mut session,
            HookInput { workflow_pattern: Some("demo.w".into()), start_workflow: "demo.w".into(), ..hook("slow") },
        )
        .await;
        on_end(
            &mut session,
            HookInput {
                workflow_pattern: Some("demo.echo".into()),
                start_workflow: "demo.echo".into(),
                ..hook("fast")
            },
        )
        .await;
        session.start().await;
        let mut ends = 0;
        while let [task] = &session.claim(10).await[..] {
            session.complete(task, json!(null)).await;
            ends += 1;
        }
        assert_eq!(ends, 11);
        let first: i64 = session.value("SELECT workflow_start('demo.echo', run_at => workflow.now())").await;
        let chain = started(&mut session, "demo.echo").await;
        assert_eq!(chain.len(), 11);
        assert_eq!(chain[0].0, first);
        for workflow in ["demo.w", "demo.echo"] {
            let (last, _) = started(&mut session, workflow).await.pop().unwrap();
            let failed = events(&mut session, last, "hook_failed").await;
            assert!(failed.len() == 1 && failed[0].0.as_ref().unwrap().starts_with("WF614"), "{failed:?}");
        }
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn an_invalid_hook_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        for (arguments, code) in [
            ("NULL, NULL, NULL, NULL, 'demo.w'", ("22023", "WF613")),
            ("'', NULL, NULL, NULL, 'demo.w'", ("22023", "WF613")),
            ("'h', '{running}', NULL, NULL, 'demo.w'", ("22023", "WF613")),
            ("'h', '{}', NULL, NULL, 'demo.w'", ("22023", "WF613")),
            ("'h', '{NULL}', NULL, NULL, 'demo.w'", ("22023", "WF613")),
            ("'h', '{{failed},{timeout}}', NULL, NULL, 'demo.w'", ("22023", "WF613")),
            ("'h', NULL, 'Demo%', NULL, 'demo.w'", ("22023", "WF613")),
            ("'h', NULL, repeat('x', 1001), NULL, 'demo.w'", ("22023", "WF613")),
            ("'h', NULL, NULL, '[1]', 'demo.w'", ("22023", "WF613")),
            ("'h'", ("22023", "WF613")),
            ("'h', NULL, NULL, NULL, 'demo.none'", ("P0002", "WF616")),
        ] {
            let refusal = session.refused(format!("SELECT workflow_on_end({arguments})")).await;
            assert_eq!(refusal.code(), code, "{arguments}");
        }
        let input = HookInput { start_workflow: "demo.none".into(), ..hook("h") };
        assert!(matches!(Engine::on_end(&mut session.connection, input).await, Err(Error::NotFound(_))));
        let refusal = session.refused("SELECT workflow_remove_hook(NULL)").await;
        assert_eq!(refusal.code(), ("22023", "WF613"));
    })
    .await;
}

#[tokio::test]
async fn listeners_are_notified_of_ends_at_commit() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let mut listener = PgListener::connect_with(&db.pool).await.unwrap();
        listener.listen("pg_workflow_end").await.unwrap();
        session.begin(ONE).await;
        session.work("a", json!(1)).await;
        session.run("SET pg_workflow.notify_ends = on").await;
        let id = session.start().await;
        let [task] = session.claim_named(["a"]).await;
        session.run("BEGIN").await;
        session.run("SAVEPOINT s").await;
        session.complete(&task, json!(1)).await;
        session.run("ROLLBACK TO s").await;
        session.fail(&task, json!(1)).await;
        session.run("COMMIT").await;
        let told = tokio::time::timeout(Duration::from_secs(60), listener.recv()).await.unwrap().unwrap();
        assert_eq!(told.payload(), format!("{id} failed"), "and of no other end before");
        let waiting = session.start().await;
        let [task] = session.claim_named(["a"]).await;
        let early = Engine::wait_listening(&db.pool, waiting, Duration::from_millis(30)).await.unwrap();
        assert!(!early.ended);
        let pool = db.pool.clone();
        let wait = tokio::spawn(async move { Engine::wait_listening(&pool, waiting, Duration::from_secs(60)).await });
        session.complete(&task, json!(1)).await;
        let status = wait.await.unwrap().unwrap();
        assert_eq!((status.execution, status.status), (waiting, ExecutionStatus::Completed));
    })
    .await;
}

#[tokio::test]
async fn a_row_starts_a_workflow_in_its_own_transaction() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define("parameters: {properties: {row: {}}}\ntasks: [{name: a, action: demo.a, input: {id: '{{ parameters.row.id }}'}}]")
            .await;
        session
            .run(
                "CREATE TABLE public.\"Order\" (id int PRIMARY KEY, key text);
                 CREATE TRIGGER placed AFTER INSERT OR UPDATE OR DELETE ON public.\"Order\"
                 FOR EACH ROW EXECUTE FUNCTION workflow_start_from_row('demo.w', 'key')",
            )
            .await;
        session.run("BEGIN; INSERT INTO \"Order\" VALUES (1, 'x'); ROLLBACK").await;
        session.run("INSERT INTO \"Order\" VALUES (1, NULL), (2, NULL)").await;
        session.run("UPDATE \"Order\" SET key = 'k' WHERE id = 1").await;
        let refusal = session.refused("DELETE FROM \"Order\" WHERE id = 2").await;
        assert_eq!(refusal.code().1, "WF602", "there is no row to take the input from");
        let parameters: Vec<Value> = started(&mut session, "demo.w").await.into_iter().map(|(_, config)| config).collect();
        let row = |id: i32, key: Option<&str>| json!({"id": id, "key": key});
        let of = |operation: &str, row: Value, old: Value| json!({"table": "public.\"Order\"", "operation": operation, "row": row, "old": old});
        assert_eq!(
            parameters,
            [
                of("insert", row(1, None), Value::Null),
                of("insert", row(2, None), Value::Null),
                of("update", row(1, Some("k")), row(1, None)),
            ]
        );
        session.run("CREATE TABLE sent (key text)").await;
        for (kind, arguments) in [
            ("BEFORE INSERT ON sent FOR EACH ROW", "'demo.w'"),
            ("AFTER INSERT ON sent FOR EACH STATEMENT", "'demo.w'"),
            ("AFTER INSERT ON sent FOR EACH ROW", ""),
            ("AFTER INSERT ON sent FOR EACH ROW", "'demo.w', 'no_column'"),
            ("AFTER INSERT ON sent FOR EACH ROW", "'demo.w', 'key', 'more'"),
        ] {
            session.run(format!("CREATE TRIGGER t {kind} EXECUTE FUNCTION workflow_start_from_row({arguments})")).await;
            let refusal = session.refused("INSERT INTO sent VALUES ('x')").await;
            assert_eq!(refusal.code(), ("22023", "WF613"), "{kind} ({arguments})");
            session.run("DROP TRIGGER t ON sent").await;
        }
    })
    .await;
}
