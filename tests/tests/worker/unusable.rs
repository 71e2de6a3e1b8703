//! Databases that cannot be used, and errors as a program prints them.

use crate::fixture::*;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::worker::{CancellationToken, Failure, Worker};
use pg_workflow_client::{Engine, Error, StartInput};
use pg_workflow_tests::with_database;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::time::Duration;
use tokio::time::timeout;

/// Runs a worker that connects by itself, until it ends.
async fn run(options: PgConnectOptions) -> String {
    let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options);
    let worker = Worker::builder(pool).handler("ci.first", |_: Value, _| async { Ok(()) }).build().unwrap();
    let end = timeout(Duration::from_secs(60), worker.run(CancellationToken::new())).await.expect("it ends");
    end.expect_err("it cannot work").to_string()
}

#[tokio::test]
async fn a_worker_ends_if_the_database_can_not_be_used() {
    with_database(async |db| {
        let missing = run(db.options().database("pg_workflow_missing")).await;
        assert_eq!(missing, "database \"pg_workflow_missing\" does not exist");
        let nobody = run(db.options().username("pg_workflow_nobody")).await;
        assert_eq!(nobody, "role \"pg_workflow_nobody\" does not exist");
        sqlx::query("DROP EXTENSION pg_workflow CASCADE").execute(&db.pool).await.unwrap();
        let plain = run(db.options()).await;
        let expected =
            "the database has no pg_workflow, or an older version than this client: function pg_catalog.workflow_";
        assert!(plain.starts_with(expected) && !plain.contains("at line"), "{plain}");
        sqlx::query("CREATE EXTENSION pg_workflow CASCADE").execute(&db.pool).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_waits_for_a_connection_can_be_stopped() {
    with_database(async |db| {
        let pool = PgPoolOptions::new()
            .max_connections(3)
            .acquire_timeout(Duration::from_secs(600))
            .connect_lazy_with(db.options());
        // Somebody else has all of its connections.
        let taken = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
        let worker = Worker::builder(pool.clone()).handler("ci.first", |_: Value, _| async { Ok(()) }).build().unwrap();
        let running = worker.spawn();
        tokio::time::sleep(Duration::from_millis(50)).await;
        timeout(Duration::from_secs(20), running.stop()).await.expect("it stops").unwrap();
        drop(taken);
    })
    .await;
}

#[tokio::test]
async fn the_output_of_what_has_not_completed_is_an_error_that_says_why() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let id = Engine::start(&db.pool, StartInput::new("ci.single")).await.unwrap().unwrap();
        let open = Engine::wait(&db.pool, id, Duration::ZERO).await.unwrap();
        let error = open.output_as::<Value>().unwrap_err();
        assert_eq!(error.to_string(), format!("execution {id} has not ended: its status is running"));
        let fail = |_: Value, _| async { Err::<(), _>(Failure::new("full", "no room").do_not_retry()) };
        let worker = worker(db, "w").handler("ci.first", fail).build().unwrap().spawn();
        let error = ended(db, id).await.output_as::<Value>().unwrap_err();
        assert!(
            matches!(&error, Error::NotCompleted { execution, status: ExecutionStatus::Failed, message: Some(_) } if *execution == id),
            "{error:?}"
        );
        assert!(error.to_string().starts_with(&format!("execution {id} has failed: ")), "{error}");
        worker.stop().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_findings_of_a_refused_definition_are_printed_one_by_one() {
    with_database(async |db| {
        let source =
            "ref: ci.bad\nlabel: Bad\nversion: 1.0.0\ntasks:\n  - {name: a, action: nowhere.a, on_success: c}\n";
        let error = Engine::define(&db.pool, source).await.unwrap_err();
        let text = error.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with(": the definition has errors"), "{text}");
        assert_eq!(lines.len(), 1 + error.findings().len(), "{text}");
        assert!(lines[1..].iter().all(|line| line.starts_with("  line 5, column ")), "{text}");
        assert!(error.findings().len() > 1, "{text}");
        let other = Engine::start(&db.pool, StartInput::new("ci.none")).await.unwrap_err().to_string();
        assert!(other.starts_with("WF616: "), "{other}");
    })
    .await;
}
