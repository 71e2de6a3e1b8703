//! The results of tests in the Test Anything Protocol, version 14.

use crate::output::visible;
use crate::test::{Suite, told};
use std::fmt::Write;

/// Returns the results of all files.
pub fn text(suites: &[Suite]) -> String {
    let points: usize = suites.iter().map(|suite| suite.verdicts.as_ref().map_or(1, Vec::len)).sum();
    let mut text = format!("TAP version 14\n1..{points}\n");
    let mut number = 0;
    for suite in suites {
        let verdicts = match &suite.verdicts {
            Ok(verdicts) => verdicts,
            Err(why) => {
                number += 1;
                let _ = writeln!(text, "not ok {number} - {}", escaped(&suite.file));
                diagnose(&mut text, [why.as_str()]);
                continue;
            }
        };
        for verdict in verdicts {
            number += 1;
            let ok = if verdict.passed() { "ok" } else { "not ok" };
            let _ = writeln!(text, "{ok} {number} - {}", escaped(&verdict.test));
            if !verdict.passed() {
                let told: Vec<String> = verdict.differences.iter().map(|one| told(&suite.file, one)).collect();
                diagnose(&mut text, told.iter().map(String::as_str));
            }
        }
    }
    text
}

/// Adds a diagnostic block in YAML.
fn diagnose<'m>(text: &mut String, messages: impl IntoIterator<Item = &'m str>) {
    text.push_str("  ---\n  message:\n");
    for message in messages {
        let _ = writeln!(text, "    - {}", serde_json::Value::from(message));
    }
    text.push_str("  ...\n");
}

/// Returns a description in which nothing is a directive.
fn escaped(name: &str) -> String {
    visible(name).replace('\\', "\\\\").replace('#', "\\#")
}
