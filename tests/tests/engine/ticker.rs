//! Background workers that tick: by the setting of a server that preloads the library, and by a function.

use crate::fixture::*;
use pg_workflow_client::Engine;
use pg_workflow_tests::{Server, with_database};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use std::time::{Duration, Instant};

/// Repeats a query until it returns true.
pub async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !ask().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Opens a session with the real clock.
pub async fn session(options: &PgConnectOptions) -> Session {
    let mut session = Session::open(options).await;
    session.run("RESET pg_workflow.test_now").await;
    session
}

/// Starts a workflow whose task has a delay, and waits until a tick has ended the delay.
async fn assert_ticked(session: &mut Session) {
    session.define("tasks: [{name: a, action: demo.a, delay: '{{ 0.01 }}'}]").await;
    let id = session.start().await;
    until("a delay passes", async || {
        let waiting = "SELECT count(*) = 0 FROM workflow.workflow_task_execution WHERE status = 'requested'";
        session.value::<bool>(waiting).await
    })
    .await;
    session.run(format!("SELECT workflow_cancel({id})")).await;
}

/// Returns the databases that have a ticker. A ticker that is about to start has no database yet.
async fn tickers(session: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT datname::text FROM pg_stat_activity
         WHERE backend_type = 'pg_workflow ticker' AND datname IS NOT NULL ORDER BY 1",
    )
    .fetch_all(session)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_server_that_preloads_the_library_ticks_in_the_databases_of_the_setting() {
    let server = Server::create(
        "ticker",
        &[
            "shared_preload_libraries = 'pg_workflow'",
            "pg_workflow.databases = 'shop, \"nowhere\", bare'",
            "pg_workflow.tick_interval = '50ms'",
        ],
    );
    let mut admin = server.options.connect().await.unwrap();
    let shop = server.options.clone().database("shop");
    admin.execute("CREATE DATABASE shop").await.unwrap();
    admin.execute("CREATE DATABASE bare").await.unwrap();
    until("both have a ticker", async || tickers(&mut admin).await == ["bare", "shop"]).await;
    let mut in_shop = PgConnection::connect_with(&shop).await.unwrap();
    in_shop.execute("CREATE EXTENSION pg_workflow").await.unwrap();
    let mut in_shop = session(&shop).await;
    assert_ticked(&mut in_shop).await;

    // An idle ticker takes no transaction id.
    let next = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text";
    let before: String = in_shop.value(next).await;
    let ticks = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'shop'";
    let committed: i64 = in_shop.value(ticks).await;
    until("some ticks have passed", async || in_shop.value::<i64>(ticks).await > committed + 10).await;
    assert_eq!(in_shop.value::<String>(next).await, before);

    // A failed tick is rolled back and logged, and the ticker continues once the cause is repaired.
    let fail = "ALTER TABLE workflow.schedule RENAME TO";
    in_shop.run(format!("{fail} gone")).await;
    until("the ticker has failed", async || server.log().contains("relation \"workflow.schedule\" does not exist"))
        .await;
    in_shop.run("ALTER TABLE workflow.gone RENAME TO schedule").await;
    assert_ticked(&mut in_shop).await;

    // A database can be dropped and created again; this is logged once.
    in_shop.connection.close().await.unwrap();
    admin.execute("DROP DATABASE shop WITH (FORCE)").await.unwrap();
    until("it is missed", async || server.log().contains("database \"shop\" does not exist yet")).await;
    admin.execute("CREATE DATABASE shop").await.unwrap();
    until("it has a ticker again", async || tickers(&mut admin).await == ["bare", "shop"]).await;
    for missing in ["nowhere", "shop"] {
        // Before it was created, and after it was dropped.
        let told = server.log().matches(&format!("database \"{missing}\" does not exist yet")).count();
        assert!(told <= if missing == "shop" { 2 } else { 1 }, "{missing}: {told}");
    }
    assert_eq!(server.log().matches("the extension is not installed in database \"bare\"").count(), 1);

    // The setting can change while the server runs.
    admin.execute("ALTER SYSTEM SET pg_workflow.databases = 'shop'").await.unwrap();
    admin.execute("SELECT pg_reload_conf()").await.unwrap();
    until("only one is left", async || tickers(&mut admin).await == ["shop"]).await;
    // The launcher is restarted if it is terminated.
    let launcher = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_workflow launcher'";
    let pid: i32 = sqlx::query_scalar(launcher).fetch_one(&mut admin).await.unwrap();
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut admin).await.unwrap();
    until("another launcher", async || {
        let now: Option<i32> = sqlx::query_scalar(launcher).fetch_optional(&mut admin).await.unwrap();
        now.is_some_and(|now| now != pid)
    })
    .await;

    // It stops with the server, and starts with it.
    admin.close().await.unwrap();
    let begin = Instant::now();
    server.stop("fast");
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    server.start();
    let mut admin = server.options.connect().await.unwrap();
    until("it has a ticker after the start", async || tickers(&mut admin).await == ["shop"]).await;
    admin.close().await.unwrap();
}

#[tokio::test]
async fn without_preload_a_function_starts_and_stops_a_ticker() {
    with_database(async |db| {
        let mut running = session(&db.options()).await;
        assert!(!Engine::stop_ticker(&db.pool).await.unwrap(), "there is none");
        assert!(Engine::start_ticker(&db.pool).await.unwrap());
        until("it is seen", async || tickers(&mut running.connection).await.contains(&db.name)).await;
        assert!(!Engine::start_ticker(&db.pool).await.unwrap(), "one is enough");
        assert_ticked(&mut running).await;
        assert!(Engine::stop_ticker(&db.pool).await.unwrap());
        assert!(!tickers(&mut running.connection).await.contains(&db.name), "it is gone");
        assert!(!Engine::stop_ticker(&db.pool).await.unwrap());
        // A stopped ticker is not restarted automatically, but can be started by hand.
        assert!(Engine::start_ticker(&db.pool).await.unwrap());
        assert_ticked(&mut running).await;
        assert!(Engine::stop_ticker(&db.pool).await.unwrap());
        assert!(!tickers(&mut running.connection).await.contains(&db.name), "it is gone again");
        // Both in one statement: when the second call runs, the first has already started a ticker.
        let both = "SELECT workflow_start_ticker() AND workflow_stop_ticker()";
        assert!(running.value::<bool>(both).await);
        assert!(!tickers(&mut running.connection).await.contains(&db.name), "it is gone for good");
    })
    .await;
}

#[tokio::test]
async fn of_many_who_start_a_ticker_at_once_one_has_started_it() {
    with_database(async |db| {
        for _ in 0..5 {
            let starts = (0..4).map(|_| async {
                let mut session = db.connect().await;
                Engine::start_ticker(&mut session).await.unwrap()
            });
            let started = futures::future::join_all(starts).await;
            assert_eq!(started.iter().filter(|started| **started).count(), 1, "{started:?}");
            assert!(Engine::stop_ticker(&db.pool).await.unwrap());
            assert!(!Engine::stop_ticker(&db.pool).await.unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn a_ticker_that_fails_can_be_stopped_and_does_not_come_back() {
    with_database(async |db| {
        let mut running = session(&db.options()).await;
        let rename = "ALTER TABLE workflow.schedule RENAME TO gone";
        running.run(rename).await;
        assert!(Engine::start_ticker(&db.pool).await.unwrap());
        let failed = format!("SELECT xact_rollback > 0 FROM pg_stat_database WHERE datname = '{}'", db.name);
        until("a tick has failed", async || running.value::<bool>(failed.as_str()).await).await;
        assert!(!Engine::start_ticker(&db.pool).await.unwrap(), "it is still there");
        assert!(Engine::stop_ticker(&db.pool).await.unwrap());
        assert!(!tickers(&mut running.connection).await.contains(&db.name));
        running.run("ALTER TABLE workflow.gone RENAME TO schedule").await;
    })
    .await;
}

/// A role without any privileges can take every advisory lock available in SQL, which blocks nobody.
#[tokio::test]
async fn advisory_locks_of_others_do_not_interfere() {
    with_database(async |db| {
        let (nobody, reader) = (db.role().await, db.role().await);
        let mut locks = db.connect_as(&nobody).await;
        for lock in [
            "pg_advisory_lock('pg_extension'::regclass::oid::int, 0)",
            "pg_advisory_lock('pg_extension'::regclass::oid::int, e.oid::int)",
            "pg_advisory_lock(p, n)",
            "pg_advisory_lock(p::bigint << 32 | n)",
        ] {
            let all = "FROM pg_extension e, generate_series(0, 2) AS p, generate_series(0, 1) AS n WHERE e.extname = 'pg_workflow'";
            locks.execute(AssertSqlSafe(format!("SELECT {lock} {all}"))).await.unwrap();
        }
        let mut running = session(&db.options()).await;
        running.run("SET lock_timeout = '1s'").await;
        running.run(format!("SELECT workflow_grant('{reader}', 'reader'), workflow_revoke('{reader}', 'reader')")).await;
        assert!(Engine::start_ticker(&mut running.connection).await.unwrap());
        assert_ticked(&mut running).await;
        // The ticker's lock is of a class that no SQL function for advisory locks can take or release.
        let classes = format!(
            "SELECT string_agg(DISTINCT l.objsubid::text, ' ') FROM pg_locks l JOIN pg_stat_activity a USING (pid)
             WHERE l.locktype = 'advisory' AND a.datname = '{}' AND a.backend_type = 'pg_workflow ticker'",
            db.name
        );
        assert_eq!(running.value::<String>(classes).await, "30566");
        assert!(Engine::stop_ticker(&mut running.connection).await.unwrap());
        locks.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn where_no_background_worker_is_left_nothing_is_said_to_have_started() {
    // One of them is the server's own.
    let server = Server::create("worker-slots", &["max_worker_processes = 2"]);
    let mut admin = server.options.connect().await.unwrap();
    admin.execute("CREATE EXTENSION pg_workflow").await.unwrap();
    admin.execute("CREATE DATABASE other").await.unwrap();
    let mut other = server.options.clone().database("other").connect().await.unwrap();
    other.execute("CREATE EXTENSION pg_workflow").await.unwrap();
    assert!(Engine::start_ticker(&mut admin).await.unwrap());
    let refusal = Refusal::of(other.execute("SELECT workflow_start_ticker()").await.unwrap_err());
    assert_eq!(refusal.code(), ("54000", "WF614"), "{refusal:?}");
    assert!(Engine::stop_ticker(&mut admin).await.unwrap());
    assert!(Engine::start_ticker(&mut other).await.unwrap());
    assert!(Engine::stop_ticker(&mut other).await.unwrap());
    admin.close().await.unwrap();
    other.close().await.unwrap();
}

/// A ticker uses the real clock and READ COMMITTED, whatever is set for its database.
#[tokio::test]
async fn what_is_set_for_a_database_does_not_disturb_its_ticker() {
    with_database(async |db| {
        let mut running = session(&db.options()).await;
        for setting in [
            "default_transaction_isolation = 'serializable'",
            "default_transaction_read_only = on",
            "statement_timeout = 1",
        ] {
            running
                .connection
                .execute(AssertSqlSafe(format!("ALTER DATABASE {} SET {setting}", db.name)))
                .await
                .unwrap();
        }
        assert!(Engine::start_ticker(&mut running.connection).await.unwrap());
        assert_ticked(&mut running).await;
        running.run(format!("ALTER DATABASE {} RESET ALL", db.name)).await;
        assert!(Engine::stop_ticker(&mut running.connection).await.unwrap());
    })
    .await;
}
