//! Findings for programs: JSON, SARIF, and the annotations of GitHub's actions.

use crate::check::Checked;
use conductor::finding::{Finding, Severity};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A format of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The source with the findings in it, for people
    Human,
    /// An array of findings
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

impl Format {
    /// Returns everything that is printed at the end.
    pub fn print(self, all: &[Checked]) -> String {
        match self {
            Format::Human => String::new(),
            Format::Json => format!("{:#}\n", json(all)),
            Format::Sarif => format!("{:#}\n", sarif(all)),
            Format::Github => github(all),
        }
    }
}

fn findings(all: &[Checked]) -> impl Iterator<Item = (&str, &Finding)> {
    all.iter().flat_map(|checked| checked.findings.iter().map(|finding| (checked.file.as_str(), finding)))
}

fn json(all: &[Checked]) -> Value {
    let with_file = |(file, finding): (&str, &Finding)| {
        let mut value = json!({ "file": file });
        if let (Some(object), Ok(Value::Object(fields))) = (value.as_object_mut(), serde_json::to_value(finding)) {
            object.extend(fields);
            object.insert("category".to_owned(), finding.code.category().into());
        }
        value
    };
    findings(all).map(with_file).collect()
}

fn sarif(all: &[Checked]) -> Value {
    let level = |finding: &Finding| match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let result = |(file, finding): (&str, &Finding)| {
        let hint = finding.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        json!({
            "ruleId": finding.code,
            "level": level(finding),
            "message": {"text": format!("{}{hint}", finding.message)},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": uri(file)},
                "region": {"startLine": finding.line.max(1), "startColumn": finding.column.max(1)},
            }}],
        })
    };
    let codes: BTreeSet<String> = findings(all).map(|(_, finding)| finding.code.to_string()).collect();
    let rules: Vec<Value> = codes.into_iter().map(|code| json!({ "id": code })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "pg-workflow", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": findings(all).map(result).collect::<Vec<_>>(),
        }],
    })
}

/// Returns a path as a relative URI reference.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => uri.push(byte as char),
            byte => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri
}

fn github(all: &[Checked]) -> String {
    let mut text = String::new();
    for (file, finding) in findings(all) {
        let level = if finding.severity == Severity::Error { "error" } else { "warning" };
        let hint = finding.hint.as_ref().map(|hint| format!("\nhelp: {hint}")).unwrap_or_default();
        let message = format!("{}{hint}", finding.message);
        text += &annotation(level, file, finding.line, Some(finding.column), &finding.code.to_string(), &message);
    }
    text
}

/// Returns an annotation as GitHub's runners read it.
pub fn annotation(level: &str, file: &str, line: u32, column: Option<u32>, title: &str, message: &str) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
    let column = column.map(|column| format!(",col={}", column.max(1))).unwrap_or_default();
    let (file, title, line) = (property(file), property(title), line.max(1));
    format!("::{level} file={file},line={line}{column},title={title}::{}\n", escaped(message))
}
