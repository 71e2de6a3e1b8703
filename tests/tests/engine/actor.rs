//! The person on whose behalf a session acts (the setting `pg_workflow.actor`), in events, holds and bulk jobs. Also
//! the counts that a console shows.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const WAITS: &str = "tasks:
  - {name: ask, wait_for: {signal: approved}, on_success: one}
  - {name: one, action: demo.a}
";

async fn authors(session: &mut Session, execution: i64) -> Vec<(String, String)> {
    session.rows(format!("SELECT kind, coalesce(author, '') FROM workflow_list_events({execution}, 1000)")).await
}

#[tokio::test]
async fn every_control_function_records_the_person_before_the_role() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let role = session.value::<String>("SELECT session_user::text").await;
        let id = session.begin(WAITS).await;
        session.run("SET pg_workflow.actor = 'maria'").await;
        for call in ["pause", "resume"] {
            session.run(format!("SELECT workflow_{call}({id})")).await;
        }
        session.run(format!("SELECT workflow_signal({id}, 'approved')")).await;
        session
            .run(format!(
                "SELECT workflow_resolve(task, 'failed') FROM workflow_list_tasks({id}) WHERE task_name = 'one'"
            ))
            .await;
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.run(format!("SELECT * FROM workflow_pause_many('{{{id}}}', 'many')")).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        let maria = format!("maria (role {role})");
        let found = authors(&mut session, id).await;
        for kind in ["pause", "resume", "signal", "resolve", "rerun", "cancel"] {
            assert!(found.iter().any(|(of, author)| of == kind && *author == maria), "{kind}: {found:?}");
        }
        session
            .run("SELECT workflow_hold('demo.a', NULL, workflow.now() + interval '1 hour', target => 'action')")
            .await;
        assert_eq!(session.value::<String>("SELECT author FROM workflow_list_holds()").await, maria);

        // A job does it later, in another session, on behalf of the person who created it.
        let other = session.begin(WAITS).await;
        session.run(r#"SELECT workflow_apply('pause', '{"statuses": ["running"]}')"#).await;
        session.run("SET pg_workflow.actor = 'the ticker'").await;
        session.run("SELECT workflow_tick()").await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.value::<String>("SELECT author FROM workflow_list_bulk_jobs()").await, maria);
        assert_eq!(authors(&mut session, other).await, [("pause".to_owned(), maria)]);
    })
    .await;
}

#[tokio::test]
async fn a_person_is_one_line_of_100_characters_and_never_instead_of_the_role() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let role = session.value::<String>("SELECT session_user::text").await;
        let id = session.begin(WAITS).await;
        let long = "é".repeat(150);
        let cases = [
            ("", role.clone()),
            ("  ", role.clone()),
            ("a\nb\tc", format!("a b c (role {role})")),
            (&long[..], format!("{} (role {role})", "é".repeat(100))),
            ("x'; DROP TABLE", format!("x'; DROP TABLE (role {role})")),
        ];
        for (number, (actor, author)) in cases.into_iter().enumerate() {
            session.run(format!("SET pg_workflow.actor = '{}'", actor.replace('\'', "''"))).await;
            session.run(format!("SELECT workflow_pause({id}, 'reason {number}')")).await;
            assert_eq!(authors(&mut session, id).await.pop(), Some(("pause".to_owned(), author)), "{actor:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_operator_without_further_privileges_may_act_for_somebody() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(WAITS).await;
        let role = db.role().await;
        session.run(format!("SELECT workflow_grant('{role}', 'operator')")).await;
        let mut operator = db.connect_as(&role).await;
        for statement in ["SET pg_workflow.actor = 'maria'".to_owned(), format!("SELECT workflow_pause({id})")] {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut operator).await.unwrap();
        }
        assert_eq!(authors(&mut session, id).await, [("pause".to_owned(), format!("maria (role {role})"))]);
    })
    .await;
}

#[tokio::test]
async fn tasks_are_counted_by_name_with_their_items_and_retries() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin("tasks:\n  - {name: each, action: demo.a, with_items: {items: '{{ [1, 2, 3] }}', on_item_failure: continue}, retry: {count: 1}, on_complete: last}\n  - {name: last, when: '{{ false }}', action: demo.b}\n")
            .await;
        let [first, second, _third] = session.claim_named(["each", "each", "each"]).await;
        session.fail(&first, json!({"type": "x"})).await;
        session.complete(&second, json!(1)).await;
        session.run("SELECT workflow_tick()").await;
        let counts: Vec<(String, bool, i64, i64, i64, i64)> = session
            .rows(format!("SELECT task_name, has_items, total, running, completed, retries FROM workflow_count_tasks({id})"))
            .await;
        assert_eq!(counts, [("each".to_owned(), true, 3, 1, 1, 1)]);
    })
    .await;
}
