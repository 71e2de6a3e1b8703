//! `workflow-check FILE…`: validates workflow definitions without a database and shows each finding in its source.
//!
//! Does not look up actions or packs. Exit status: 0 if there are no errors, 1 if there are, 2 if a file can't be read.
//! With `--strict`, warnings count as errors.

use std::io::{IsTerminal, Read, Write};
use std::ops::Range;
use std::process::ExitCode;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::finding::{Finding, Severity};
use conductor::language::limits::Limits;
use conductor::language::validate::check;

const USAGE: &str = "\
Usage: workflow-check [--strict] FILE...
       workflow-check --schema

Validates workflow definitions (YAML or JSON) without a database. FILE - reads standard input.
--strict makes warnings count as errors for the exit status.
--schema prints the JSON Schema of the language, for editors.
Exit status: 0 if there are no errors, 1 if there are, 2 if a file can't be read.
";

/// Lines of context shown above and below a finding.
const AROUND: usize = 1;
/// Maximum size of an excerpt, in bytes; longer ones are not shown.
const MAX_EXCERPT: usize = 20_000;

fn main() -> ExitCode {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    if files.iter().any(|file| file == "--help" || file == "-h") {
        print(USAGE);
        return ExitCode::SUCCESS;
    }
    if files == ["--schema"] {
        print(&format!("{:#}\n", conductor::language::editor_schema::schema()));
        return ExitCode::SUCCESS;
    }
    let given = files.len();
    files.retain(|file| file != "--strict");
    let strict = files.len() < given;
    if files.is_empty() {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    }
    let renderer = if std::io::stdout().is_terminal() { Renderer::styled() } else { Renderer::plain() };
    let mut worst = 0;
    for file in &files {
        let status = match read(file) {
            Ok(source) => {
                u8::from(show(file, &source, &renderer).is_some_and(|worst| strict || worst == Severity::Error))
            }
            Err(error) => {
                eprintln!("workflow-check: {file}: {error}");
                2
            }
        };
        worst = worst.max(status);
    }
    ExitCode::from(worst)
}

fn read(file: &str) -> std::io::Result<Vec<u8>> {
    // One byte over the limit is enough to notice that the file is too large.
    let most = Limits::default().source_bytes as u64 + 1;
    let mut source = Vec::new();
    match file {
        "-" => std::io::stdin().take(most).read_to_end(&mut source)?,
        _ => std::fs::File::open(file)?.take(most).read_to_end(&mut source)?,
    };
    Ok(source)
}

/// Prints a file's findings and returns the severity of the worst.
fn show(file: &str, source: &[u8], renderer: &Renderer) -> Option<Severity> {
    let findings = check(source, &EmptyCatalogue, &Limits::default()).findings;
    let text = String::from_utf8_lossy(source);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for finding in &findings {
        print(&format!("{}\n\n", renderer.render(&[report(file, finding, &lines)])));
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let summary = match (errors, findings.len() - errors) {
        (0, 0) => "valid".to_owned(),
        (0, warnings) => format!("valid, {}", count(warnings, "warning")),
        (errors, 0) => count(errors, "error"),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    };
    print(&format!("{file}: {summary}\n"));
    // Errors come first in the order of severities.
    findings.iter().map(|finding| finding.severity).min()
}

fn report<'f>(file: &'f str, finding: &'f Finding, lines: &[&'f str]) -> Group<'f> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(finding.message.as_str()).id(finding.code.to_string());
    let group = match excerpt(finding, lines) {
        Some((text, first_line, span)) => {
            let mark = AnnotationKind::Primary.span(span);
            title.element(Snippet::source(text).line_start(first_line).path(file).annotation(mark))
        }
        None if finding.line > 0 => {
            let place = Origin::path(file).line(finding.line as usize).char_column(finding.column as usize);
            title.element(place)
        }
        None => title.element(Origin::path(file)),
    };
    match &finding.hint {
        Some(hint) => group.element(Level::HELP.message(hint.as_str())),
        None => group,
    }
}

/// Returns the lines around a finding, the number of the first one, and the byte range in them that the finding is
/// about.
fn excerpt(finding: &Finding, lines: &[&str]) -> Option<(String, usize, Range<usize>)> {
    let line = (finding.line as usize).checked_sub(1)?;
    let here = lines.get(line)?;
    let first = line.saturating_sub(AROUND);
    let shown = &lines[first..lines.len().min(line + AROUND + 1)];
    let text = shown.concat();
    if text.len() > MAX_EXCERPT {
        return None;
    }
    let before: usize = lines[first..line].iter().map(|line| line.len()).sum();
    let column = (finding.column as usize).checked_sub(1)?;
    let in_line = here.char_indices().nth(column).map_or(here.trim_end().len(), |(at, _)| at);
    let word = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let length: usize = here[in_line..].chars().take_while(word).map(char::len_utf8).sum();
    let least = here[in_line..].chars().next().map_or(0, char::len_utf8);
    let start = before + in_line;
    Some((text, first + 1, start..start + length.max(least)))
}

/// Prints, ignoring errors such as a closed pipe.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
