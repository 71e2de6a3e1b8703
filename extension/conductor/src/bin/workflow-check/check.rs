//! `workflow-check FILE…`: validates definitions.

use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::finding::Severity;
use conductor::language::limits::Limits;
use conductor::language::validate::check;

use crate::show::{self, count};

/// Prints a file's findings. Returns 1 if any of them is an error, or if `strict` a warning; 2 if the file can't be read;
/// otherwise 0.
pub fn run(file: &str, strict: bool) -> u8 {
    let source = match crate::read(file) {
        Ok(source) => source,
        Err(error) => {
            eprintln!("workflow-check: {file}: {error}");
            return 2;
        }
    };
    let findings = check(&source, &EmptyCatalogue, &Limits::default()).findings;
    show::findings(file, &source, &findings);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let summary = match (errors, findings.len() - errors) {
        (0, 0) => "valid".to_owned(),
        (0, warnings) => format!("valid, {}", count(warnings, "warning")),
        (errors, 0) => count(errors, "error"),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    };
    show::print(&format!("{file}: {summary}\n"));
    u8::from(errors > 0 || strict && !findings.is_empty())
}
