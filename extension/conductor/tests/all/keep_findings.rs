//! How long executions are kept: valid values of `keep`, and the findings for all others.

use crate::support::workflow;
use conductor::bounds::Bounds;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::definition::{Definition, Keep};
use conductor::language::validate::check;

fn with(keep: &str) -> String {
    workflow(&format!("keep: {keep}\ntasks: [{{name: a, action: ci.a}}]"))
}

#[track_caller]
fn one(keep: &str, code: &str, path: &str) -> String {
    let mut found = check(with(keep), &EmptyCatalogue, &Bounds::default()).findings;
    assert_eq!(found.len(), 1, "{found:?}");
    let finding = found.remove(0);
    assert_eq!((finding.code.to_string().as_str(), finding.path.as_str()), (code, path));
    finding.hint.unwrap_or_default()
}

#[test]
fn durations_are_read_by_status_and_survive_the_normal_form() {
    let source = with("{completed: 7d, failed: 90d, cancelled: forever, timeout: 3600}");
    let definition = check(&source, &EmptyCatalogue, &Bounds::default()).definition.unwrap();
    let keep: Vec<(&str, Keep)> = definition.keep.iter().map(|(status, keep)| (status.as_str(), *keep)).collect();
    let seconds = Keep::Seconds;
    let expected = [
        ("cancelled", Keep::FOREVER),
        ("completed", seconds(604_800)),
        ("failed", seconds(7_776_000)),
        ("timeout", seconds(3600)),
    ];
    assert_eq!(keep, expected);
    let text = serde_json::to_string(&definition).unwrap();
    assert_eq!(serde_json::from_str::<Definition>(&text).unwrap(), definition);
    assert!(text.contains("\"cancelled\":\"forever\""), "it can be read as source, too: {text}");
    let none =
        check(workflow("tasks: [{name: a, action: ci.a}]"), &EmptyCatalogue, &Bounds::default()).definition.unwrap();
    assert!(!serde_json::to_string(&none).unwrap().contains("keep"), "what is not said is not stored");
}

#[test]
fn anything_else_is_a_finding_with_a_hint() {
    assert_eq!(one("{failed: never}", "WF006", "keep.failed"), "write a duration such as 7d, or forever");
    one("{failed: 0}", "WF006", "keep.failed");
    one("{failed: -1}", "WF006", "keep.failed");
    one("{failed: 0.5}", "WF006", "keep.failed");
    one("{failed: [7d]}", "WF005", "keep.failed");
    assert_eq!(one("{complete: 7d}", "WF003", "keep.complete"), "did you mean `completed`?");
    one("{running: 7d}", "WF003", "keep.running");
    one("7d", "WF005", "keep");
}
