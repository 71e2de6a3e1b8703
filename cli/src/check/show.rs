//! Shows findings in their source.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use conductor::finding::{Finding, Severity};

use crate::output::{colored, print};

/// Lines of context shown above and below a finding.
const AROUND: usize = 1;
/// Maximum size of an excerpt, in bytes; longer ones are not shown.
const MAX_EXCERPT: usize = 20_000;

/// Prints findings about a file.
pub fn findings(file: &str, source: &[u8], findings: &[Finding]) {
    print(&text(file, source, findings));
}

/// Returns findings about a file.
pub fn text(file: &str, source: &[u8], findings: &[Finding]) -> String {
    let renderer = if colored() { Renderer::styled() } else { Renderer::plain() };
    let text = String::from_utf8_lossy(source);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    findings.iter().map(|finding| format!("{}\n\n", renderer.render(&[report(file, finding, &lines)]))).collect()
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
