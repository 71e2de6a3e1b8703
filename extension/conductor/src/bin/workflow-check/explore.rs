//! `workflow-check explore FILE`: looks for what may go wrong in a workflow.

use std::path::Path;
use std::process::ExitCode;

use conductor::language::limits::Limits;
use conductor::language::source::Source;
use conductor::rehearsal::checked_parameters;
use conductor::rehearsal::explore::{Explored, Samples, explore};
use serde_json::{Map, Value};

use crate::load::{self, Loaded};
use crate::show::{self, count};

/// What the command line asks for.
pub struct Options {
    file: String,
    parameters: Option<String>,
    tests: Option<String>,
    runs: u64,
    seed: u64,
}

impl Options {
    /// Reads the arguments after `explore`. The error says what is wrong with them.
    pub fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options { file: String::new(), parameters: None, tests: None, runs: 1000, seed: 0 };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().cloned().ok_or_else(|| format!("{argument} needs a value"));
            let number =
                |text: String| text.parse().map_err(|_| format!("{argument} must be a whole number, not {text}"));
            match argument.as_str() {
                "--parameters" => options.parameters = Some(value()?),
                "--tests" => options.tests = Some(value()?),
                "--runs" => options.runs = number(value()?)?,
                "--seed" => options.seed = number(value()?)?,
                option if option.starts_with("--") => return Err(format!("unknown option {option}")),
                file if options.file.is_empty() => options.file = file.to_owned(),
                file => return Err(format!("explore takes one definition, not also {file}")),
            }
        }
        if options.file.is_empty() { Err("name a definition".to_owned()) } else { Ok(options) }
    }
}

/// Explores a definition, and prints a test file with what looks wrong.
pub fn run(options: Options) -> ExitCode {
    ExitCode::from(found(&options).unwrap_or_else(|why| {
        eprintln!("workflow-check: {why}");
        2
    }))
}

fn found(options: &Options) -> Result<u8, String> {
    let file = &options.file;
    let loaded = load::definition(Path::new(file)).map_err(|why| format!("{file}: {why}"))?;
    let (parameters, samples) = inputs(options, &loaded)?;
    let Explored { flaws, coverage } = explore(&loaded.graph, &parameters, &samples, options.runs, options.seed);
    let summary = format!("{} of {file}, seed {}", count(options.runs as usize, "run"), options.seed);
    if flaws.is_empty() {
        show::line(&format!("# {summary}: nothing looks wrong"));
    } else {
        show::line(&format!("# {summary}. Each of these tests passes as long as what its name says happens."));
    }
    let missed = coverage.report(&loaded.graph, &loaded.parsed).missed;
    if !missed.is_empty() {
        show::line("# Nothing is known of what was never reached, perhaps for want of results (--tests):");
        missed.iter().for_each(|missed| show::line(&format!("#   {}", missed.what)));
    }
    if flaws.is_empty() {
        return Ok(0);
    }
    show::line(&format!("workflow: {}", Value::from(file.as_str())));
    show::line("tests:");
    for flaw in &flaws {
        flaw.test.lines().for_each(show::line);
    }
    Ok(1)
}

/// Returns the parameters to play with, and what tasks may answer.
fn inputs(options: &Options, loaded: &Loaded) -> Result<(Vec<Value>, Samples), String> {
    let script = match &options.tests {
        None => None,
        Some(file) => {
            let read = || -> Result<_, String> {
                let (source, script) = load::script(file)?;
                load::refuse(file, &source, &script.check(&loaded.graph, &Limits::default()))?;
                Ok(script)
            };
            Some(read().map_err(|why| format!("{file}: {why}"))?)
        }
    };
    let samples = script.as_ref().map(Samples::of).unwrap_or_default();
    let parameters = match (&options.parameters, &script) {
        (None, Some(script)) => script.parameters(&loaded.graph),
        (given, _) => {
            let given = given.as_deref().map_or(Ok(Value::Object(Map::new())), parameters)?;
            let checked = checked_parameters(given, &loaded.graph);
            vec![checked.map_err(|why| format!("{why}; give others with --parameters"))?]
        }
    };
    Ok((parameters, samples))
}

/// Reads parameters: a map, or the name of a file with one.
fn parameters(given: &str) -> Result<Value, String> {
    let source = match given.trim_start().starts_with('{') {
        true => given.as_bytes().to_vec(),
        false => crate::read(given).map_err(|error| format!("{given}: {error}"))?,
    };
    let (source, defects) = Source::read(&source, &Limits::default());
    match (defects.first(), source.root()) {
        (None, Some(root)) => Ok(source.value(root)),
        (defect, _) => {
            let why = defect.map_or("they are empty", |defect| defect.message.as_str());
            Err(format!("the parameters can't be read: {why}"))
        }
    }
}
