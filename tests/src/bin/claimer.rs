//! A worker in a separate process, for tests that kill or suspend it: `claimer NAME CONCURRENCY`, on the database that
//! DATABASE_URL names. It claims tasks of demo.a one by one, and its handlers end when its standard input does. Its
//! messages go to standard error.

use pg_workflow_client::worker::{self, CancellationToken, Worker};
use serde_json::json;
use sqlx::PgPool;
use std::error::Error;
use std::io::Read;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "claimer NAME CONCURRENCY";
    let mut arguments = std::env::args().skip(1);
    let (name, concurrency) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?.parse()?);
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let ended = CancellationToken::new();
    let told = ended.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.cancel();
    });
    let result = name.clone();
    Worker::builder(PgPool::connect(&std::env::var("DATABASE_URL")?).await?)
        .name(name)
        .concurrency(concurrency)
        .batch_size(1)
        .poll_interval(Duration::from_millis(10))
        .task_handler("demo.a", move |_, _| {
            let (ended, result) = (ended.clone(), result.clone());
            async move {
                ended.cancelled().await;
                Ok(json!(result))
            }
        })
        .build()?
        .run(worker::shutdown_signal()?)
        .await?;
    Ok(())
}
