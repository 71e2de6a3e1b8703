//! `make bench`: the performance of pg_workflow compared with hand-written SQL, on one server, in alternation.
//! README.md explains how to read the figures.

mod figures;
mod goals;
mod idle;
mod latency;
mod matrix;
mod page;
mod pgbench;
mod plot;
mod progress;
mod report;
mod stage;
mod table;
mod throughput;
mod workload;

use goals::Goal;
use matrix::Experiment;
use pg_workflow_bench::{Error, Result, definition, server, setting, spread};
use progress::Progress;
use report::{Circumstances, IdleRow, LatencyRow, Report, Row};
use server::Server;
use setting::Settings;
use stage::Stage;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use table::Table;

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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository has this crate in it");
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder).map_err(|source| Error::Io { what: folder.display().to_string(), source })?;
    let command = std::env::args().nth(1).unwrap_or_default();
    match command.as_str() {
        "measure" => full(root, &folder),
        "quick" => quick(root, &folder),
        "publish" => page::publish(&Report::read(&folder.join("report.json"))?, &root.join("docs")),
        _ => Err(Error::Command(command)),
    }
}

fn full(root: &Path, folder: &Path) -> Result<()> {
    let settings = Settings::from_environment(3, 3)?;
    let experiments = matrix::select(matrix::full(), &settings.only)?;
    // A partial run does not replace the full report.
    let path = folder.join(if settings.only.is_empty() { "report.json" } else { "part.json" });
    let report = measure(root, folder, &path, &experiments, &settings)?;
    page::write(&report, folder)?;
    let measured: Vec<Goal> = goals::of(&report).into_iter().filter(|goal| goal.measured.is_some()).collect();
    print(&[
        table::rows(&report.rows),
        table::latencies(&report.latencies),
        table::idle(&report.idle),
        table::goals(&measured),
    ]);
    println!("The rows are in {}, the page in {}", path.display(), folder.join("performance.md").display());
    ended(&report)
}

fn quick(root: &Path, folder: &Path) -> Result<()> {
    // An even number: as many rounds forwards as backwards.
    let settings = Settings::from_environment(1, 4)?;
    let experiments = matrix::select(matrix::quick(), &settings.only)?;
    let path = folder.join("quick.json");
    let report = measure(root, folder, &path, &experiments, &settings)?;
    print(&[table::rows(&report.rows), table::idle(&report.idle)]);
    println!("The rows are in {}", path.display());
    ended(&report)
}

fn print(tables: &[Table]) {
    tables.iter().filter(|table| !table.is_empty()).for_each(|table| println!("{}\n", table.terminal()));
}

fn ended(report: &Report) -> Result<()> {
    if report.failures.is_empty() { Ok(()) } else { Err(Error::Failures(report.failures.len())) }
}

/// Runs everything, and rewrites the report after each experiment, so that measurements are kept whatever happens
/// later.
fn measure(root: &Path, folder: &Path, path: &Path, experiments: &[Experiment], settings: &Settings) -> Result<Report> {
    let server = Server::create(root, &folder.join("server"))?;
    let mut report = Report::new(Circumstances::new(&server, root, settings.seconds, settings.rounds)?);
    eprintln!("bench: preparing");
    let (workloads, scenes) = matrix::needs(experiments);
    let stage = Stage::prepare(&server, folder, &workloads, &scenes)?;

    let runs = |e: &Experiment| vec![e.seconds(settings.seconds); e.runs() * settings.rounds as usize];
    let mut progress = Progress::new(experiments.iter().flat_map(runs));
    for experiment in experiments {
        add(&mut report, experiment, &stage, &mut progress, settings);
        report.failures.clone_from(&progress.failures);
        write(path, &goals::report_json(&report)?)?;
    }
    Ok(report)
}

/// Runs an experiment and adds its results to the report.
fn add(report: &mut Report, experiment: &Experiment, stage: &Stage<'_>, progress: &mut Progress, settings: &Settings) {
    let seconds = experiment.seconds(settings.seconds);
    match experiment {
        Experiment::Throughput(contest) => {
            let sides = contest.sides();
            eprintln!("bench: {}", contest.load);
            let samples = progress.rounds(settings.rounds, seconds, &sides, |side| {
                throughput::measure(stage, side, contest.load, seconds)
            });
            let of = |side| sides.iter().position(|s| s == side).expect("the sides are those of the pairs");
            report.rows.extend(contest.pairs.iter().filter_map(|(ours, yardstick)| {
                Row::new((ours, yardstick), contest.load, [&samples[of(ours)], &samples[of(yardstick)]])
            }));
        }
        Experiment::Latency(callers) => {
            let samples =
                progress.rounds(settings.rounds, seconds, callers, |caller| latency::measure(stage, caller, seconds));
            report.latencies.extend(callers.iter().zip(&samples).filter_map(|(c, s)| LatencyRow::new(c, s)));
        }
        Experiment::Idle(sides) => {
            let samples = progress.rounds(settings.rounds, seconds, sides, |side| idle::measure(stage, side, seconds));
            report.idle.extend(sides.iter().zip(&samples).filter_map(|(side, s)| IdleRow::new(side, s)));
        }
    }
}

/// Writes a file atomically: an interrupted run leaves the previous report.
fn write(path: &Path, text: &str) -> Result<()> {
    let io = |source| Error::Io { what: path.display().to_string(), source };
    let draft = path.with_extension("draft");
    fs::write(&draft, text).map_err(io)?;
    fs::rename(&draft, path).map_err(io)
}
