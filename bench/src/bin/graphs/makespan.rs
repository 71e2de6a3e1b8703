//! Tasks that take time: how long one execution takes, beside the least that any scheduler could need.

use crate::ours::{self, Held};
use crate::shape::Load;
use crate::{Error, Result};
use pg_workflow_bench::server::Server;
use sqlx::{Connection, PgConnection, query_scalar};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long a worker that got nothing rests before it asks again.
const REST: Duration = Duration::from_millis(5);

/// Returns the seconds that an execution takes at least: its longest way, or all work divided among the workers.
pub fn bound(load: &Load, workers: u32) -> f64 {
    let mut ends: Vec<f64> = Vec::with_capacity(load.graph.len());
    for (task, before) in load.graph.iter().enumerate() {
        let begin = before.iter().map(|other| ends[*other]).fold(0.0, f64::max);
        ends.push(begin + load.seconds[task]);
    }
    let longest = ends.into_iter().fold(0.0, f64::max);
    longest.max(load.seconds.iter().sum::<f64>() / f64::from(workers))
}

/// Returns the seconds that an execution takes, from the first claim to the last report.
pub async fn measure(server: &Server, load: &Load, workers: u32) -> Result<f64> {
    server.sql("postgres", "DROP DATABASE IF EXISTS graphs WITH (FORCE); CREATE DATABASE graphs TEMPLATE template0")?;
    server.sql("graphs", &ours::prepare(&load.graph, 1))?;
    server.sql("graphs", "VACUUM (ANALYZE); CHECKPOINT")?;
    let mut connections = Vec::new();
    for _ in 0..workers {
        connections.push(PgConnection::connect(&server.url("graphs")).await?);
    }
    let seconds: Arc<[f64]> = load.seconds.clone().into();
    let begin = Instant::now();
    let mut working = JoinSet::new();
    for connection in connections {
        working.spawn(work(connection, seconds.clone()));
    }
    while let Some(worker) = working.join_next().await {
        worker.expect("a worker does not panic")?;
    }
    let taken = begin.elapsed().as_secs_f64();
    let mut connection = PgConnection::connect(&server.url("graphs")).await?;
    let done: i64 = query_scalar(ours::DONE).fetch_one(&mut connection).await?;
    connection.close().await?;
    if done == load.graph.len() as i64 { Ok(taken) } else { Err(Error::Undone(load.name.clone())) }
}

/// Works on one task at a time until nothing is left.
async fn work(mut connection: PgConnection, seconds: Arc<[f64]>) -> Result<()> {
    let mut held: Vec<Held> = Vec::new();
    loop {
        let reported = held.len();
        held = ours::turn(&mut connection, held, 1).await?;
        match held.first() {
            Some(task) => tokio::time::sleep(Duration::from_secs_f64(seconds[task.node])).await,
            None if reported > 0 => {}
            None if query_scalar::<_, bool>(ours::LEFT).fetch_one(&mut connection).await? => {
                tokio::time::sleep(REST).await;
            }
            None => break,
        }
    }
    connection.close().await?;
    Ok(())
}
