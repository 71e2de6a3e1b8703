//! One run: a fresh database, executions of one graph, and workers that do nothing but report and claim.

use crate::shape::Graph;
use crate::{Error, Result, by_hand, ours};
use pg_workflow_bench::server::Server;
use sqlx::{Connection, PgConnection, query_scalar};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Pause of a worker that got nothing before it asks again, so that polling does not slow down the other workers.
const REST: Duration = Duration::from_millis(1);

/// The side that is measured.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// This extension.
    Ours,
    /// A countdown of dependencies, written by hand.
    ByHand,
}

/// Returns how many tasks per second the workers process.
pub async fn speed(
    server: &Server,
    side: Side,
    graph: &Graph,
    executions: u32,
    workers: u32,
    batch: u32,
) -> Result<f64> {
    server.sql("postgres", "DROP DATABASE IF EXISTS graphs WITH (FORCE); CREATE DATABASE graphs TEMPLATE template0")?;
    let prepare = match side {
        Side::Ours => ours::prepare(graph, executions),
        Side::ByHand => by_hand::prepare(graph, executions),
    };
    server.sql("graphs", &prepare)?;
    server.sql("graphs", "VACUUM (ANALYZE); CHECKPOINT")?;
    let mut connections = Vec::new();
    for _ in 0..workers {
        connections.push(PgConnection::connect(&server.url("graphs")).await?);
    }
    let tasks = graph.len() * executions as usize;
    let begin = Instant::now();
    let mut working = JoinSet::new();
    for connection in connections {
        working.spawn(work(side, connection, batch as i32));
    }
    while let Some(worker) = working.join_next().await {
        worker.expect("a worker does not panic")?;
    }
    let speed = tasks as f64 / begin.elapsed().as_secs_f64();
    let mut connection = PgConnection::connect(&server.url("graphs")).await?;
    let done = match side {
        Side::Ours => ours::DONE,
        Side::ByHand => by_hand::DONE,
    };
    let done: i64 = query_scalar(done).fetch_one(&mut connection).await?;
    connection.close().await?;
    if done == tasks as i64 { Ok(speed) } else { Err(Error::Undone(format!("{side:?}: {done} of {tasks}"))) }
}

/// Reports and claims until nothing is left.
async fn work(side: Side, mut connection: PgConnection, batch: i32) -> Result<()> {
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    loop {
        let reported = ours.len() + by_hand.len();
        match side {
            Side::Ours => ours = ours::turn(&mut connection, ours, batch).await?,
            Side::ByHand => by_hand = by_hand::turn(&mut connection, by_hand, batch).await?,
        }
        // A worker that has reported asks again at once.
        if ours.len() + by_hand.len() + reported == 0 {
            let left = match side {
                Side::Ours => ours::LEFT,
                Side::ByHand => by_hand::LEFT,
            };
            if !query_scalar::<_, bool>(left).fetch_one(&mut connection).await? {
                break;
            }
            tokio::time::sleep(REST).await;
        }
    }
    connection.close().await?;
    Ok(())
}
