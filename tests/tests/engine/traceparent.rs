//! The span that starts an execution: who sets it, which executions inherit it, and which claims return it.

use crate::fixture::*;
use pg_workflow_client::{ClaimInput, Engine, Outcome, StartInput, StartManyInput};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

const ONE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TWO: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

const TASK: &str = "tasks: [{name: a, action: demo.a}]";

async fn traceparent(session: &mut Session, id: i64) -> Option<String> {
    session.value(format!("SELECT traceparent FROM workflow_status({id})")).await
}

/// Claims everything, and returns the traceparent of each task, by name.
async fn handed_out(session: &mut Session) -> Vec<(String, Option<String>)> {
    session.rows("SELECT task_name, traceparent FROM workflow_claim('w1', 100) ORDER BY 1, task_index").await
}

fn named(names: &[&str], traceparent: &str) -> Vec<(String, Option<String>)> {
    names.iter().map(|name| (name.to_string(), Some(traceparent.to_owned()))).collect()
}

#[tokio::test]
async fn every_task_of_an_execution_and_of_what_it_calls_is_handed_out_with_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks: [{name: inner, action: demo.c}]").await;
        session
            .define(
                "tasks:
  - {name: a, action: demo.a, retry: {count: 1, delay: 0}, on_success: [each, call, last]}
  - {name: each, action: demo.b, with_items: {items: [1, 2], concurrency: 1}}
  - {name: call, action: demo.child}
  - {name: last, action: demo.a}
  - {name: lonely, action: demo.d}",
            )
            .await;
        let input = StartInput { r#ref: "demo.w".into(), traceparent: Some(ONE.into()), ..Default::default() };
        let id = Engine::start(&db.pool, input).await.unwrap().unwrap();
        assert_eq!(Engine::status(&db.pool, id).await.unwrap().traceparent.as_deref(), Some(ONE));
        let actions = |names: &[&str]| Some(names.iter().map(|name| name.to_string()).collect());
        let ask =
            ClaimInput { worker: "w1".into(), max_tasks: 10, actions: actions(&["demo.a"]), ..Default::default() };
        let [a] = Engine::claim(&db.pool, &ask).await.unwrap().try_into().unwrap();
        assert_eq!((a.attempt, a.traceparent.as_deref()), (1, Some(ONE)));
        assert_eq!(a.workflow_ref.as_deref(), Some("demo.w"));
        let failed = Outcome::failed(a.task, a.lease_token, json!({"type": "x"}));
        let (_, again) = Engine::finish_and_claim(&db.pool, &[failed], &ask).await.unwrap();
        let [a] = again.try_into().unwrap();
        assert_eq!((a.attempt, a.traceparent.as_deref()), (2, Some(ONE)), "the second attempt");
        // Handed over by the report, without passing through the queue.
        let done = Outcome::completed(a.task, a.lease_token, None);
        let (_, next) = Engine::finish_and_claim(&db.pool, &[done], &ask).await.unwrap();
        let [last] = next.try_into().unwrap();
        assert_eq!((last.task_name.as_str(), last.traceparent.as_deref()), ("last", Some(ONE)));
        assert_eq!(last.workflow_ref.as_deref(), Some("demo.w"));
        let ask = ClaimInput { actions: actions(&["demo.c"]), max_tasks: 1, ..ask };
        let [inner] = Engine::claim(&db.pool, &ask).await.unwrap().try_into().unwrap();
        assert_eq!((inner.traceparent.as_deref(), inner.workflow_ref.as_deref()), (Some(ONE), Some("demo.child")));
        assert_eq!(handed_out(&mut session).await, named(&["each", "lonely"], ONE));
        let child: i64 = session.value(format!("SELECT id FROM workflow.execution WHERE parent = {id}")).await;
        assert_eq!(traceparent(&mut session, child).await.as_deref(), Some(ONE));
    })
    .await;
}

#[tokio::test]
async fn a_start_uses_its_argument_or_what_the_session_says_and_ignores_what_is_malformed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(TASK).await;
        let id = session.start().await;
        assert_eq!(traceparent(&mut session, id).await, None);
        for (setting, argument, expected) in [
            ("", ONE, Some(ONE)),
            (ONE, "", None),
            (TWO, ONE, Some(ONE)),
            (TWO, "nonsense", None),
            ("nonsense", ONE, Some(ONE)),
            ("", &ONE.to_uppercase(), None),
            ("", &ONE.replacen("00", "7e", 1), Some(ONE)),
        ] {
            session.run(format!("SET pg_workflow.traceparent = '{setting}'")).await;
            let id: i64 = session.value(format!("SELECT workflow_start('demo.w', traceparent => '{argument}')")).await;
            assert_eq!(traceparent(&mut session, id).await.as_deref(), expected, "{setting:?} {argument:?}");
        }
        for (setting, expected) in [(ONE, Some(ONE)), ("nonsense", None), (&"0".repeat(100_000), None)] {
            session.run(format!("SET pg_workflow.traceparent = '{setting}'")).await;
            let id = session.start().await;
            assert_eq!(traceparent(&mut session, id).await.as_deref(), expected);
        }
        session.run("RESET pg_workflow.traceparent").await;
        // An existing execution keeps the span that started it.
        for (given, key) in [(ONE, "k"), (TWO, "k")] {
            let start =
                format!("SELECT workflow_start('demo.w', idempotency_key => '{key}', traceparent => '{given}')");
            let id: i64 = session.value(start).await;
            assert_eq!(traceparent(&mut session, id).await.as_deref(), Some(ONE));
        }
    })
    .await;
}

#[tokio::test]
async fn each_of_many_starts_has_its_own() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(TASK).await;
        session.run(format!("SET pg_workflow.traceparent = '{TWO}'")).await;
        let ids: Vec<i64> = session
            .value(format!(
                "SELECT array_agg(s) FROM workflow_start_many('demo.w', ARRAY['{{}}', '{{}}', '{{}}']::jsonb[],
                   traceparents => ARRAY['{ONE}', NULL, 'nonsense']) AS s"
            ))
            .await;
        for (id, expected) in ids.into_iter().zip([Some(ONE), Some(TWO), None]) {
            assert_eq!(traceparent(&mut session, id).await.as_deref(), expected);
        }
        let refusal = session
            .refused(format!(
                "SELECT workflow_start_many('demo.w', ARRAY['{{}}', '{{}}']::jsonb[], traceparents => '{{{ONE}}}')"
            ))
            .await;
        assert_eq!(refusal.code(), ("22023", "WF613"));
        let input = StartManyInput {
            r#ref: "demo.w".into(),
            parameters: vec![json!({})],
            traceparents: Some(vec![Some(ONE.into())]),
            ..Default::default()
        };
        let [id] = Engine::start_many(&db.pool, input).await.unwrap().try_into().unwrap();
        assert_eq!(traceparent(&mut session, id.unwrap()).await.as_deref(), Some(ONE));
    })
    .await;
}

#[tokio::test]
async fn a_row_starts_in_the_trace_of_its_session_a_hook_in_that_of_what_ended_and_a_schedule_in_none() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("parameters: {additionalProperties: true}\ntasks: [{name: a, action: demo.a}]").await;
        session
            .define_as("demo.after", "parameters: {additionalProperties: true}\ntasks: [{name: b, action: demo.b}]")
            .await;
        session
            .run("SELECT workflow_on_end('after', workflow_pattern => 'demo.w', start_workflow => 'demo.after')")
            .await;
        session
            .run(
                "CREATE TABLE public.placed (id int); CREATE TRIGGER placed AFTER INSERT ON public.placed
                 FOR EACH ROW EXECUTE FUNCTION workflow_start_from_row('demo.w')",
            )
            .await;
        session
            .run(format!(
                "BEGIN; SET LOCAL pg_workflow.traceparent = '{ONE}'; INSERT INTO public.placed VALUES (1); COMMIT"
            ))
            .await;
        // The session that works or ticks has a trace of its own.
        session.run(format!("SET pg_workflow.traceparent = '{TWO}'")).await;
        session.work("a", Value::Null).await;
        assert_eq!(handed_out(&mut session).await, named(&["b"], ONE));
        session.run("SELECT workflow_schedule('s', '* * * * *', 'demo.w')").await;
        session.at(61.0).await;
        session.run("SELECT workflow_tick()").await;
        let task = "SELECT to_jsonb(c) FROM workflow_claim('w1', 100, '{demo.a}') AS c";
        assert_eq!(session.value::<Value>(task).await["traceparent"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_rerun_and_a_claim_in_json_keep_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a, on_success: b}, {name: b, action: demo.b}]").await;
        let id: i64 = session.value(format!("SELECT workflow_start('demo.w', traceparent => '{ONE}')")).await;
        session.work("a", Value::Null).await;
        let [b] = session.claim_named(["b"]).await;
        session.fail(&b, json!({"type": "x"})).await;
        session.run(format!("SELECT workflow_rerun({id}, '{{a}}')")).await;
        let claim = "SELECT workflow_finish_and_claim_json('w1', max_tasks => 5) -> 'tasks' -> 0";
        let task: Value = session.value(claim).await;
        assert_eq!((&task["task_name"], &task["traceparent"]), (&json!("a"), &json!(ONE)));
    })
    .await;
}
