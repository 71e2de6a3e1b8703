//! `pg-workflow check`: validates definitions and test files without a database.

mod formats;
pub mod load;
pub mod show;

use crate::exit_status::{Ending, Failure};
use crate::files::{self, Kind};
use crate::output::{self, Style, count};
use conductor::bounds::Bounds;
use conductor::finding::{Finding, Severity};
use conductor::view::diagram;
use formats::Format;
pub use formats::annotation;
use load::{Catalogues, Unusable};
use std::path::{Path, PathBuf};

/// Validate workflow definitions and test files without a database
///
/// A directory stands for all definitions, test files, pack.yaml and actions.yaml files below it. If there is an
/// actions.yaml, calls of the pack's own actions are checked against it; only the database knows other actions. Exit
/// status: 0 if there are no errors, 1 if there are, 2 if a file can't be read.
#[derive(clap::Args)]
pub struct Arguments {
    /// Files and directories; - is standard input
    #[arg(value_name = "PATH", required_unless_present = "schema")]
    paths: Vec<PathBuf>,
    /// Count warnings as errors for the exit status
    #[arg(long)]
    strict: bool,
    /// How to print findings
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Print the diagram of each definition instead of "valid"
    #[arg(long, value_name = "LANGUAGE", value_enum)]
    graph: Option<Diagram>,
    /// Print the JSON Schema of the language, for editors
    #[arg(long, exclusive = true)]
    schema: bool,
}

/// A language of diagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Diagram {
    Mermaid,
    Dot,
}

/// A file and its findings.
pub struct Checked {
    pub file: String,
    pub source: Vec<u8>,
    pub findings: Vec<Finding>,
}

impl Checked {
    fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    fn summary(&self) -> (Style, String) {
        let errors = self.errors();
        match (errors, self.findings.len() - errors) {
            (0, 0) => (Style::Green, "valid".to_owned()),
            (0, warnings) => (Style::Yellow, format!("valid, {}", count(warnings, "warning"))),
            (errors, 0) => (Style::Red, count(errors, "error")),
            (errors, warnings) => (Style::Red, format!("{}, {}", count(errors, "error"), count(warnings, "warning"))),
        }
    }
}

/// Checks all files.
pub fn run(arguments: Arguments) -> crate::Ended {
    if arguments.schema {
        output::print(&format!("{:#}\n", conductor::language::editor_schema::schema()));
        return Ok(Ending::Good);
    }
    let mut ending = Ending::Good;
    let mut all = Vec::new();
    let mut catalogues = Catalogues::default();
    for path in files::collect(&arguments.paths, &[Kind::Definition, Kind::Tests, Kind::Pack])? {
        let checked = match check(&path, &mut catalogues) {
            Ok(checked) => checked,
            Err(why) => {
                output::error(&format!("{}: {why}", path.display()));
                ending = ending.max(Ending::Unusable);
                continue;
            }
        };
        // Tests that are meant to fail are valid all the same.
        if Kind::of_named(&path) == Kind::Definition && files::is_meant_to_fail(&path) {
            if !tell_of_errors(&path, &checked, arguments.format) {
                ending = ending.max(Ending::Bad);
            }
            continue;
        }
        if checked.errors() > 0 || arguments.strict && !checked.findings.is_empty() {
            ending = ending.max(Ending::Bad);
        }
        if arguments.format == Format::Human {
            tell(&path, &checked, arguments.graph)?;
        }
        all.push(checked);
    }
    output::print(&arguments.format.print(&all));
    Ok(ending)
}

/// Checks a file. The error says why it can't be read.
fn check(path: &Path, catalogues: &mut Catalogues) -> Result<Checked, String> {
    let source = files::read(path).map_err(|error| error.to_string())?;
    let findings = match Kind::of_named(path) {
        Kind::Definition => {
            conductor::language::validate::check(&source, catalogues.of(path), &Bounds::default()).findings
        }
        Kind::Tests => load::test_findings(path)?,
        Kind::Pack => crate::check::load::pack_findings(path, &source),
    };
    Ok(Checked { file: files::shown(path), source, findings })
}

/// Reports whether a definition has the errors that its page is meant to show, and returns that.
fn tell_of_errors(path: &Path, checked: &Checked, format: Format) -> bool {
    let errors = checked.errors();
    if errors == 0 {
        output::error(&format!(
            "{}: {} has no errors, although its block is marked `fails`",
            checked.file,
            path.display()
        ));
    } else if format == Format::Human {
        let what = format!("{}, as there should be", count(errors, "error"));
        output::print(&format!("{}: {}\n", output::visible(&checked.file), output::styled(Style::Green, &what)));
    }
    errors > 0
}

fn tell(path: &Path, checked: &Checked, graph: Option<Diagram>) -> Result<(), Failure> {
    show::findings(&checked.file, &checked.source, &checked.findings);
    let drawable = graph.filter(|_| checked.errors() == 0 && Kind::of_named(path) == Kind::Definition);
    if let Some(language) = drawable {
        let loaded = load::definition(path).map_err(|why| Failure::unusable(Unusable::message(&why)))?;
        let Some(definition) = loaded.parsed.valid() else { return Ok(()) };
        output::print(&match language {
            Diagram::Mermaid => diagram::mermaid(definition, None),
            Diagram::Dot => diagram::dot(definition, None),
        });
        return Ok(());
    }
    let (style, summary) = checked.summary();
    output::print(&format!("{}: {}\n", output::visible(&checked.file), output::styled(style, &summary)));
    Ok(())
}
