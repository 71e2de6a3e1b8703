//! `make bench-peers`: pg_workflow compared with other job and workflow systems, on one server, in alternation.
//! README.md explains how to read the figures, and why they are fair.

mod contender;
mod driver;
mod install;
mod report;
mod stage;

use contender::Contender;
use install::Tools;
use pg_workflow_bench::server::Server;
use pg_workflow_bench::setting::{Settings, number};
use report::Series;
use stage::Stage;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// Why the benchmark failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Bench(#[from] pg_workflow_bench::Error),
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error("{driver}: {problem}; what else it has to say is in {log}")]
    Driver { driver: String, problem: String, log: String },
    #[error("the work of {contender} was not all done: {problem}")]
    Undone { contender: String, problem: String },
    #[error("the server: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the report can't be written: {0}")]
    Report(#[from] serde_json::Error),
}

type Result<T> = std::result::Result<T, Error>;

/// Number of keys among which the jobs of a workload with limits are divided.
const KEYS: u32 = 100;

/// Jobs, or workflows of several steps in a row. For systems in which everything is a workflow, a job is a workflow of
/// one step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Workload {
    jobs: u32,
    steps: u32,
    /// Number of keys among which the jobs are divided; for each key, one job may run at once. 0 means no keys.
    keys: u32,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.steps, self.keys) {
            (1, 0) => f.write_str("jobs"),
            (steps, 0) => write!(f, "{steps} steps"),
            (_, keys) => write!(f, "jobs of {keys} keys"),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-peers: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let Settings { rounds, only, .. } = Settings::from_environment(1, 3)?;
    let (jobs, workflows) = (number("PEERS_JOBS", 100_000)?, number("PEERS_WORKFLOWS", 10_000)?);
    let workers = number("PEERS_WORKERS", 2)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository has this crate in it");
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder).map_err(|source| Error::Io { what: folder.display().to_string(), source })?;

    let mut contenders = contender::select(&only)?;
    let tools = Tools::install(root)?;
    let server = Server::create(root, &folder.join("peers-server"))?;
    let log = folder.join("peers.log");
    fs::write(&log, "").map_err(|source| Error::Io { what: log.display().to_string(), source })?;
    let stage = Stage { server, tools, workers, log };
    contenders.retain(|contender| stage.tools.has(contender.language));
    stage.rehearse(&contenders).await?;

    let mut all = Vec::new();
    for (steps, keys) in [(1, 0), (3, 0), (10, 0), (1, KEYS)] {
        let jobs = if (steps, keys) == (1, 0) { jobs } else { workflows };
        let able = contenders.iter().filter(|contender| contender.can_do(steps, keys));
        let workload = |contender: &Contender| Workload { jobs: (jobs / contender.fewer).max(1), steps, keys };
        let mut series: Vec<Series> = able.map(|contender| Series::new(contender, workload(contender))).collect();
        for round in 1..=rounds {
            for Series { contender, workload, samples } in &mut series {
                let sample = stage.measure(contender, *workload).await?;
                eprintln!("[{workload}, round {round} of {rounds}] {contender:24} {}", sample.line(*workload));
                samples.push(sample);
            }
            // Every other round runs backwards: nobody always follows the slowest.
            series.reverse();
        }
        series.sort_by_key(|series| contenders.iter().position(|contender| *contender == series.contender));
        all.extend(series);
    }
    drop(stage.server);

    let rows = report::rows(&all);
    report::write(&rows, stage.tools.missing(), &folder)?;
    println!("{}\n{}", report::terminal(&rows), report::left_out(stage.tools.missing()));
    println!("{rounds} rounds, {workers} workers each; the rows are in {}", folder.join("peers.json").display());
    Ok(())
}
