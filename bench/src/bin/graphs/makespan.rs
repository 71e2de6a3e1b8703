//! Tasks that take time: how long the client's workers take for one execution, compared with the minimum that any
//! scheduler could achieve.

use crate::ours;
use crate::shape::Load;
use crate::{Error, Result};
use pg_workflow_bench::server::Server;
use pg_workflow_client::ClaimedTask;
use pg_workflow_client::worker::{CancellationToken, Worker};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, Executor, PgConnection, query_scalar};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Interval between queries for the end of an execution.
const GLANCE: Duration = Duration::from_millis(2);

/// Returns the minimum duration of an execution, in seconds: its longest path, or all work divided among the workers.
pub fn bound(load: &Load, workers: u32) -> f64 {
    let mut ends: Vec<f64> = Vec::with_capacity(load.graph.len());
    for (task, before) in load.graph.iter().enumerate() {
        let begin = before.iter().map(|other| ends[*other]).fold(0.0, f64::max);
        ends.push(begin + load.seconds[task]);
    }
    let longest = ends.into_iter().fold(0.0, f64::max);
    longest.max(load.seconds.iter().sum::<f64>() / f64::from(workers))
}

/// Returns the seconds that an execution takes, from its start to its end, with this many workers that execute up to
/// `concurrency` tasks each. The workers have already processed one execution whose tasks took no time, so they are
/// connected and have cached the graph, as running workers have.
pub async fn measure(server: &Server, load: &Load, workers: u32, concurrency: u32) -> Result<f64> {
    server.sql("postgres", "DROP DATABASE IF EXISTS graphs WITH (FORCE); CREATE DATABASE graphs TEMPLATE template0")?;
    server.sql("graphs", &ours::prepare(&load.graph, 0))?;
    server.sql("graphs", "VACUUM (ANALYZE); CHECKPOINT")?;
    let (takes_time, stop) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let seconds: Arc<[f64]> = load.seconds.clone().into();
    let mut working = JoinSet::new();
    for number in 0..workers {
        let (takes_time, seconds) = (takes_time.clone(), seconds.clone());
        let handler = move |task: ClaimedTask, _| {
            let node =
                task.input.as_ref().and_then(|input| usize::try_from(input["n"].as_u64()?).ok()).unwrap_or_default();
            let time = if takes_time.load(Ordering::Relaxed) { seconds[node] } else { 0.0 };
            async move {
                tokio::time::sleep(Duration::from_secs_f64(time)).await;
                Ok(json!({"note": "pack and send it, carefully"}))
            }
        };
        let pool = PgPoolOptions::new().max_connections(3).connect(&server.url("graphs")).await?;
        let (name, tasks) = (format!("worker-{number}"), concurrency as usize);
        let builder = Worker::builder(pool).name(name).concurrency(tasks).batch_size(tasks);
        let worker = builder.task_handler("bench.step", handler).build().expect("it is complete");
        let stop = stop.clone();
        working.spawn(async move { worker.run(stop).await });
    }
    let mut session = PgConnection::connect(&server.url("graphs")).await?;
    play(&mut session).await?;
    takes_time.store(true, Ordering::Relaxed);
    session.execute("VACUUM (ANALYZE)").await?;
    session.execute("CHECKPOINT").await?;
    let taken = play(&mut session).await?;
    stop.cancel();
    while let Some(worker) = working.join_next().await {
        worker.expect("a worker does not panic").map_err(|error| Error::Worker(Box::new(error)))?;
    }
    let done: i64 = query_scalar(ours::DONE).fetch_one(&mut session).await?;
    session.close().await?;
    if done == 2 * load.graph.len() as i64 { Ok(taken) } else { Err(Error::Undone(load.name.clone())) }
}

/// Starts an execution, waits for its end, and returns the seconds between.
async fn play(session: &mut PgConnection) -> Result<f64> {
    let begin = Instant::now();
    session.execute("SELECT workflow_start('bench.graph')").await?;
    while query_scalar::<_, bool>(ours::LEFT).fetch_one(&mut *session).await? {
        tokio::time::sleep(GLANCE).await;
    }
    Ok(begin.elapsed().as_secs_f64())
}
