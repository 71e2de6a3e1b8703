//! A worker of the provider test, which kills it: `payer NAME PROVIDER`, on the database that DATABASE_URL names. Each
//! task of pay.charge is one call of the provider at that address: a line with the tenant, answered by a status.

use pg_workflow_client::worker::{self, Failure, Worker};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::error::Error;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

async fn call(provider: &str, tenant: &str) -> Result<String, std::io::Error> {
    let mut stream = TcpStream::connect(provider).await?;
    stream.write_all(format!("{tenant}\n").as_bytes()).await?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).await?;
    Ok(status.trim().to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "payer NAME PROVIDER";
    let mut arguments = std::env::args().skip(1);
    let (name, provider) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    Worker::builder(PgPool::connect(&std::env::var("DATABASE_URL")?).await?)
        .name(name)
        .concurrency(16)
        .lease(Duration::from_secs(3))
        .task_handler("pay.charge", move |task, _| {
            let provider = provider.clone();
            async move {
                let input = task.input.unwrap_or_default();
                match call(&provider, input["tenant"].as_str().unwrap_or_default()).await {
                    Ok(status) if status == "200" => Ok(json!(null)),
                    Ok(status) => Err::<Value, _>(Failure::new("too_many", status).hold_for(Duration::from_secs(1))),
                    Err(error) => Err(Failure::from(error)),
                }
            }
        })
        .build()?
        .run(worker::shutdown_signal()?)
        .await?;
    Ok(())
}
