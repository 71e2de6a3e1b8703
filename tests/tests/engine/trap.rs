//! Databases whose owner has set traps: whatever can be set for databases and roles, neither the background workers nor
//! any function of the API calls the traps.

use crate::fixture::*;
use crate::generic_plan::LEFT_OUT;
use crate::grant::{CALLS, prepare};
use crate::ticker::{session, until};
use pg_workflow_client::Engine;
use pg_workflow_tests::{Server, with_database};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use std::collections::BTreeSet;

/// Search paths that put the traps before everything else.
const PATHS: [&str; 3] = ["trap, pg_catalog", "pg_temp, trap, public, pg_catalog", "trap"];

/// Settings that a database owner may change for the database, each of which breaks some statement.
const SETTINGS: [&str; 27] = [
    "search_path = trap, pg_catalog",
    "statement_timeout = 1",
    "lock_timeout = 1",
    "idle_in_transaction_session_timeout = 1",
    "idle_session_timeout = 1",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_read_only = on",
    "default_transaction_deferrable = on",
    "row_security = off",
    "\"DateStyle\" = 'German'",
    "\"IntervalStyle\" = 'sql_standard'",
    "\"TimeZone\" = 'Asia/Kathmandu'",
    "array_nulls = off",
    "transform_null_equals = on",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "bytea_output = 'escape'",
    "xmlbinary = 'hex'",
    "enable_indexscan = off",
    "enable_seqscan = off",
    "plan_cache_mode = force_custom_plan",
    "force_parallel_mode = on",
    "work_mem = '64kB'",
    "client_encoding = 'LATIN1'",
    "default_text_search_config = 'pg_catalog.german'",
    "synchronous_commit = off",
    "plpgsql.extra_errors = 'all'",
];

async fn execute(session: &mut PgConnection, sql: impl Into<String>) {
    let sql = sql.into();
    // As a simple query, so that the driver does not query types with statements of its own.
    if let Err(error) = (&mut *session).execute(AssertSqlSafe(sql.as_str())).await {
        panic!("{error:?}\n{sql}");
    }
}

/// Executes a statement again if it conflicted with a tick: they may deadlock, and either may be the one to fail.
async fn execute_beside_ticks(session: &mut PgConnection, sql: &'static str) {
    for _ in 0..20 {
        match (&mut *session).execute(sql).await {
            Ok(_) => return,
            Err(error) if error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("40P01")) => {}
            Err(error) => panic!("{error:?}\n{sql}"),
        }
    }
    panic!("a tick was in the way each time: {sql}");
}

/// Sets the traps in a database, as its owner.
async fn set_traps(owner: &PgConnectOptions) {
    let mut session = owner.connect().await.unwrap();
    execute(&mut session, include_str!("trap.sql")).await;
    let made: Vec<(String, i64)> =
        sqlx::query_as("SELECT kind, count FROM trap.made").fetch_all(&mut session).await.unwrap();
    for (kind, least) in [("function", 2200), ("operator", 700), ("type", 40), ("table", 120), ("table of ours", 12)] {
        let count = made.iter().find(|(made, _)| made == kind).unwrap().1;
        assert!(count >= least, "only {count} traps of kind {kind}");
    }
    session.close().await.unwrap();
}

/// Applies the settings to a database.
async fn set_settings(session: &mut PgConnection, database: &str) {
    let version: i32 =
        sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(&mut *session).await.unwrap();
    // Its settings are known, and can be changed, once it is loaded.
    execute(session, "DO 'BEGIN END'").await;
    for setting in SETTINGS {
        let setting = if version >= 160_000 {
            setting.replace("force_parallel_mode", "debug_parallel_query")
        } else {
            setting.to_owned()
        };
        execute(session, format!("ALTER DATABASE {database} SET {setting}")).await;
    }
    if version >= 170_000 {
        execute(session, format!("ALTER DATABASE {database} SET transaction_timeout = 1")).await;
    }
}

#[tokio::test]
async fn nothing_of_a_trap_is_called() {
    let server = Server::create(
        "trap",
        &[
            "shared_preload_libraries = 'pg_workflow'",
            "pg_workflow.databases = 'shop'",
            "pg_workflow.tick_interval = '20ms'",
            "jit = off",
        ],
    );
    let shop = server.options.clone().database("shop");
    let owner = shop.clone().username("shop_owner");
    let mut admin = server.options.connect().await.unwrap();
    execute(&mut admin, "CREATE ROLE shop_owner LOGIN").await;
    execute(&mut admin, "CREATE DATABASE shop OWNER shop_owner").await;
    set_traps(&owner).await;
    // As the owner of the database, and for roles as well.
    let mut session_of_owner = owner.connect().await.unwrap();
    set_settings(&mut session_of_owner, "shop").await;
    session_of_owner.close().await.unwrap();
    for role in ["ALL", "postgres", "shop_owner"] {
        execute(&mut admin, format!("ALTER ROLE {role} IN DATABASE shop SET search_path = trap, pg_catalog")).await;
        execute(&mut admin, format!("ALTER ROLE {role} SET search_path = trap, pg_catalog")).await;
    }
    // A ticker that was started before the settings were made would prove nothing.
    end_ticker(&mut admin).await;
    until("the ticker looks for the extension", async || {
        server.log().matches("the extension is not installed in database \"shop\"").count() >= 2
    })
    .await;

    // The extension is created, updated, dropped and created again with the traps first in the path.
    let open = shop.clone().options([("statement_timeout", "0"), ("lock_timeout", "0")]);
    let open = open.options([("idle_session_timeout", "0"), ("idle_in_transaction_session_timeout", "0")]);
    let open =
        open.options([("default_transaction_read_only", "off"), ("client_encoding", "UTF8"), ("row_security", "on")]);
    let open = open.options([
        ("default_transaction_isolation", "read committed"),
        ("enable_seqscan", "on"),
        ("enable_indexscan", "on"),
    ]);
    let version: i32 =
        sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(&mut admin).await.unwrap();
    // A parallel worker starts with the database's time limit, whatever its session has set.
    let lasting = [("transaction_timeout", "0"), ("max_parallel_workers_per_gather", "0")];
    let open = if version >= 170_000 { open.options(lasting) } else { open };
    let mut hostile = open.connect().await.unwrap();
    let path: String = sqlx::query_scalar("SHOW search_path").fetch_one(&mut hostile).await.unwrap();
    assert_eq!(path, "trap, pg_catalog");
    for statement in [
        "CREATE EXTENSION pg_workflow",
        "ALTER EXTENSION pg_workflow UPDATE",
        "DROP EXTENSION pg_workflow",
        "CREATE EXTENSION pg_workflow",
    ] {
        execute_beside_ticks(&mut hostile, statement).await;
    }

    // Every function of the API.
    let mut fair = Session { connection: open.clone().options([("search_path", "public")]).connect().await.unwrap() };
    let mut names = prepare(&mut fair).await;
    names.push(("role", "shop_owner".to_owned()));
    for (_, calls) in CALLS {
        for call in *calls {
            let call =
                names.iter().fold((*call).to_owned(), |sql, (name, value)| sql.replace(&format!("{{{name}}}"), value));
            // Objects that callers name themselves are their own responsibility.
            let call = call.replace("::jsonb", "::pg_catalog.jsonb");
            for path in PATHS {
                let statements =
                    format!("BEGIN; SET LOCAL search_path = {path}; SELECT * FROM pg_catalog.{call}; ROLLBACK");
                if !LEFT_OUT.contains(&call.as_str()) {
                    execute(&mut hostile, statements).await;
                } else if let Err(error) = (&mut hostile).execute(AssertSqlSafe(statements.as_str())).await {
                    // It needs a moving part, and says so.
                    let refused = error.as_database_error().is_some_and(|error| error.message().starts_with("WF"));
                    assert!(refused, "{error:?}\n{statements}");
                    execute(&mut hostile, "ROLLBACK").await;
                }
            }
        }
    }

    // A workflow from its start to its end, with a delay that the ticker ends.
    fair.define_as(
        "demo.trap",
        "tasks: [{name: a, action: demo.a, on_success: b}, {name: b, action: demo.b, delay: 0.05}]",
    )
    .await;
    execute(&mut hostile, "SELECT pg_catalog.workflow_start('demo.trap', '{}', 'once')").await;
    let finish =
        "SELECT pg_catalog.workflow_complete(t.task, t.lease_token, '{}') FROM pg_catalog.workflow_claim('me', 100, ";
    execute(&mut hostile, format!("{finish}'{{demo.a}}') AS t")).await;
    until("the ticker ends the delay", async || {
        fair.value::<bool>(
            "SELECT count(*) = 0 FROM workflow.workflow_task_execution WHERE task_name = 'b' AND status = 'requested'",
        )
        .await
    })
    .await;
    execute(&mut hostile, format!("{finish}'{{demo.b}}') AS t")).await;
    let ended = "SELECT e.status::text FROM workflow.execution e WHERE e.action_ref = 'demo.trap'";
    assert_eq!(fair.value::<String>(ended).await, "completed");

    let log = server.log();
    // A tick during DROP EXTENSION may find a table missing, or hold one that the other waits for.
    let failed = |line: &str| {
        let missed = ["relation \"workflow.", "could not open relation", "deadlock detected"];
        line.contains("a tick failed") && !missed.iter().any(|reason| line.contains(reason))
    };
    let sprung: Vec<&str> = log.lines().filter(|line| line.contains("trapped: ") || failed(line)).collect();
    assert!(sprung.is_empty(), "{sprung:#?}");
    // The traps work: a call of one raises an error.
    let error = hostile.execute("SELECT 'x' = 'y'").await.unwrap_err();
    assert!(error.to_string().contains("trapped: operator =(text,text) as postgres"), "{error}");
    hostile.close().await.unwrap();
    fair.connection.close().await.unwrap();
    admin.close().await.unwrap();
}

/// Ends the ticker and waits for the next one.
async fn end_ticker(admin: &mut PgConnection) {
    let pid =
        "SELECT pid FROM pg_catalog.pg_stat_activity WHERE backend_type = 'pg_workflow ticker' AND datname = 'shop'";
    let mut before = None;
    until("a ticker", async || {
        before = sqlx::query_scalar::<_, i32>(pid).fetch_optional(&mut *admin).await.unwrap();
        before.is_some()
    })
    .await;
    sqlx::query("SELECT pg_catalog.pg_terminate_backend($1)").bind(before).execute(&mut *admin).await.unwrap();
    until("the next ticker", async || {
        let now = sqlx::query_scalar::<_, i32>(pid).fetch_optional(&mut *admin).await.unwrap();
        now.is_some() && now != before
    })
    .await;
}

/// Records who runs it and which settings are in force, on whatever table it is a trigger.
const WITNESS: &str = "CREATE TABLE public.seen (at text, who text, session text, role text, path text, settings text);
    GRANT ALL ON public.seen TO PUBLIC;
    CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO public.seen VALUES (TG_ARGV[0], current_user, session_user, current_setting('role'), current_setting('search_path'),
        (SELECT string_agg(s.name, ', ') FROM pg_settings s WHERE s.source IN ('database', 'user', 'database user')));
      RETURN NULL;
    END $$;
    CREATE TRIGGER see AFTER UPDATE ON workflow.workflow_task_execution FOR EACH ROW EXECUTE FUNCTION public.see('at once');
    CREATE CONSTRAINT TRIGGER see_later AFTER UPDATE ON workflow.workflow_task_execution DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION public.see('deferred');";

/// When, who, with which `role` and search_path, and which settings of databases and roles are in force.
type Seen = (String, String, Option<String>, Option<String>, Option<String>);

/// Lets a ticker end a delay. Returns what the triggers recorded.
async fn seen(session: &mut Session) -> Vec<Seen> {
    session.run("TRUNCATE public.seen").await;
    session.define("tasks: [{name: a, action: demo.a, delay: 0.01}]").await;
    let id = session.start().await;
    until("the delay passes", async || session.value::<bool>("SELECT count(*) >= 2 FROM public.seen").await).await;
    let rows = session.rows("SELECT DISTINCT at, who, role, path, settings FROM public.seen ORDER BY 1").await;
    session.run(format!("SELECT workflow_cancel({id})")).await;
    rows
}

#[tokio::test]
async fn a_ticker_works_with_the_rights_of_the_extensions_owner_and_without_what_is_set_for_its_database() {
    with_database(async |db| {
        let (installer, other) = (db.role().await, db.role().await);
        db.run(format!("ALTER ROLE {installer} SUPERUSER; DROP EXTENSION pg_workflow; SET ROLE {installer}; CREATE EXTENSION pg_workflow; {WITNESS}"))
            .await;
        let mut running = session(&db.options()).await;
        let mut admin = db.connect().await;
        execute(&mut admin, format!("ALTER ROLE {installer} NOSUPERUSER")).await;
        set_settings(&mut admin, &db.name).await;
        execute(&mut admin, format!("ALTER DATABASE {} SET role = {other}", db.name)).await;
        execute(&mut admin, format!("ALTER DATABASE {} SET session_authorization = {other}", db.name)).await;
        execute(&mut admin, format!("ALTER DATABASE {} SET pg_workflow.test_now = '2001-01-01'", db.name)).await;
        assert!(running.value::<bool>("SELECT workflow_start_ticker()").await);
        let seen = seen(&mut running).await;
        assert_eq!(seen.iter().map(|row| row.0.as_str()).collect::<BTreeSet<_>>(), BTreeSet::from(["at once", "deferred"]));
        let path = Some("pg_catalog, pg_temp".to_owned());
        for (at, who, role, of, settings) in seen {
            assert_eq!((who, role, of, settings), (installer.clone(), Some("none".to_owned()), path.clone(), None), "{at}");
        }
        assert!(running.value::<bool>("SELECT workflow_stop_ticker()").await);
        running.run(format!("ALTER DATABASE {} RESET ALL", db.name)).await;
    })
    .await;
}

/// A trigger of a table owner who is not a superuser cannot obtain the other privileges of the process.
#[tokio::test]
async fn no_trigger_gets_back_the_rights_of_the_process() {
    with_database(async |db| {
        let installer = db.role().await;
        let attempts = "CREATE FUNCTION public.escape() RETURNS trigger LANGUAGE plpgsql AS $$
            DECLARE
              attempt text;
            BEGIN
              FOREACH attempt IN ARRAY ARRAY['SET ROLE postgres', 'RESET ROLE', 'SET SESSION AUTHORIZATION postgres', 'RESET SESSION AUTHORIZATION',
                  'CREATE TEMP TABLE later (x int) ON COMMIT DROP', 'DECLARE c CURSOR WITH HOLD FOR SELECT public.superuser()'] LOOP
                BEGIN
                  EXECUTE attempt;
                  INSERT INTO public.seen (at, who) VALUES (attempt, current_user);
                EXCEPTION WHEN insufficient_privilege OR feature_not_supported THEN
                  INSERT INTO public.seen (at, who) VALUES ('refused', current_user);
                END;
              END LOOP;
              -- Deferred again, so that it would run when the transaction commits.
              BEGIN
                SET CONSTRAINTS ALL DEFERRED;
                UPDATE public.bait SET x = x;
                INSERT INTO public.seen (at, who) VALUES ('deferred', current_user);
              EXCEPTION WHEN insufficient_privilege THEN
                INSERT INTO public.seen (at, who) VALUES ('refused', current_user);
              END;
              RETURN NULL;
            END $$;
            CREATE FUNCTION public.superuser() RETURNS boolean LANGUAGE plpgsql AS $$
            BEGIN RETURN (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user); END $$;
            CREATE TABLE public.bait (x int);
            INSERT INTO public.bait VALUES (1);
            CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON public.bait DEFERRABLE INITIALLY DEFERRED
              FOR EACH ROW EXECUTE FUNCTION public.see('bait');
            CREATE TRIGGER escape AFTER UPDATE ON workflow.workflow_task_execution FOR EACH ROW EXECUTE FUNCTION public.escape();";
        db.run(format!(
            "ALTER ROLE {installer} SUPERUSER; DROP EXTENSION pg_workflow; SET ROLE {installer}; CREATE EXTENSION pg_workflow; {WITNESS} {attempts}
             RESET ROLE; ALTER ROLE {installer} NOSUPERUSER"
        ))
        .await;
        let mut running = session(&db.options()).await;
        let mut owner = db.connect_as(&installer).await;
        assert!(Engine::start_ticker(&mut owner).await.unwrap());
        let seen = seen(&mut running).await;
        // Although the process belongs to a superuser.
        assert!(Engine::stop_ticker(&mut owner).await.unwrap());
        assert!(seen.iter().all(|row| row.1 == installer), "{seen:#?}");
        let refused: i64 = running.value("SELECT count(*) FROM public.seen WHERE at = 'refused'").await;
        assert_eq!(refused, 7, "{seen:#?}");
    })
    .await;
}
