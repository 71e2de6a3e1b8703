//! A worker for the actions of `deploy.yaml`. It only simulates them, with a pause that stands in for real work.
//!
//! DATABASE_URL names the database; WORKER_NAME, WORKER_LEASE (seconds) and WORKER_CONCURRENCY are optional.

use pg_workflow_client::worker::{Context, Failure, Worker, shutdown_signal};
use serde::{Deserialize, Serialize};
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
        .handler("ci.build", build)
        .handler("ci.lint", |_: Value, context| async move {
            work(&context).await;
            Ok(json!({"warnings": context.task().task % 3}))
        })
        .handler("ci.scan", |input: Image, context| async move {
            work(&context).await;
            Ok(json!({"critical": i32::from(input.image.contains("legacy"))}))
        })
        .handler("k8s.apply", |input: Apply, context| async move {
            work(&context).await;
            let app = input.image.split(['/', ':']).nth(1).unwrap_or(&input.image);
            Ok(json!({"url": format!("https://{app}.{}.example.com", input.region)}))
        })
        .handler("k8s.rollback", |_: Value, context| async move {
            work(&context).await;
            Ok(json!({}))
        })
        .handler("chat.post", |input: Post, context| async move {
            work(&context).await;
            Ok(json!({"posted": input.text}))
        })
        .build()?;
    Ok(worker.run(shutdown_signal()?).await?)
}

#[derive(Deserialize)]
struct Build {
    app: String,
    #[serde(default)]
    broken_builds: i32,
}

#[derive(Deserialize, Serialize)]
struct Image {
    image: String,
}

#[derive(Deserialize)]
struct Apply {
    image: String,
    region: String,
}

#[derive(Deserialize)]
struct Post {
    text: String,
}

async fn build(input: Build, context: Context) -> Result<Image, Failure> {
    work(&context).await;
    if context.attempt() <= input.broken_builds {
        return Err(Failure::new("flaky", "the registry does not answer"));
    }
    Ok(Image { image: format!("registry/{}:{}", input.app, context.execution()) })
}

/// Sleeps for some tens of milliseconds: different for each task, but the same for every attempt of one.
async fn work(context: &Context) {
    sleep(Duration::from_millis(40 + (context.task().task * 37).rem_euclid(80) as u64)).await;
}

fn setting(name: &str, default: u64) -> Result<u64, String> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name} is not a number: {text}")),
        Err(_) => Ok(default),
    }
}
