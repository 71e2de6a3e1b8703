//! Granting levels to roles, and taking them away again.

use crate::fixture::*;
use crate::grant::{CONTAINED, assert_may, granted, prepare};
use pg_workflow_client::{Engine, Level};
use pg_workflow_tests::{Database, with_database};
use sqlx::Connection;
use std::process::{Command, Stdio};

/// Default privileges do not apply to the extension's objects, and a dump contains what was granted.
#[tokio::test]
async fn default_privileges_open_nothing() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let (curious, worker) = (db.role().await, db.role().await);
        session.run("DROP EXTENSION pg_workflow").await;
        for grantee in [curious.as_str(), "PUBLIC"] {
            for (objects, with) in [("FUNCTIONS", "ALL"), ("TABLES", "ALL"), ("SEQUENCES", "ALL"), ("SCHEMAS", "ALL"), ("TYPES", "ALL")] {
                let option = if grantee == "PUBLIC" { "" } else { "WITH GRANT OPTION" };
                session.run(format!("ALTER DEFAULT PRIVILEGES GRANT {with} ON {objects} TO {grantee} {option}")).await;
            }
            session.run(format!("ALTER DEFAULT PRIVILEGES IN SCHEMA pg_catalog GRANT EXECUTE ON FUNCTIONS TO {grantee}")).await;
        }
        session.run("CREATE EXTENSION pg_workflow").await;
        let names = prepare(&mut session).await;
        assert_eq!(granted(&mut session, &curious).await, [""; 0]);
        let open: Vec<(String,)> = session
            .rows(format!(
                "SELECT p.oid::regprocedure::text FROM pg_proc AS p WHERE (p.proname ~ '^workflow_' OR p.pronamespace = 'workflow'::regnamespace)
                   AND has_function_privilege('{curious}', p.oid, 'EXECUTE')
                 UNION ALL
                 SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relnamespace = 'workflow'::regnamespace
                   AND (c.relkind IN ('r', 'v') AND has_table_privilege('{curious}', c.oid, 'SELECT, INSERT, UPDATE, DELETE')
                     OR c.relkind = 'S' AND has_sequence_privilege('{curious}', c.oid, 'USAGE, SELECT, UPDATE'))
                 UNION ALL SELECT 'schema' WHERE has_schema_privilege('{curious}', 'workflow', 'USAGE, CREATE')
                 UNION ALL
                 SELECT t.oid::regtype::text FROM pg_type AS t, aclexplode(t.typacl) AS entry
                 WHERE t.typnamespace = 'workflow'::regnamespace AND entry.grantee = '{curious}'::regrole"
            ))
            .await;
        assert_eq!(open, [] as [(String,); 0]);
        assert_may(db, &curious, &[], &[names.clone(), vec![("role", worker.clone())]].concat()).await;
        Engine::grant(&db.pool, &worker, Level::Worker).await.unwrap();
        session.run(format!("SELECT workflow_grant('{worker}', 'worker', '{{5}}')")).await;
        let before = granted(&mut session, &worker).await;
        let restored = Database::create().await;
        restored.run("DROP EXTENSION pg_workflow CASCADE").await;
        copy(&db.name, &restored.name);
        let mut there = Session::new(&restored).await;
        assert_eq!(granted(&mut there, &worker).await, before);
        assert_eq!(granted(&mut there, &curious).await, [""; 0]);
        let bound: Vec<(String, Vec<i32>)> = there.rows("SELECT role::text, parts FROM workflow.worker_parts").await;
        assert_eq!(bound, [(worker.clone(), vec![5])]);
        let mut bound = Session { connection: restored.connect_as(&worker).await };
        let error = sqlx::query("SELECT workflow_tick(1, '{4}')").execute(&mut bound.connection).await.unwrap_err();
        assert_eq!(Refusal::of(error).code(), ("42501", "WF620"));
        bound.connection.close().await.unwrap();
    })
    .await;
}

/// Copies a database into another by a dump.
fn copy(from: &str, to: &str) {
    let mut dump = Command::new("pg_dump").args(["--dbname", from]).stdout(Stdio::piped()).spawn().unwrap();
    let status = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", to])
        .stdin(dump.stdout.take().unwrap())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success() && dump.wait().unwrap().success());
}

#[tokio::test]
async fn levels_that_a_role_has_beside_each_other_are_taken_one_by_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let mut names = prepare(&mut session).await;
        let role = db.role().await;
        names.push(("role", role.clone()));
        Engine::grant(&db.pool, &role, Level::Worker).await.unwrap();
        let worker = granted(&mut session, &role).await;
        for level in [Level::Reader, Level::Author] {
            Engine::grant(&db.pool, &role, level).await.unwrap();
            Engine::revoke(&db.pool, &role, level).await.unwrap();
            assert_eq!(granted(&mut session, &role).await, worker);
        }
        assert_may(db, &role, &[Level::Worker], &names).await;
        Engine::grant(&db.pool, &role, Level::Operator).await.unwrap();
        Engine::revoke(&db.pool, &role, Level::Worker).await.unwrap();
        assert_may(db, &role, &[Level::Reader, Level::Operator], &names).await;
        Engine::revoke(&db.pool, &role, Level::Operator).await.unwrap();
        assert_eq!(granted(&mut session, &role).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_role_or_level_that_is_not_there_is_named() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let role = db.role().await;
        for function in ["workflow_grant", "workflow_revoke"] {
            for (arguments, sqlstate, code, said) in [
                ("'nobody_at_all', 'reader'", "P0002", "WF616", "there is no role nobody_at_all"),
                ("'public', 'reader'", "P0002", "WF616", "there is no role public"),
                ("'{role}', 'boss'", "22023", "WF613", "level is 'boss'."),
                ("'{role}', 'Reader'", "22023", "WF613", "level is 'Reader'."),
                ("'{role}', ''", "22023", "WF613", "level is ''."),
                ("NULL, 'reader'", "22023", "WF613", "role is null"),
                ("'{role}', NULL", "22023", "WF613", "level is null"),
                ("current_user, 'reader'", "22023", "WF613", "role postgres owns the extension"),
                (
                    "'x; DROP TABLE workflow.pack', 'reader'",
                    "P0002",
                    "WF616",
                    "there is no role \"x; DROP TABLE workflow.pack\"",
                ),
            ] {
                let refusal =
                    session.refused(format!("SELECT {function}({})", arguments.replace("{role}", &role))).await;
                assert_eq!(refusal.code(), (sqlstate, code), "{function}({arguments}): {refusal:?}");
                let text = format!("{} {}", refusal.message, refusal.detail);
                assert!(text.contains(said), "{function}({arguments}): {text}");
                assert!(!refusal.hint.is_empty(), "{refusal:?}");
            }
        }
        assert_eq!(granted(&mut session, &role).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_role_may_have_any_name() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let role = format!("{} \"quoted\"; 'x' %I", db.name);
        let quoted = format!("\"{}\"", role.replace('"', "\"\""));
        session.run(format!("CREATE ROLE {quoted} LOGIN")).await;
        Engine::grant(&db.pool, &role, Level::Worker).await.unwrap();
        assert!(db.connect_as(&role).await.close().await.is_ok());
        let mut worker = db.connect_as(&role).await;
        sqlx::query("SELECT workflow_tick()").fetch_one(&mut worker).await.unwrap();
        worker.close().await.unwrap();
        Engine::revoke(&db.pool, &role, Level::Worker).await.unwrap();
        // No object depends on the role any more.
        session.run(format!("DROP ROLE {quoted}")).await;
    })
    .await;
}

#[tokio::test]
async fn two_that_grant_at_once_do_not_fail() {
    with_database(async |db| {
        let (one, two) = (db.role().await, db.role().await);
        let granting = (0..6).map(|n| {
            let role = if n % 2 == 0 { &one } else { &two };
            Engine::grant(&db.pool, role, if n % 3 == 0 { Level::Author } else { Level::Worker })
        });
        for granted in futures::future::join_all(granting).await {
            granted.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn levels_are_in_a_dump() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let mut names = prepare(&mut session).await;
        let mut roles = Vec::new();
        for (level, contained) in CONTAINED {
            let role = db.role().await;
            Engine::grant(&db.pool, &role, level).await.unwrap();
            roles.push((role, contained));
        }
        names.push(("role", roles[0].0.clone()));
        let restored = Database::create().await;
        restored.run("DROP EXTENSION pg_workflow CASCADE").await;
        copy(&db.name, &restored.name);
        let mut there = Session::new(&restored).await;
        for (role, contained) in roles {
            assert_eq!(granted(&mut there, &role).await, granted(&mut session, &role).await);
            assert_may(&restored, &role, contained, &names).await;
        }
    })
    .await;
}
