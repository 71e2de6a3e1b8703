//! `make bench`: the speed of pg_workflow beside a hand-written queue, on one server, in turn. README.md says how to
//! read the figures.

mod report;
mod server;
mod workload;

use report::{Row, Sample};
use server::{Load, Server};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use workload::{Bench, Workload};

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{variable} is {value:?}: give a whole number from 1 on")]
    Setting { variable: &'static str, value: String },
    #[error("{program} failed: {output}")]
    Program { program: String, output: String },
    #[error("{program} answered what is not understood: {output}")]
    Answer { program: String, output: String },
    #[error("the work of {workload} was not all done:\n{problems}")]
    Undone { workload: String, problems: String },
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error("the report can't be written: {0}")]
    Report(#[from] serde_json::Error),
}

type Result<T> = std::result::Result<T, Error>;

const BATCHES: [u32; 3] = [1, 10, 100];
const CLIENTS: [u32; 2] = [1, 8];
const SYNCHRONOUS_COMMIT: [bool; 2] = [true, false];
/// In this order in each round: the queue runs next to both of ours.
const WORKLOADS: [Workload; 3] = [Workload::Linear { steps: 3 }, Workload::Queue, Workload::Linear { steps: 10 }];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let seconds = setting("BENCH_SECONDS", 4)?;
    let rounds = setting("BENCH_ROUNDS", 3)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository has this crate in it");
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder).map_err(|source| Error::Io { what: folder.display().to_string(), source })?;

    let server = Server::create(root, &folder.join("server"))?;
    eprintln!("bench: preparing");
    let bench = Bench::prepare(&server, &folder, &WORKLOADS)?;
    let rows = measure_all(&bench, seconds, rounds)?;
    drop(server);

    let path = write(&rows, &folder)?;
    println!("{}", report::table(&rows));
    println!("{} rounds of {seconds} s each, medians; the rows are in {}", rounds, path.display());
    Ok(())
}

fn measure_all(bench: &Bench<'_>, seconds: u32, rounds: u32) -> Result<Vec<Row>> {
    let total = SYNCHRONOUS_COMMIT.len() * CLIENTS.len() * BATCHES.len() * WORKLOADS.len() * rounds as usize;
    let mut count = 0;
    let mut rows = Vec::new();
    for synchronous_commit in SYNCHRONOUS_COMMIT {
        for clients in CLIENTS {
            for batch in BATCHES {
                let load = Load { batch, clients, synchronous_commit };
                let mut samples = WORKLOADS.map(|_| Vec::<Sample>::new());
                for round in 1..=rounds {
                    for (workload, samples) in WORKLOADS.iter().zip(&mut samples) {
                        let sample = bench.measure(workload, &load, seconds)?;
                        count += 1;
                        let (name, rate, left) = (workload.name(), sample.rate, sample.left);
                        eprintln!("[{count:3}/{total}] {load}, round {round}: {name:8} {rate:9.0} /s, {left} left");
                        samples.push(sample);
                    }
                }
                rows.extend(report::rows(&load, &WORKLOADS, &samples));
            }
        }
    }
    report::sort(&mut rows);
    Ok(rows)
}

fn write(rows: &[Row], folder: &Path) -> Result<PathBuf> {
    let path = folder.join("report.json");
    let file = File::create(&path).map_err(|source| Error::Io { what: path.display().to_string(), source })?;
    serde_json::to_writer_pretty(file, rows)?;
    Ok(path)
}

fn setting(variable: &'static str, default: u32) -> Result<u32> {
    let Ok(value) = std::env::var(variable) else { return Ok(default) };
    value.parse().ok().filter(|n| *n > 0).ok_or(Error::Setting { variable, value })
}
