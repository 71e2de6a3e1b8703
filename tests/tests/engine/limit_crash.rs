//! Limits and crashes: a server is killed repeatedly in the middle of claims and reports under limits. No slot is lost,
//! and never do more tasks run than the limit allows.

use crate::fixture::*;
use pg_workflow_tests::Server;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const EXECUTIONS: usize = 60;
const WORKERS: usize = 4;
const CRASHES: usize = 4;

const WORKFLOW: &str = "parameters: {type: object, required: [key], properties: {key: {type: integer}}}
concurrency: {key: '{{ parameters.key }}', max: 5}
tasks:
  - {name: a, action: demo.a, limit: [{name: few, key: '{{ parameters.key }}'}, all], on_success: b}
  - {name: b, action: demo.b, limit: all}
";

/// Claims and reports until it is told to stop; reconnects whenever the server has crashed.
async fn work(options: PgConnectOptions, name: String, is_over: Arc<AtomicBool>) {
    while !is_over.load(Ordering::Relaxed) {
        let Ok(mut connection) = options.connect().await else {
            tokio::task::yield_now().await;
            continue;
        };
        while !is_over.load(Ordering::Relaxed) && turn(&mut connection, &name).await.is_ok() {}
    }
}

/// Claims tasks, and reports them in a second transaction, which claims more.
async fn turn(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let claim = format!("SELECT task, lease_token FROM workflow_claim('{name}', 3, NULL, interval '1 s')");
    let mut claimed = connection.fetch_all(AssertSqlSafe(claim)).await?;
    while !claimed.is_empty() {
        let outcomes: Vec<(i64, i64, &str)> = claimed.iter().map(|row| (row.get(0), row.get(1), "completed")).collect();
        let call = format!(
            "SELECT task, lease_token, state FROM workflow_finish_and_claim('{name}', {}, 3, NULL, interval '1 s')",
            outcome_array(&outcomes)
        );
        claimed = connection.fetch_all(AssertSqlSafe(call)).await?;
        claimed.retain(|row| row.get::<Option<&str>, _>(2) == Some("claimed"));
    }
    connection.execute("SELECT workflow_tick()").await?;
    Ok(())
}

/// Opens a session with the real clock, as soon as the server accepts connections again.
async fn session_of(server: &Server) -> Session {
    loop {
        match PgConnection::connect_with(&server.options).await {
            Ok(connection) => return Session { connection },
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
    let above: Vec<(String, i64)> = session
        .rows(
            "SELECT o.pair::text, count(*) FROM workflow.workflow_task_execution t CROSS JOIN jsonb_array_elements(t.limits) AS o(pair)
             WHERE t.status = 'running' GROUP BY 1 HAVING count(*) > CASE WHEN o.pair::text LIKE '%all%' THEN 6 ELSE 2 END
             UNION ALL
             SELECT w.concurrency_key, count(*) FROM workflow.workflow_execution w JOIN workflow.execution e ON e.id = w.id
             WHERE NOT workflow.is_end(e.status) AND w.limit_place IS NULL GROUP BY 1 HAVING count(*) > 5",
        )
        .await;
    assert_eq!(above, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_among_claims_loses_no_slot() {
    let server = Server::create("limit-crash", &["restart_after_crash=on"]);
    let mut session = session_of(&server).await;
    session.run("CREATE EXTENSION pg_workflow").await;
    session
        .run("SELECT workflow_set_limit('few', max_running => 2), workflow_set_limit('all', max_running => 6)")
        .await;
    session.define(WORKFLOW).await;
    let database: String = session.value("SELECT current_database()::text").await;
    session.run(format!("ALTER DATABASE {database} SET pg_workflow.max_lost_leases = 1000")).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| tokio::spawn(work(server.options.clone(), format!("w{number}"), is_over.clone())))
        .collect();
    let ended = "SELECT count(*) FROM workflow.execution WHERE status = 'completed'";
    for crash in 1..=CRASHES {
        session
            .run(format!(
                "SELECT workflow_start_many('demo.w', ARRAY(SELECT jsonb_build_object('key', n % 3) FROM generate_series(1, {EXECUTIONS}) AS n))"
            ))
            .await;
        // In the middle of the work.
        let some = (crash * EXECUTIONS - EXECUTIONS / 2) as i64;
        while session.value::<i64>(ended).await < some {
            assert_sound(&mut session).await;
        }
        let victim: i32 = session
            .value("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY state = 'active' DESC, random() LIMIT 1")
            .await;
        assert!(Command::new("kill").args(["-KILL", &victim.to_string()]).status().unwrap().success());
        while session.connection.execute("SELECT 1").await.is_ok() {}
        session = session_of(&server).await;
        assert_sound(&mut session).await;
    }
    while session.value::<i64>(ended).await < (CRASHES * EXECUTIONS) as i64 {
        assert_sound(&mut session).await;
        session.run("SELECT workflow_tick()").await;
    }
    is_over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    assert_sound(&mut session).await;
    let left: i64 = session.value("SELECT count(*) FROM workflow.limit_slot WHERE task IS NOT NULL").await;
    assert_eq!(left, 0);
}
