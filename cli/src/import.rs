//! `pg-workflow import`: converts definitions of other systems, as far as possible.

mod jinja;
mod names;
mod orquesta;
mod render;
mod yaml;
mod yaql;

use crate::check::show;
use crate::exit_status::{Ending, Failure};
use crate::files;
use crate::output::{self, Style, count};
use conductor::bounds::Bounds;
use conductor::finding::{Finding, Severity};
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::parse::name::is_ref;
use conductor::language::validate::check;
use std::path::{Path, PathBuf};

/// Import a workflow of another system
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    system: System,
}

#[derive(clap::Subcommand)]
enum System {
    Orquesta(Orquesta),
}

/// Convert a workflow of StackStorm's Orquesta into a definition
///
/// Anything that could not be converted is listed on standard error, and marked in the definition. Exit status: 0 if
/// everything was converted, 1 if something was not, 2 if the file can't be used.
#[derive(clap::Args)]
struct Orquesta {
    /// The file
    file: PathBuf,
    /// The ref of the definition; by default derived from the names of the file and of its pack's directory
    #[arg(long = "ref", value_name = "PACK.NAME", value_parser = reference)]
    reference: Option<String>,
    /// Write the definition to a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn reference(text: &str) -> Result<String, String> {
    if is_ref(text) { Ok(text.to_owned()) } else { Err("write it as pack.name, in lower case".to_owned()) }
}

/// Messages of an import.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    /// Things that were converted, but with a different name or meaning that the user should know about.
    pub notes: Vec<String>,
    /// Things that were not converted.
    pub lost: Vec<String>,
}

/// Imports a workflow.
pub fn run(arguments: Arguments) -> crate::Ended {
    let System::Orquesta(arguments) = arguments.system;
    let source =
        files::read(&arguments.file).map_err(|error| Failure::unusable(error).about(arguments.file.display()))?;
    let reference = arguments.reference.unwrap_or_else(|| names::reference_of(&arguments.file));
    let mut report = Report::default();
    let definition = orquesta::import(&source, &reference, &mut report)
        .map_err(|why| Failure::unusable(why).about(arguments.file.display()))?;
    let text = yaml::text(&definition);
    let errors = errors(&text);
    tell(&report, &errors, &text, &arguments.file);
    match &arguments.output {
        None => output::print(&text),
        Some(path) => std::fs::write(path, text).map_err(|error| Failure::unusable(error).about(path.display()))?,
    }
    Ok(if errors.is_empty() && report.lost.is_empty() { Ending::Good } else { Ending::Bad })
}

/// Prints the messages, and in the last line how complete the import is.
fn tell(report: &Report, errors: &[Finding], text: &str, file: &Path) {
    report.notes.iter().for_each(|note| output::note("note", Style::Bold, note));
    report.lost.iter().for_each(|lost| output::note("not carried over", Style::Yellow, lost));
    let file = file.display();
    match (errors.len(), report.lost.len()) {
        (0, 0) => output::note("whole", Style::Green, &file.to_string()),
        (0, lost) => {
            output::note("incomplete", Style::Yellow, &format!("{file}: {} to look at", count(lost, "place")));
        }
        (wrong, _) => {
            output::aside(&show::text("the result", text.as_bytes(), errors));
            output::note("invalid", Style::Red, &format!("{file}: the result has {}", count(wrong, "error")));
        }
    }
}

/// Returns why the result would be refused: the original was wrong, or the import is.
fn errors(text: &str) -> Vec<Finding> {
    let findings = check(text, &EmptyCatalogue, &Bounds::default()).findings;
    findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect()
}
