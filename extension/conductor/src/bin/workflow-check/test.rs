//! `workflow-check test FILE…`: runs test files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use conductor::language::finding::{Code, Finding, Severity};
use conductor::language::limits::Limits;
use conductor::rehearsal::coverage::Coverage;
use conductor::rehearsal::judge::Difference;
use conductor::rehearsal::{Verdict, rehearse};

use crate::junit::{self, Suite};
use crate::load::{self, Loaded};
use crate::show::{self, count};

/// What the command line asks for.
#[derive(Default)]
pub struct Options {
    files: Vec<String>,
    junit: Option<String>,
    coverage: bool,
    threshold: Option<f64>,
}

impl Options {
    /// Reads the arguments after `test`. The error says what is wrong with them.
    pub fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().cloned().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--junit" => options.junit = Some(value()?),
                "--coverage" => options.coverage = true,
                "--coverage-threshold" => {
                    let text = value()?;
                    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
                    options.threshold =
                        Some(percent.ok_or_else(|| format!("--coverage-threshold must be 0 to 100, not {text}"))?);
                }
                option if option.starts_with("--") => return Err(format!("unknown option {option}")),
                file => options.files.push(file.to_owned()),
            }
        }
        if options.files.is_empty() { Err("name a test file".to_owned()) } else { Ok(options) }
    }
}

/// A definition and what the tests have reached of it.
struct Tested {
    loaded: Loaded,
    coverage: Coverage,
}

/// Runs test files and prints the results.
pub fn run(options: Options) -> ExitCode {
    let mut tested: BTreeMap<PathBuf, Tested> = BTreeMap::new();
    let mut results = Vec::new();
    for file in &options.files {
        let begun = Instant::now();
        let verdicts = run_file(file, &mut tested);
        if let Err(why) = &verdicts {
            show::line(&format!("{file}: {why}"));
        }
        results.push((file, verdicts, begun.elapsed()));
    }
    let mut status = summary(results.iter().map(|(_, verdicts, _)| verdicts));
    for definition in tested.values() {
        status = status.max(u8::from(!covers(definition, &options)));
    }
    if let Some(path) = &options.junit {
        let suites = results.iter().map(|(file, verdicts, took)| {
            let verdicts = verdicts.as_deref().map_err(String::as_str);
            Suite { file, verdicts, took: *took }
        });
        if let Err(error) = std::fs::write(path, junit::xml(&suites.collect::<Vec<_>>())) {
            eprintln!("workflow-check: {path}: {error}");
            status = 2;
        }
    }
    ExitCode::from(status)
}

/// Runs the tests of a file. The error says why they can't be run.
fn run_file(file: &str, tested: &mut BTreeMap<PathBuf, Tested>) -> Result<Vec<Verdict>, String> {
    let (source, script) = load::script(file)?;
    let Some(workflow) = &script.workflow else {
        load::refuse(file, &source, &[no_workflow()])?;
        return Ok(Vec::new());
    };
    let path = Path::new(file).parent().unwrap_or(Path::new("")).join(workflow);
    let key = path.canonicalize().unwrap_or_else(|_| path.clone());
    if !tested.contains_key(&key) {
        let loaded =
            load::definition(&path).map_err(|why| format!("its workflow {} can't be used: {why}", path.display()))?;
        tested.insert(key.clone(), Tested { loaded, coverage: Coverage::default() });
    }
    let Some(tested) = tested.get_mut(&key) else { return Ok(Vec::new()) };
    load::refuse(file, &source, &script.check(&tested.loaded.graph, &Limits::default()))?;
    let verdicts = script.tests.iter().map(|test| {
        let verdict = rehearse(&script, test, &tested.loaded.graph);
        tested.coverage.add(&verdict.coverage);
        tell(file, &verdict);
        verdict
    });
    Ok(verdicts.collect())
}

fn no_workflow() -> Finding {
    Finding {
        code: Code(4),
        severity: Severity::Error,
        message: "a test file has no `workflow`".to_owned(),
        hint: Some("add `workflow:` with the path of the definition, relative to this file".to_owned()),
        path: String::new(),
        task: None,
        expression: None,
        line: 1,
        column: 1,
    }
}

/// Prints what came of a test.
fn tell(file: &str, verdict: &Verdict) {
    show::line(&format!("{} {}", if verdict.passed() { "passed" } else { "FAILED" }, verdict.test));
    for difference in &verdict.differences {
        show::line(&format!("  {}", told(file, difference)));
        if let Some(hint) = &difference.hint {
            show::line(&format!("    help: {hint}"));
        }
    }
}

/// Returns a difference in one line.
pub fn told(file: &str, difference: &Difference) -> String {
    let Difference { what, expected, got, line, .. } = difference;
    format!("{file}:{line}: {what}: expected {expected}; got {got}")
}

/// Prints how many tests passed. Returns the exit status.
fn summary<'v>(results: impl Iterator<Item = &'v Result<Vec<Verdict>, String>>) -> u8 {
    let (mut passed, mut failed, mut unusable) = (0, 0, 0);
    for result in results {
        match result {
            Ok(verdicts) => {
                let well = verdicts.iter().filter(|verdict| verdict.passed()).count();
                (passed, failed) = (passed + well, failed + verdicts.len() - well);
            }
            Err(_) => unusable += 1,
        }
    }
    let unused = if unusable > 0 { format!(", {} can't be used", count(unusable, "file")) } else { String::new() };
    show::line(&format!("{}: {passed} passed, {failed} failed{unused}", count(passed + failed, "test")));
    if unusable > 0 { 2 } else { u8::from(failed > 0) }
}

/// Prints how much of a definition was reached, if that was asked for. Returns whether it is enough.
fn covers(tested: &Tested, options: &Options) -> bool {
    if !options.coverage && options.threshold.is_none() {
        return true;
    }
    let report = tested.coverage.report(&tested.loaded.graph, &tested.loaded.parsed);
    // Rounded down: 99.9 % is not all.
    let (name, percent) = (&tested.loaded.name, report.percent().floor());
    let (covered, total) = (report.covered, report.total);
    show::line(&format!("{name}: {percent} % covered ({covered} of {total} tasks and transitions)"));
    for missed in report.missed.iter().filter(|_| options.coverage) {
        show::line(&format!("  {name}:{}: {}", missed.line, missed.what));
    }
    let enough = options.threshold.is_none_or(|threshold| report.percent() >= threshold);
    if !enough {
        let threshold = options.threshold.unwrap_or_default();
        show::line(&format!("{name}: less than the {threshold} % that are asked for"));
    }
    enough
}
