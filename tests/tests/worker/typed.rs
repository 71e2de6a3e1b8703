//! Handlers with their own types, the state that they share, and handlers that never end.

use crate::fixture::*;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::worker::{CancellationToken, Context, Failure};
use pg_workflow_client::{Engine, Error, StartInput};
use pg_workflow_tests::with_database;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::postgres::{PgPoolOptions, PgSslMode};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::timeout;

const SHOP: &str = "
ref: ci.shop
label: A charge
version: 1.0.0
parameters: {required: [amount], properties: {amount: {}}}
tasks:
  - name: charge
    action: ci.first
    input: {amount: '{{ parameters.amount }}'}
    retry: {count: 3, delay: 0}
    publish: [{receipt: '{{ result().receipt }}'}]
vars: [{receipt: null}]
output_map: [{receipt: '{{ vars.receipt }}'}]
";

#[derive(Serialize)]
struct Order {
    amount: Value,
}

#[derive(Deserialize)]
struct Charge {
    amount: f64,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Charged {
    receipt: String,
}

/// State shared by handlers.
#[derive(Default)]
struct Shop {
    charges: AtomicU32,
}

async fn charge(input: Charge, context: Context) -> Result<Charged, Failure> {
    context.state::<Arc<Shop>>().charges.fetch_add(1, Ordering::Relaxed);
    Ok(Charged { receipt: format!("{} of {} at {}", input.amount, context.execution(), context.attempt()) })
}

#[tokio::test]
async fn parameters_input_result_and_output_are_types_and_input_that_does_not_fit_is_not_retried() {
    with_database(async |db| {
        define(db, SHOP).await;
        let shop = Arc::new(Shop::default());
        let worker = Running::new(worker(db, "w").state(shop.clone()).handler("ci.first", charge));
        let start = |amount| StartInput::new("ci.shop").with_parameters(&Order { amount }).unwrap();
        let good = Engine::start(&db.pool, start(json!(9.5))).await.unwrap().unwrap();
        let bad = Engine::start(&db.pool, start(json!("much"))).await.unwrap().unwrap();
        let output: Charged = ended(db, good).await.output_as().unwrap();
        assert_eq!(output, Charged { receipt: format!("9.5 of {good} at 1") });
        let status = ended(db, bad).await;
        assert_eq!(status.status, ExecutionStatus::Failed);
        let task = tasks(db, bad).await.remove(0);
        let error = task.error.as_ref().unwrap();
        assert_eq!((task.attempt, &error["type"]), (1, &json!("input")), "{task:#?}");
        assert!(error["message"].as_str().unwrap().starts_with("the input does not fit: amount: "), "{error}");
        assert_eq!(shop.charges.load(Ordering::Relaxed), 1, "the handler has seen only what fits");
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_json_and_a_state_that_is_missing_are_failures_of_the_task() {
    with_database(async |db| {
        define(db, TWO_STEPS).await;
        let worker = worker(db, "w")
            .handler("ci.first", |_: Value, _| async { Ok(HashMap::from([((1, 2), 3)])) })
            .handler("ci.second", charge);
        let worker = Running::new(worker);
        let [execution] = start(db, "ci.chain", 1).await[..] else { panic!() };
        ended(db, execution).await;
        let error = tasks(db, execution).await[0].error.clone().unwrap();
        assert_eq!(error["type"], "result");
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_never_ends_loses_its_room_with_its_lease() {
    with_database(async |db| {
        define(db, ONE_STEP).await;
        let [stuck, next] = start(db, "ci.single", 2).await[..] else { panic!() };
        let worker = worker(db, "w").concurrency(1).lease(Duration::from_millis(300)).grace(Duration::ZERO).handler(
            "ci.first",
            move |_: Value, context: Context| async move {
                if context.execution() == stuck {
                    std::future::pending::<()>().await;
                }
                Ok(())
            },
        );
        let worker = Running::new(worker);
        until("the claim", async || (tasks(db, stuck).await[0].attempt == 1).then_some(())).await;
        Engine::force_cancel(&db.pool, stuck, None).await.unwrap();
        assert_eq!(ended(db, next).await.status, ExecutionStatus::Completed);
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_pool_of_one_connection_is_enough() {
    with_database(async |db| {
        define(db, TWO_STEPS).await;
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(db.options());
        let worker = pg_workflow_client::worker::Worker::builder(pool)
            .poll_interval(Duration::from_millis(10))
            .lease(Duration::from_secs(3))
            .handler("ci.first", |_: Value, context: Context| async move {
                // Longer than a lease, so a heartbeat must get through.
                let _ = timeout(Duration::from_secs(4), context.stopped()).await;
                Ok(json!({"sum": context.attempt()}))
            })
            .handler("ci.second", |input: Value, _| async move { Ok(json!({"sum": input["n"]})) });
        let worker = Running::new(worker);
        for execution in start(db, "ci.chain", 3).await {
            assert_eq!(ended(db, execution).await.output, Some(json!({"sum": 1})));
        }
        worker.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_must_use_tls_says_so_where_the_server_has_none() {
    with_database(async |db| {
        let pool = PgPoolOptions::new().connect_lazy_with(db.options().ssl_mode(PgSslMode::Require));
        let worker =
            pg_workflow_client::worker::Worker::builder(pool).handler("ci.first", |_: Value, _| async { Ok(()) });
        let end =
            timeout(Duration::from_secs(20), worker.build().unwrap().run(CancellationToken::new())).await.unwrap();
        assert!(matches!(end, Err(Error::Database(sqlx::Error::Tls(_)))), "{end:?}");
    })
    .await;
}

#[tokio::test]
async fn a_refused_definition_comes_with_its_findings() {
    with_database(async |db| {
        let error = Engine::define(
            &db.pool,
            "ref: ci.bad\nlabel: Bad\nversion: 1.0.0\ntasks: [{name: a, action: no.such}, {name: b, acton: x}]",
        );
        let findings = error.await.unwrap_err().findings();
        let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
        assert!(codes.contains(&"WF502") && codes.contains(&"WF003"), "{findings:#?}");
        assert_eq!(findings.iter().find(|finding| finding.code == "WF003").unwrap().line, Some(4));
        let other = Engine::status(&db.pool, 99).await.unwrap_err();
        assert_eq!(other.findings(), []);
    })
    .await;
}
