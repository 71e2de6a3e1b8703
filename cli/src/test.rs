//! `pg-workflow test`: runs test files without a database.

pub mod coverage;
mod junit;
mod tap;
mod watch;

use crate::check::load::{self, Loaded, Unusable};
use crate::exit_status::{Ending, Failure};
use crate::files::{self, Kind};
use crate::output::{self, Style, count};
use crate::progress::Progress;
use conductor::bounds::Bounds;
use conductor::rehearsal::coverage::Coverage;
use conductor::rehearsal::judge::Difference;
use conductor::rehearsal::{Verdict, rehearse};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Run workflow tests without a database
///
/// Each test plays a definition with scripted answers, in memory and in virtual time. A directory stands for all files
/// below it that are called NAME.test.yaml. Exit status: 0 if all tests passed, 1 if some failed or the coverage is too
/// low, 2 if a file can't be read or is invalid.
#[derive(clap::Args)]
pub struct Arguments {
    /// Test files and directories
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Run only tests with this text in their name
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How to print results
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Also write the results to a file as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// List the tasks and transitions that no test reached
    #[arg(long)]
    coverage: bool,
    /// Fail if a smaller share of the tasks and transitions of any definition was reached
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    coverage_threshold: Option<f64>,
    /// Write a picture of each definition that shows what was reached, REF.svg, to this directory
    #[arg(long, value_name = "DIR")]
    coverage_graphs: Option<PathBuf>,
    /// Run again whenever a file changes
    #[arg(long)]
    watch: bool,
}

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Human,
    /// The Test Anything Protocol, version 14
    Tap,
    /// An array of results
    Json,
    /// Annotations of GitHub Actions for what failed
    Github,
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "must be 0 to 100".to_owned())
}

/// A definition and the parts of it that tests have reached.
pub struct Tested {
    pub loaded: Loaded,
    pub coverage: Coverage,
}

/// Results of a test file.
pub struct Suite {
    /// The file, as it is shown.
    pub file: String,
    /// The verdicts on its tests, or why they could not be run.
    pub verdicts: Result<Vec<Verdict>, String>,
    /// How long it took.
    pub took: Duration,
}

/// Runs test files, and on request runs them again whenever one changes.
pub fn run(arguments: Arguments) -> crate::Ended {
    if !arguments.watch {
        return run_once(&arguments).map(|(ending, _)| ending);
    }
    let mut watched = watch::Watched::default();
    watched.add(&arguments.paths);
    loop {
        watched.look();
        if std::io::stdout().is_terminal() {
            output::print("\x1b[2J\x1b[H");
        }
        match run_once(&arguments) {
            Ok((_, used)) => watched.add(&used),
            Err(failure) => output::error(&failure.text()),
        }
        output::styled_line(Style::Dim, "waiting for changes; press ^C to stop");
        watched.wait();
    }
}

/// Returns how the tests ended, and which definitions they used.
fn run_once(arguments: &Arguments) -> Result<(Ending, Vec<PathBuf>), Failure> {
    let mut tested: BTreeMap<PathBuf, Tested> = BTreeMap::new();
    let mut suites = Vec::new();
    let paths = files::collect(&arguments.paths, &[Kind::Tests])?;
    // On a terminal, the line printed for each test shows enough progress.
    let says_enough = arguments.format == Format::Human && std::io::stdout().is_terminal();
    let mut progress = (!says_enough).then(|| Progress::of("testing files", paths.len()));
    for path in paths {
        let begun = Instant::now();
        let verdicts = run_file(&path, arguments, &mut tested);
        let file = files::shown(&path);
        if let (Err(why), Format::Human) = (&verdicts, arguments.format) {
            match is_unreadable(&path) {
                true => output::error(&format!("{file}: {why}")),
                false => output::line(&format!("{file}: {why}")),
            }
        }
        suites.push(Suite { file, verdicts, took: begun.elapsed() });
        progress.iter_mut().for_each(Progress::one);
    }
    drop(progress);
    let mut ending = ending(&suites);
    print(arguments.format, &suites);
    for definition in tested.values() {
        if !coverage::covers(definition, arguments) {
            ending = ending.max(Ending::Bad);
        }
    }
    if let Some(path) = &arguments.junit {
        std::fs::write(path, junit::xml(&suites)).map_err(|error| Failure::unusable(error).about(path.display()))?;
    }
    if let Some(folder) = &arguments.coverage_graphs {
        coverage::draw(folder, tested.values())?;
    }
    Ok((ending, tested.into_keys().collect()))
}

/// Whether there is nothing in a file to point at.
fn is_unreadable(path: &Path) -> bool {
    path != Path::new("-") && files::read(path).is_err()
}

/// Runs the tests of a file. The error says why they can't be run.
fn run_file(
    path: &Path,
    arguments: &Arguments,
    tested: &mut BTreeMap<PathBuf, Tested>,
) -> Result<Vec<Verdict>, String> {
    let file = files::shown(path);
    let tell = |why: Unusable, file: &str| match arguments.format {
        Format::Human => why.show(file),
        _ => why.told(),
    };
    let (source, script) = load::script(path).map_err(|why| tell(why, &file))?;
    let workflow = load::workflow_of(path, &script)
        .map_err(|finding| tell(Unusable::Errors(source.clone(), vec![*finding]), &file))?;
    let key = workflow.canonicalize().unwrap_or_else(|_| workflow.clone());
    if !tested.contains_key(&key) {
        let loaded = load::definition(&workflow).map_err(|why| {
            format!("its workflow {} can't be used: {}", workflow.display(), tell(why, &files::shown(&workflow)))
        })?;
        tested.insert(key.clone(), Tested { loaded, coverage: Coverage::default() });
    }
    let Some(tested) = tested.get_mut(&key) else { return Ok(Vec::new()) };
    let findings = script.check(&tested.loaded.graph, &Bounds::default());
    if !findings.is_empty() {
        return Err(tell(Unusable::Errors(source, findings), &file));
    }
    let wanted = |name: &str| arguments.filter.as_ref().is_none_or(|text| name.contains(text));
    let fails = files::is_meant_to_fail(path);
    let verdicts = script.tests.iter().filter(|test| wanted(&test.name)).map(|test| {
        let mut verdict = rehearse(&script, test, &tested.loaded.graph);
        tested.coverage.add(&verdict.coverage);
        if fails {
            verdict = reversed(verdict);
        }
        if arguments.format == Format::Human {
            self::tell(&file, &verdict, fails);
        }
        verdict
    });
    Ok(verdicts.collect())
}

/// Returns the verdict on a test of a page that shows how tests fail: if the test fails, all is well.
fn reversed(verdict: Verdict) -> Verdict {
    let differences = match verdict.passed() {
        false => Vec::new(),
        true => vec![Difference {
            what: "test".to_owned(),
            expected: "a failure, as the page says".to_owned(),
            got: "none".to_owned(),
            hint: Some("correct the test, or remove `fails` from the mark of its block".to_owned()),
            line: verdict.line,
        }],
    };
    Verdict { differences, ..verdict }
}

/// Prints the result of a test.
fn tell(file: &str, verdict: &Verdict, fails: bool) {
    let (style, word) = match (verdict.passed(), fails) {
        (true, false) => (Style::Green, "passed"),
        (true, true) => (Style::Green, "failed as it should:"),
        (false, _) => (Style::Red, "FAILED"),
    };
    output::print(&format!("{} {}\n", output::styled(style, word), output::visible(&verdict.test)));
    for difference in &verdict.differences {
        output::line(&format!("  {}", told(file, difference)));
        if let Some(hint) = &difference.hint {
            output::line(&format!("    help: {hint}"));
        }
    }
}

/// Returns a difference in one line.
pub fn told(file: &str, difference: &Difference) -> String {
    let Difference { what, expected, got, line, .. } = difference;
    format!("{file}:{line}: {what}: expected {expected}; got {got}")
}

fn ending(suites: &[Suite]) -> Ending {
    let worst = suites.iter().map(|suite| match &suite.verdicts {
        Ok(verdicts) if verdicts.iter().all(Verdict::passed) => Ending::Good,
        Ok(_) => Ending::Bad,
        Err(_) => Ending::Unusable,
    });
    worst.max().unwrap_or(Ending::Good)
}

/// Prints the results for programs, or how many tests passed.
fn print(format: Format, suites: &[Suite]) {
    match format {
        Format::Human => summary(suites),
        Format::Tap => output::print(&tap::text(suites)),
        Format::Json => output::print(&format!("{:#}\n", json(suites))),
        Format::Github => output::print(&github(suites)),
    }
}

fn summary(suites: &[Suite]) {
    let (mut passed, mut failed, mut unusable) = (0, 0, 0);
    for suite in suites {
        match &suite.verdicts {
            Ok(verdicts) => {
                let well = verdicts.iter().filter(|verdict| verdict.passed()).count();
                (passed, failed) = (passed + well, failed + verdicts.len() - well);
            }
            Err(_) => unusable += 1,
        }
    }
    let unused = if unusable > 0 { format!(", {} can't be used", count(unusable, "file")) } else { String::new() };
    let style = if failed + unusable > 0 { Style::Red } else { Style::Green };
    output::styled_line(
        style,
        &format!("{}: {passed} passed, {failed} failed{unused}", count(passed + failed, "test")),
    );
}

fn json(suites: &[Suite]) -> serde_json::Value {
    let results = suites.iter().flat_map(|suite| match &suite.verdicts {
        Err(why) => vec![serde_json::json!({"file": suite.file, "error": why})],
        Ok(verdicts) => verdicts
            .iter()
            .map(|verdict| {
                serde_json::json!({
                    "file": suite.file,
                    "line": verdict.line,
                    "test": verdict.test,
                    "passed": verdict.passed(),
                    "took": verdict.took,
                    "differences": verdict.differences,
                })
            })
            .collect(),
    });
    results.collect()
}

fn github(suites: &[Suite]) -> String {
    use crate::check::annotation;
    let mut text = String::new();
    for suite in suites {
        match &suite.verdicts {
            Err(why) => text += &annotation("error", &suite.file, 1, None, "unusable test file", why),
            Ok(verdicts) => {
                for verdict in verdicts {
                    for difference in &verdict.differences {
                        let Difference { what, expected, got, line, .. } = difference;
                        let message = format!("{what}: expected {expected}; got {got}");
                        text += &annotation("error", &suite.file, *line, None, &verdict.test, &message);
                    }
                }
            }
        }
    }
    text
}
