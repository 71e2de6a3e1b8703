//! Background workers that tick: by the setting of a server that preloads the library, and by a function.

use crate::fixture::*;
use pg_workflow_client::Engine;
use pg_workflow_tests::{Server, with_database};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use std::time::{Duration, Instant};

/// Asks until the answer is yes.
async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !ask().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A session whose clock runs.
async fn session(options: &PgConnectOptions) -> Session {
    let mut session = Session::open(options).await;
    session.run("RESET pg_workflow.test_now").await;
    session
}

/// Starts a workflow whose task has a delay, and waits until somebody has let it pass.
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

/// The databases that have a ticker. One that is about to start has no database yet.
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

    // What fails ends one process, and another goes on when it is mended.
    let fail = "ALTER FUNCTION workflow.fire_schedules(int, timestamptz, int[]) RENAME TO";
    in_shop.run(format!("{fail} gone")).await;
    until("the ticker has failed", async || {
        server.log().contains("workflow.fire_schedules(integer, timestamp with time zone, integer[]) does not exist")
    })
    .await;
    in_shop.run("ALTER FUNCTION workflow.gone(int, timestamptz, int[]) RENAME TO fire_schedules").await;
    assert_ticked(&mut in_shop).await;

    // A database can go and come back; it is told once.
    in_shop.connection.close().await.unwrap();
    admin.execute("DROP DATABASE shop WITH (FORCE)").await.unwrap();
    until("it is missed", async || server.log().contains("there is no database \"shop\"")).await;
    admin.execute("CREATE DATABASE shop").await.unwrap();
    until("it has a ticker again", async || tickers(&mut admin).await == ["bare", "shop"]).await;
    for missing in ["nowhere", "shop"] {
        // Before it was made, and after it was dropped.
        let told = server.log().matches(&format!("there is no database \"{missing}\"")).count();
        assert!(told <= if missing == "shop" { 2 } else { 1 }, "{missing}: {told}");
    }
    assert_eq!(server.log().matches("the extension is not in database \"bare\"").count(), 1);

    // The setting can change while the server runs.
    admin.execute("ALTER SYSTEM SET pg_workflow.databases = 'shop'").await.unwrap();
    admin.execute("SELECT pg_reload_conf()").await.unwrap();
    until("only one is left", async || tickers(&mut admin).await == ["shop"]).await;
    // The launcher comes back where somebody ends it.
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
        until("it is gone", async || !tickers(&mut running.connection).await.contains(&db.name)).await;
        assert!(!Engine::stop_ticker(&db.pool).await.unwrap());
        // What is stopped is not started again by itself, and can be by hand.
        assert!(Engine::start_ticker(&db.pool).await.unwrap());
        assert_ticked(&mut running).await;
        assert!(Engine::stop_ticker(&db.pool).await.unwrap());
        until("it is gone again", async || !tickers(&mut running.connection).await.contains(&db.name)).await;
    })
    .await;
}

/// A ticker goes by the real clock and by READ COMMITTED, whatever is set for its database.
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
        until("it is gone", async || !tickers(&mut running.connection).await.contains(&db.name)).await;
    })
    .await;
}
