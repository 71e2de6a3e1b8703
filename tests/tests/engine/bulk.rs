//! One action on many executions in a single call: an answer for each, and a refusal does not affect the others.

use crate::fixture::*;
use pg_workflow_client::{Engine, SignalInput};
use pg_workflow_tests::with_database;
use serde_json::json;

/// Returns an answer or a code for each element, in order.
async fn answers(session: &mut Session, call: &str) -> Vec<String> {
    let rows: Vec<(Option<String>, Option<String>)> =
        session.rows(format!("SELECT answer, code FROM workflow_{call}")).await;
    rows.into_iter()
        .map(|(answer, code)| {
            assert!(answer.is_none() != code.is_none());
            answer.or(code).unwrap()
        })
        .collect()
}

#[tokio::test]
async fn each_execution_has_its_own_answer_in_the_order_given() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        let (one, two, three) = (session.start().await, session.start().await, session.start().await);
        session.run(format!("SELECT workflow_cancel({three})")).await;
        let outside: i64 = session
            .value("SELECT w.id FROM workflow_create_execution('demo.a') AS e, workflow_create_workflow_execution(e.id, 1) AS w")
            .await;
        let list = format!("ARRAY[{two}, 999, {three}, {one}, NULL, {two}, -1, {outside}, 9223372036854775807]::bigint[]");
        assert_eq!(
            answers(&mut session, &format!("pause_many({list}, 'why')")).await,
            ["running", "WF616", "WF611", "running", "WF613", "running", "WF616", "WF618", "WF616"]
        );
        let paused: Vec<(i64, String)> =
            session.rows("SELECT id, pause_reason FROM workflow.workflow_execution WHERE paused ORDER BY id").await;
        assert_eq!(paused, [(one, "why".to_owned()), (two, "why".to_owned())]);
        assert_eq!(
            answers(&mut session, &format!("resume_many({list})")).await,
            ["running", "WF616", "WF611", "running", "WF613", "running", "WF616", "WF618", "WF616"]
        );
        assert_eq!(
            answers(&mut session, &format!("cancel_many({list}, 'why')")).await,
            ["cancelled", "WF616", "cancelled", "cancelled", "WF613", "cancelled", "WF616", "WF618", "WF616"]
        );
        assert_eq!(
            answers(&mut session, &format!("rerun_many({list})")).await,
            ["running", "WF616", "running", "running", "WF613", "running", "WF616", "WF618", "WF616"]
        );
        assert_eq!(
            answers(&mut session, &format!("prune_many(ARRAY[{one}])")).await,
            ["WF611"]
        );
        let events: i64 = session
            .value(format!("SELECT count(*) FROM workflow_list_events({two})"))
            .await;
        assert_eq!(events, 4, "a repeated one was processed once");
        assert_eq!(answers(&mut session, "pause_many('{}')").await, [] as [&str; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_signal_reaches_those_that_wait_for_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.wait", "tasks: [{name: w, wait_for: {signal: go}}]").await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        let waiting: i64 = session.value("SELECT workflow_start('demo.wait')").await;
        let other = session.start().await;
        let input = SignalInput { name: "go".into(), payload: Some(json!({"x": 1})), ..Default::default() };
        let answers = Engine::signal_many(&db.pool, &[waiting, other], input).await.unwrap();
        assert_eq!(answers[0].answer.as_deref(), Some("delivered"));
        assert_eq!(answers[1].code.as_deref(), Some("WF611"));
        assert!(answers[1].message.as_deref().unwrap().starts_with("WF611: "));
        let result: serde_json::Value =
            session.value(format!("SELECT result FROM workflow_list_tasks({waiting})")).await;
        assert_eq!(result, json!({"x": 1}));
    })
    .await;
}

#[tokio::test]
async fn a_family_is_reached_through_its_root_and_through_its_members_at_once() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.leaf", "tasks: [{name: x, action: demo.a}]").await;
        session.define_as("demo.middle", "tasks: [{name: l, action: demo.leaf}]").await;
        session.define("tasks: [{name: m, action: demo.middle}]").await;
        let root = session.start().await;
        let all: Vec<i64> = session.value("SELECT array_agg(id ORDER BY id DESC) FROM workflow.execution").await;
        assert_eq!(all.len(), 3);
        let paused = Engine::pause_many(&db.pool, &all, None).await.unwrap();
        assert!(paused.iter().all(|answer| answer.code.is_none()), "{paused:?}");
        Engine::resume_many(&db.pool, &[all[0]], None).await.unwrap();
        let count: i64 = session.value("SELECT count(*) FROM workflow.workflow_execution WHERE paused").await;
        assert_eq!(count, 0);
        Engine::cancel_many(&db.pool, &all, None, false).await.unwrap();
        session.assert_ended(root, "cancelled", json!(null)).await;
        let rerun = Engine::rerun_many(&db.pool, &all, None, false, Some("again")).await.unwrap();
        let codes: Vec<Option<&str>> = rerun.iter().map(|answer| answer.code.as_deref()).collect();
        assert_eq!(codes, [Some("WF612"), Some("WF612"), None], "the root came first, and took the others along");
        session.work("x", json!(null)).await;
        let ended: bool = session.value(format!("SELECT ended FROM workflow_status({root})")).await;
        assert!(ended);
        let pruned = Engine::prune_many(&db.pool, &all).await.unwrap();
        let words: Vec<&str> =
            pruned.iter().map(|answer| answer.answer.as_deref().or(answer.code.as_deref()).unwrap()).collect();
        assert_eq!(words, ["WF611", "WF611", "pruned"]);
    })
    .await;
}

/// User code may refuse one execution with an error of its own.
#[tokio::test]
async fn a_trigger_that_fails_for_one_execution_leaves_the_others_alone() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        let (one, two, three) = (session.start().await, session.start().await, session.start().await);
        session
            .run(format!(
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 / (NEW.id - {two}); RETURN NEW; END $$;
                 CREATE TRIGGER spoil BEFORE UPDATE ON workflow.workflow_execution FOR EACH ROW EXECUTE FUNCTION spoil()"
            ))
            .await;
        for _ in 0..2 {
            assert_eq!(
                answers(&mut session, &format!("cancel_many(ARRAY[{three}, {two}, {one}]::bigint[])")).await,
                ["cancelled", "22012", "cancelled"]
            );
        }
        session.run("DROP TRIGGER spoil ON workflow.workflow_execution").await;
    })
    .await;
}

#[tokio::test]
async fn a_bulk_call_with_invalid_arguments_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin("tasks: [{name: a, action: demo.a}]").await;
        let long = "x".repeat(10_001);
        for (call, code) in [
            ("pause_many(NULL)".to_owned(), "WF613"),
            ("prune_many(NULL)".to_owned(), "WF613"),
            ("pause_many('{{1}}')".to_owned(), "WF613"),
            (format!("pause_many('{{1}}', '{long}')"), "WF613"),
            ("cancel_many(ARRAY(SELECT generate_series(1, 1001)))".to_owned(), "WF614"),
        ] {
            let refusal = session.refused(format!("SELECT * FROM workflow_{call}")).await;
            assert_eq!(refusal.code().1, code, "{:.100}", call);
        }
        // An error that applies to each execution is an answer for each.
        assert_eq!(answers(&mut session, "signal_many('{1}', NULL)").await, ["WF613"]);
        assert_eq!(answers(&mut session, "cancel_many('{1}', force => NULL)").await, ["cancelled"]);
        assert_eq!(answers(&mut session, "rerun_many('{1}', ARRAY['none'])").await, ["WF612"]);
        assert_eq!(answers(&mut session, "rerun_many('{1}', ARRAY[NULL]::text[])").await, ["WF613"]);
    })
    .await;
}

/// The call must not wait for locks that come later in the lock order than one it holds.
#[tokio::test]
async fn a_called_execution_that_somebody_else_has_locked_is_left_to_the_next_tick() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        session.define_as("demo.leaf", "tasks: [{name: x, action: demo.a}]").await;
        session.define("tasks: [{name: l, action: demo.leaf}]").await;
        let root = session.start().await;
        let leaf: i64 = session.value(format!("SELECT id FROM workflow.execution WHERE parent = {root}")).await;
        let paused = "SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM workflow.workflow_execution WHERE paused";
        session.run("SET lock_timeout = '1s'").await;
        for (call, then) in [("pause_many", vec![root, leaf]), ("resume_many", vec![])] {
            let before: Vec<i64> = session.value(paused).await;
            other.run("BEGIN").await;
            other.run(format!("SELECT FROM workflow.workflow_execution WHERE id = {leaf} FOR NO KEY UPDATE")).await;
            assert_eq!(answers(&mut session, &format!("{call}(ARRAY[{root}])")).await, ["running"]);
            let now: Vec<i64> = session.value(paused).await;
            assert_eq!(now.contains(&leaf), before.contains(&leaf), "{call} has not reached it yet");
            other.run("ROLLBACK").await;
            while session.value::<i32>("SELECT workflow_tick()").await > 0 {}
            assert_eq!(session.value::<Vec<i64>>(paused).await, then, "{call}");
        }
        other.run("BEGIN").await;
        other.run(format!("SELECT FROM workflow.workflow_execution WHERE id = {leaf} FOR NO KEY UPDATE")).await;
        answers(&mut session, &format!("cancel_many(ARRAY[{root}])")).await;
        other.run("ROLLBACK").await;
        while session.value::<i32>("SELECT workflow_tick()").await > 0 {}
        session.assert_ended(root, "cancelled", json!(null)).await;
    })
    .await;
}
