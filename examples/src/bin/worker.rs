//! A worker for the actions of `deploy.yaml`. It only simulates them, with a pause that stands in for real work.
//!
//! DATABASE_URL names the database; WORKER_NAME, WORKER_LEASE (seconds) and WORKER_CONCURRENCY are optional.

use pg_workflow_client::ClaimedTask;
use pg_workflow_client::worker::{Failure, Worker, shutdown_signal};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::error::Error;
use std::time::Duration;
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let pool = PgPool::connect_lazy(&std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?)?;
    let worker = Worker::builder(pool)
        .name(std::env::var("WORKER_NAME").unwrap_or_else(|_| format!("rust {}", std::process::id())))
        .lease(Duration::from_secs(setting("WORKER_LEASE", 30)?))
        .concurrency(setting("WORKER_CONCURRENCY", 8)? as usize)
        .handler("ci.build", |task, _| build(task))
        .handler("ci.lint", |task, _| async move {
            work(&task).await;
            Ok(json!({"warnings": task.task % 3}))
        })
        .handler("ci.scan", |task, _| async move {
            work(&task).await;
            Ok(json!({"critical": i32::from(text(&task, "image")?.contains("legacy"))}))
        })
        .handler("k8s.apply", |task, _| async move {
            work(&task).await;
            let (image, region) = (text(&task, "image")?, text(&task, "region")?);
            let app = image.split(['/', ':']).nth(1).unwrap_or(image);
            Ok(json!({"url": format!("https://{app}.{region}.example.com")}))
        })
        .handler("k8s.rollback", |task, _| async move {
            work(&task).await;
            Ok(json!({}))
        })
        .handler("chat.post", |task, _| async move {
            work(&task).await;
            Ok(json!({"posted": text(&task, "text")?}))
        })
        .build();
    Ok(worker.run(shutdown_signal()?).await?)
}

async fn build(task: ClaimedTask) -> Result<Value, Failure> {
    work(&task).await;
    let app = text(&task, "app")?;
    let broken = task.input.as_ref().and_then(|input| input["broken_builds"].as_i64()).unwrap_or(0);
    if i64::from(task.attempt) <= broken {
        return Err(Failure::new("flaky", "the registry does not answer"));
    }
    Ok(json!({"image": format!("registry/{app}:{}", task.execution)}))
}

/// Sleeps for some tens of milliseconds: different for each task, but the same for every attempt of one.
async fn work(task: &ClaimedTask) {
    sleep(Duration::from_millis(40 + (task.task * 37).rem_euclid(80) as u64)).await;
}

fn text<'t>(task: &'t ClaimedTask, key: &str) -> Result<&'t str, Failure> {
    let value = task.input.as_ref().and_then(|input| input[key].as_str());
    value.ok_or_else(|| Failure::new("input", format!("{key} is missing")).do_not_retry())
}

fn setting(name: &str, default: u64) -> Result<u64, String> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name} is not a number: {text}")),
        Err(_) => Ok(default),
    }
}
