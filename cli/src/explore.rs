//! `pg-workflow explore`: looks for possible problems with a workflow.

use crate::check::load::{self, Loaded, Unusable};
use crate::exit_status::{Ending, Failure};
use crate::files;
use crate::output::{self, count};
use crate::progress::Progress;
use conductor::bounds::Bounds;
use conductor::rehearsal::checked_parameters;
use conductor::rehearsal::explore::{Explored, Samples, explore_and_tell};
use conductor::source::Source;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Play a definition with random answers, and print possible problems as a test file
///
/// Exit status: 0 if nothing looks wrong, 1 if something does, 2 if a file can't be read or is invalid.
#[derive(clap::Args)]
pub struct Arguments {
    /// The definition
    file: PathBuf,
    /// The parameters, as YAML or JSON or the name of a file; by default those of the tests, or none
    #[arg(long, value_name = "MAP|FILE")]
    parameters: Option<String>,
    /// A test file with parameters, and with results for tasks to answer with
    #[arg(long, value_name = "FILE")]
    tests: Option<PathBuf>,
    /// Number of executions to play
    #[arg(long, value_name = "N", default_value_t = 1000)]
    runs: u64,
    /// The same seed gives the same executions
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Explores a definition, and prints a test file with what looks wrong.
pub fn run(arguments: Arguments) -> crate::Ended {
    let file = &files::shown(&arguments.file);
    let refuse = |why: Unusable, path: &Path| {
        let name = files::shown(path);
        let why = why.show(&name);
        Failure::unusable(why).about(name)
    };
    let loaded = load::definition(&arguments.file).map_err(|why| refuse(why, &arguments.file))?;
    let (parameters, samples) = inputs(&arguments, &loaded, &refuse)?;
    let Explored { flaws, coverage } = play(&loaded, &parameters, &samples, arguments.runs, arguments.seed);
    let summary = format!("{} of {file}, seed {}", count(arguments.runs as usize, "run"), arguments.seed);
    if flaws.is_empty() {
        output::line(&format!("# {summary}: nothing looks wrong"));
    } else {
        output::line(&format!("# {summary}. Each of these tests passes as long as what its name says happens."));
    }
    let missed = coverage.report(&loaded.graph, &loaded.parsed).missed;
    if !missed.is_empty() {
        output::line(
            "# These were never reached, perhaps for lack of results (--tests), so nothing is known about them:",
        );
        missed.iter().for_each(|missed| output::line(&format!("#   {}", missed.what)));
    }
    if flaws.is_empty() {
        return Ok(Ending::Good);
    }
    output::line(&format!("workflow: {}", Value::from(arguments.file.display().to_string())));
    output::line("tests:");
    for flaw in &flaws {
        flaw.test.lines().for_each(output::line);
    }
    Ok(Ending::Bad)
}

/// Plays the executions.
fn play(loaded: &Loaded, parameters: &[Value], samples: &Samples, runs: u64, seed: u64) -> Explored {
    let mut progress = Progress::of("exploring", usize::try_from(runs).unwrap_or(usize::MAX));
    explore_and_tell(&loaded.graph, parameters, samples, runs, seed, &mut |played| progress.set(played))
}

/// Returns the parameters to play with, and what tasks may answer.
fn inputs(
    arguments: &Arguments,
    loaded: &Loaded,
    refuse: &dyn Fn(Unusable, &Path) -> Failure,
) -> Result<(Vec<Value>, Samples), Failure> {
    let script = match &arguments.tests {
        None => None,
        Some(file) => {
            let (source, script) = load::script(file).map_err(|why| refuse(why, file))?;
            let findings = script.check(&loaded.graph, &Bounds::default());
            if !findings.is_empty() {
                return Err(refuse(Unusable::Errors(source, findings), file));
            }
            Some(script)
        }
    };
    let samples = script.as_ref().map(Samples::of).unwrap_or_default();
    let parameters = match (&arguments.parameters, &script) {
        (None, Some(script)) => script.parameters(&loaded.graph),
        (given, _) => {
            let given = given.as_deref().map_or(Ok(Value::Object(Map::new())), |given| map(given, "the parameters"))?;
            let checked = checked_parameters(given, &loaded.graph);
            vec![checked.map_err(|why| Failure::unusable(why).hint("Pass other parameters with --parameters."))?]
        }
    };
    Ok((parameters, samples))
}

/// Reads a map: written out, or the name of a file with one.
pub fn map(given: &str, what: &str) -> Result<Value, Failure> {
    let source = match given.trim_start().starts_with('{') {
        true => given.as_bytes().to_vec(),
        false => files::read(Path::new(given)).map_err(|error| {
            Failure::unusable(error)
                .about(given)
                .hint(format!("Pass {what} as a map, such as {{a: 1}}, or as the name of a file."))
        })?,
    };
    value(&source).map_err(|why| Failure::unusable(format!("{what} can't be read: {why}")))
}

/// Reads YAML or JSON. The error says why that failed.
pub fn value(source: &[u8]) -> Result<Value, String> {
    let (source, defects) = Source::read(source, &Bounds::default());
    match (defects.first(), source.root()) {
        (None, Some(root)) => Ok(source.value(root)),
        (defect, _) => Err(defect.map_or("it is empty", |defect| defect.message.as_str()).to_owned()),
    }
}
