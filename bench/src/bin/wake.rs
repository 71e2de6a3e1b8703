//! `make bench`, `make bench-peers` and `make check-latency`: how soon an idle worker of the client, with default
//! settings, gets tasks that are started, and what waking it costs those who start them. README.md explains how to read
//! the figures.

use pg_workflow_bench::server::Server;
use pg_workflow_client::worker::{CancellationToken, Worker};
use pg_workflow_client::{Engine, RegisterActionInput, StartInput};
use serde_json::json;
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor, PgPool};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

type Error = Box<dyn std::error::Error>;

/// Number of starts whose latency is measured.
const STARTS: usize = 300;
/// Maximum pause between two of them, in milliseconds.
const MAX_PAUSE: u64 = 200;
/// Limits of the median and of the 95th percentile, in milliseconds.
const LIMITS: [f64; 2] = [5.0, 20.0];
/// Duration of one run of a start loop.
const RUN: Duration = Duration::from_secs(2);
/// Runs per way and number of clients.
const ROUNDS: usize = 7;

const WORKFLOW: &str = "{ref: bench.wake, label: Wake, version: 1.0.0, tasks: [{name: only, action: bench.step}]}";

#[tokio::main]
async fn main() -> ExitCode {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    match measure(has("--limits"), has("--peers")).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("wake: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints. Returns whether the latency is within its limits.
async fn measure(only_latency: bool, peers: bool) -> Result<bool, Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let server = Server::create(&root, &root.join("target/bench/wake"))?;
    let pool = PgPoolOptions::new().max_connections(20).connect(&server.url("postgres")).await?;
    pool.execute("CREATE EXTENSION pg_workflow").await?;
    Engine::register_action(&pool, RegisterActionInput::new("bench.step")).await?;
    Engine::define(&pool, WORKFLOW).await?;
    let [median, most] = latency(&pool).await?;
    let is_within = median <= LIMITS[0] && most <= LIMITS[1];
    println!(
        "from a start's commit to an idle worker's handler: p50 {median:.2} ms (at most {}), p95 {most:.2} ms (at most {})",
        LIMITS[0], LIMITS[1]
    );
    if peers {
        sqlx::query("CREATE DATABASE graphile").execute(&pool).await?;
        println!("the same of graphile-worker: {}", graphile(&root.join("target/peers"), &server.url("graphile"))?);
    } else if !only_latency {
        for clients in [1, 8] {
            cost(&pool, clients).await?;
        }
    }
    pool.close().await;
    Ok(is_within)
}

/// Returns the median and the 95th percentile, in milliseconds.
async fn latency(pool: &PgPool) -> Result<[f64; 2], Error> {
    let (came, mut comes) = unbounded_channel();
    let handler = move |_, _| {
        let _ = came.send(Instant::now());
        async { Ok(json!(null)) }
    };
    let worker = Worker::builder(pool.clone()).task_handler("bench.step", handler).build()?;
    let stop = CancellationToken::new();
    let (stopped, run) = (stop.clone(), tokio::spawn(async move { worker.run(stop).await }));
    let mut random = 1_u64;
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        sleep(Duration::from_millis((random >> 33) % MAX_PAUSE)).await;
        Engine::start(pool, StartInput { r#ref: "bench.wake".into(), ..Default::default() }).await?;
        let committed = Instant::now();
        let claimed = comes.recv().await.ok_or("the worker has stopped")?;
        times.push(claimed.saturating_duration_since(committed).as_secs_f64() * 1e3);
    }
    stopped.cancel();
    run.await??;
    times.sort_by(f64::total_cmp);
    Ok([times[times.len() / 2], times[times.len() * 95 / 100]])
}

/// Describes the latency of graphile-worker, which `make bench-peers` has installed.
fn graphile(folder: &Path, url: &str) -> Result<String, Error> {
    let node = folder.join("node_modules/.bin/node");
    if !node.exists() {
        return Ok("left out, because it is not installed".to_owned());
    }
    let script = folder.join("graphile_worker_wake.mjs");
    let output = Command::new(node).arg(script).env("DATABASE_URL", url).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let [median, most] = text.split(' ').collect::<Vec<_>>()[..] else {
        return Err(format!("it said {text:?}").into());
    };
    Ok(format!("p50 {median} ms, p95 {most} ms"))
}

/// Prints the speed of loops that only start executions, with a worker that is always idle and never claims, with and
/// without notifications.
async fn cost(pool: &PgPool, clients: usize) -> Result<(), Error> {
    let mut ears = PgListener::connect_with(pool).await?;
    ears.listen("pg_workflow").await?;
    Engine::announce_idle(&mut ears, None).await?;
    let hearing = tokio::spawn(async move { while ears.recv().await.is_ok() {} });
    let mut ratios = Vec::new();
    let mut speeds = [0.0, 0.0];
    for round in 0..ROUNDS {
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for way in order {
            speeds[way] = starts_per_second(pool, clients, ["off", "on"][way]).await?;
        }
        ratios.push(speeds[1] / speeds[0]);
    }
    hearing.abort();
    ratios.sort_by(f64::total_cmp);
    println!(
        "{clients} clients that only start, an idle worker listening: {:.0} starts/s, {:.3} ({:.3} to {:.3}) of those without notifications",
        speeds[1],
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1]
    );
    Ok(())
}

async fn starts_per_second(pool: &PgPool, clients: usize, notify: &str) -> Result<f64, Error> {
    let end = Instant::now() + RUN;
    let loops = (0..clients).map(|_| {
        let (pool, set) = (pool.clone(), format!("SET pg_workflow.notify = {notify}"));
        tokio::spawn(async move {
            let mut session = pool.acquire().await?;
            session.execute(AssertSqlSafe(set)).await?;
            let mut count = 0_u32;
            while Instant::now() < end {
                sqlx::query("SELECT workflow_start('bench.wake')").execute(&mut *session).await?;
                count += 1;
            }
            session.execute("RESET pg_workflow.notify").await?;
            Ok::<_, sqlx::Error>(count)
        })
    });
    let mut total = 0;
    for client in loops.collect::<Vec<_>>() {
        total += client.await??;
    }
    sqlx::query("CHECKPOINT").execute(pool).await?;
    Ok(f64::from(total) / RUN.as_secs_f64())
}
