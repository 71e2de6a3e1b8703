//! Databases that are not UTF-8: they are refused before anything is stored in them.

use crate::fixture::*;
use pg_workflow_tests::{Server, with_database};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

const ENCODINGS: [&str; 2] = ["LATIN1", "SQL_ASCII"];

async fn assert_refused(session: &mut PgConnection, encoding: &str, sql: &str) {
    let error = session.execute(AssertSqlSafe(sql)).await.expect_err(sql);
    let refusal = Refusal::of(error);
    assert_eq!(refusal.code(), ("55000", "WF611"), "{sql}: {refusal:?}");
    let message = format!("WF611: pg_workflow requires a database in UTF8, not {encoding}");
    assert_eq!(refusal.message, message, "{sql}");
    assert!(refusal.hint.contains("ENCODING 'UTF8'"), "{refusal:?}");
}

/// Creates a database with an encoding, and returns the options for connecting to it.
async fn make(admin: &mut PgConnection, options: &PgConnectOptions, name: &str, encoding: &str) -> PgConnectOptions {
    let create = format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
    admin.execute(AssertSqlSafe(create)).await.unwrap();
    options.clone().database(name)
}

#[tokio::test]
async fn the_extension_and_its_library_are_refused_where_the_encoding_is_another() {
    with_database(async |db| {
        let mut admin = db.connect().await;
        for encoding in ENCODINGS {
            let name = format!("{}_{}", db.name, encoding.to_lowercase());
            let mut session = make(&mut admin, &db.options(), &name, encoding).await.connect().await.unwrap();
            assert_refused(&mut session, encoding, "CREATE EXTENSION pg_workflow").await;
            assert_refused(&mut session, encoding, "LOAD 'pg_workflow'").await;
            // What restoring a dump of the catalog would create.
            let now = "CREATE FUNCTION now_of_ours() RETURNS timestamptz LANGUAGE c AS '$libdir/pg_workflow', 'workflow_now_wrapper'";
            assert_refused(&mut session, encoding, now).await;
            session.close().await.unwrap();
            admin.execute(AssertSqlSafe(format!("DROP DATABASE {name}"))).await.unwrap();
        }
    })
    .await;
}

/// A preloaded library is in every session, whatever its database: there, each call is refused.
#[tokio::test]
async fn where_the_library_is_preloaded_calls_are_refused_and_connections_are_not() {
    for preload in ["shared_preload_libraries", "session_preload_libraries"] {
        let server = Server::create(&format!("encoding-{preload}"), &[&format!("{preload} = 'pg_workflow'")]);
        let mut admin = server.options.connect().await.unwrap();
        for encoding in ENCODINGS {
            let name = encoding.to_lowercase();
            let mut session = make(&mut admin, &server.options, &name, encoding).await.connect().await.unwrap();
            assert_refused(&mut session, encoding, "CREATE EXTENSION pg_workflow").await;
            for function in [
                "validate(source text) RETURNS TABLE (code text, severity text, category text, message text, hint text, path text, task text, expression text, line int, \"column\" int) LANGUAGE c SET search_path = pg_catalog, pg_temp AS '$libdir/pg_workflow', 'workflow_validate_wrapper'",
                "draw(a text, b text, c text) RETURNS text LANGUAGE c AS '$libdir/pg_workflow', 'workflow_diagram_wrapper'",
            ] {
                session.execute(AssertSqlSafe(format!("CREATE FUNCTION {function}"))).await.unwrap();
            }
            assert_refused(&mut session, encoding, "SELECT * FROM validate('{ref: demo.w}')").await;
            assert_refused(&mut session, encoding, "SELECT draw('{}', NULL, 'dot')").await;
            session.close().await.unwrap();
        }
        admin.close().await.unwrap();
    }
}
