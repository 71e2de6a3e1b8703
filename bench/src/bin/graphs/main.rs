//! `make bench-graphs`: many workers on one graph, compared with a handwritten countdown of dependencies on the same
//! server. README.md explains how to read the figures.

mod by_hand;
mod makespan;
mod ours;
mod run;
mod shape;
mod wfformat;

use pg_workflow_bench::server::Server;
use pg_workflow_bench::setting::{Settings, number, numbers};
use run::Side;
use shape::{Load, SHAPES};
use std::path::Path;
use std::process::ExitCode;

/// Why the benchmark failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Bench(#[from] pg_workflow_bench::Error),
    #[error("a worker: {0}")]
    Worker(Box<pg_workflow_client::Error>),
    #[error("the server: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the work of {0} was not all done")]
    Undone(String),
    #[error("{0} is not an instance in WfFormat")]
    Instance(String),
    #[error("the report can't be written: {0}")]
    Report(#[from] serde_json::Error),
}

type Result<T> = std::result::Result<T, Error>;

/// Numbers of workers.
const WORKERS: &[u32] = &[1, 2, 4, 8, 16];
/// Numbers of tasks that a worker reports and claims at once.
const BATCHES: &[u32] = &[1, 10, 100];
/// Number of executions per run, to be multiplied by the batch size; at most 50 in total. Enough that connecting and
/// compiling the graph are a small part of a run.
const EXECUTIONS: u32 = 5;
/// Number of tasks with a duration that are executed at once.
const TIMED_TASKS: u32 = 32;
/// Numbers of such tasks that one worker executes at once.
const TIMED_CONCURRENCIES: &[u32] = &[1, 8];
/// Minimum duration of an execution, in seconds, to which the times of recorded instances are scaled.
const SCALED_SECONDS: f64 = 3.0;

#[tokio::main]
async fn main() -> ExitCode {
    match measure().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-graphs: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let settings = Settings::from_environment(1, 3)?;
    let executions = number("BENCH_EXECUTIONS", EXECUTIONS)?;
    let (batches, worker_counts) = (numbers("BENCH_BATCHES", BATCHES)?, numbers("BENCH_WORKERS", WORKERS)?);
    let is_wanted = |name: &str| settings.only.is_empty() || settings.only.iter().any(|only| only == name);
    let server = Server::create(&root, &root.join("target/bench/graphs"))?;
    let mut rows = Vec::new();
    for (name, shape) in SHAPES.iter().filter(|(name, _)| is_wanted(name)) {
        let graph = shape();
        for batch in &batches {
            for workers in &worker_counts {
                let mut speeds = [Vec::new(), Vec::new()];
                for _ in 0..settings.rounds {
                    for (side, speeds) in [Side::Ours, Side::ByHand].into_iter().zip(&mut speeds) {
                        speeds.push(
                            run::speed(&server, side, &graph, (executions * batch).min(50), *workers, *batch).await?,
                        );
                    }
                }
                let [ours, by_hand] = speeds.map(median);
                println!(
                    "{name:8} batch {batch:3}, {workers:2} workers: {ours:7.0} tasks/s, by hand {by_hand:7.0}, ratio {:.2}",
                    ours / by_hand
                );
                rows.push(serde_json::json!({"shape": name, "tasks": graph.len(), "batch": batch, "workers": workers,
                    "ours": ours.round(), "by_hand": by_hand.round(), "ratio": (ours / by_hand * 100.0).round() / 100.0}));
            }
        }
    }
    rows.extend(measure_makespans(&server, settings.rounds, is_wanted).await?);
    let path = root.join("target/bench/graphs.json");
    let text = serde_json::to_string_pretty(&rows)?;
    let io = |source| pg_workflow_bench::Error::Io { what: path.display().to_string(), source };
    std::fs::write(&path, text).map_err(io)?;
    println!("{} rounds; the rows are in {}", settings.rounds, path.display());
    Ok(())
}

/// Compares the duration of an execution whose tasks take time with the minimum that any scheduler could achieve.
async fn measure_makespans(
    server: &Server,
    rounds: u32,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<serde_json::Value>> {
    let (at_once, concurrencies) =
        (number("BENCH_TIMED_TASKS", TIMED_TASKS)?, numbers("BENCH_TIMED_CONCURRENCIES", TIMED_CONCURRENCIES)?);
    let mut loads: Vec<Load> = shape::timed().into_iter().filter(|load| is_wanted(&load.name)).collect();
    if let Some(folder) = std::env::var_os("WFCOMMONS_DIR") {
        for mut load in wfformat::read_all(Path::new(&folder))? {
            let scale = SCALED_SECONDS / makespan::bound(&load, at_once).max(f64::MIN_POSITIVE);
            load.seconds.iter_mut().for_each(|seconds| *seconds *= scale.min(1.0));
            loads.push(load);
        }
    }
    let mut rows = Vec::new();
    for (load, concurrency) in loads.iter().flat_map(|load| concurrencies.iter().map(move |each| (load, *each))) {
        let (workers, mut taken) = (at_once / concurrency, Vec::new());
        for _ in 0..rounds {
            taken.push(makespan::measure(server, load, workers, concurrency).await?);
        }
        let (bound, taken) = (makespan::bound(load, at_once), median(taken));
        let (name, tasks) = (&load.name, load.graph.len());
        println!(
            "{name}, {tasks} tasks that take time, {workers} workers of {concurrency} each: {taken:.2} s, at least \
             {bound:.2} s, {:.2} times that",
            taken / bound
        );
        rows.push(serde_json::json!({"shape": name, "tasks": tasks, "workers": workers, "concurrency": concurrency,
            "bound": bound, "makespan": taken, "over": (taken / bound * 100.0).round() / 100.0}));
    }
    Ok(rows)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
