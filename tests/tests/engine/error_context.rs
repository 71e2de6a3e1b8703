//! The context of errors points to the caller's own code.

use crate::fixture::Session;
use pg_workflow_tests::with_database;

async fn context(session: &mut Session, sql: &str) -> String {
    let error = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut session.connection).await.unwrap_err();
    let error = error.into_database_error().unwrap();
    error.downcast_ref::<sqlx::postgres::PgDatabaseError>().r#where().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_error_shows_the_callers_functions_and_none_of_ours() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let calls =
            ["workflow_status(5)", "workflow_pause(5)", "workflow_schedule('a', 'x', 'y')", "workflow_find_pack(NULL)"];
        for call in calls {
            for _ in 0..6 {
                assert_eq!(context(&mut session, &format!("SELECT {call}")).await, "", "{call}");
            }
            let mine = format!(
                "CREATE OR REPLACE FUNCTION mine() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM {call}; END $$"
            );
            session.run(mine).await;
            let expected = format!("SQL statement \"SELECT {call}\"\nPL/pgSQL function mine() line 1 at PERFORM");
            assert_eq!(context(&mut session, "SELECT mine()").await, expected);
        }
        // A caught error leaves nothing behind.
        let caught = "DO $$ BEGIN
            BEGIN PERFORM workflow_status(5); EXCEPTION WHEN OTHERS THEN NULL; END;
            RAISE 'after';
        END $$";
        assert_eq!(context(&mut session, caught).await, "PL/pgSQL function inline_code_block line 3 at RAISE");
    })
    .await;
}
