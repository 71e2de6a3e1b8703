//! The results of tests as JUnit XML, as continuous integration reads it.

use std::fmt::Write;

use conductor::rehearsal::Verdict;

use crate::test::Suite;

/// Returns the results as XML.
pub fn xml(suites: &[Suite]) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    for suite in suites {
        let (file, took) = (escaped(&suite.file), suite.took.as_secs_f64());
        let (tests, failures, errors) = match &suite.verdicts {
            Ok(verdicts) => (verdicts.len(), verdicts.iter().filter(|verdict| !verdict.passed()).count(), 0),
            Err(_) => (1, 0, 1),
        };
        let numbers = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{took:.3}\"");
        let _ = writeln!(xml, "  <testsuite name=\"{file}\" {numbers}>");
        match &suite.verdicts {
            Ok(verdicts) => verdicts.iter().for_each(|verdict| case(&mut xml, &suite.file, verdict)),
            Err(why) => {
                let _ = writeln!(xml, "    <testcase name=\"{file}\" classname=\"{file}\">");
                let _ = writeln!(xml, "      <error message=\"{}\"/>\n    </testcase>", escaped(why));
            }
        }
        xml.push_str("  </testsuite>\n");
    }
    xml + "</testsuites>\n"
}

fn case(xml: &mut String, file: &str, verdict: &Verdict) {
    let (name, line) = (escaped(&verdict.test), verdict.line);
    let _ = write!(xml, "    <testcase name=\"{name}\" classname=\"{0}\" file=\"{0}\" line=\"{line}\"", escaped(file));
    if verdict.passed() {
        xml.push_str("/>\n");
        return;
    }
    xml.push_str(">\n");
    // Few readers show more than one failure of a test.
    let all: Vec<String> = verdict.differences.iter().map(|one| crate::test::told(file, one)).collect();
    let first = all.first().map(String::as_str).unwrap_or_default();
    let _ = writeln!(xml, "      <failure message=\"{}\">{}</failure>", escaped(first), escaped(&all.join("\n")));
    xml.push_str("    </testcase>\n");
}

/// Returns text that is valid anywhere in XML. Characters that XML does not allow are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => drop(write!(escaped, "&#{};", c as u32)),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}
