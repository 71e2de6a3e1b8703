//! The command `workflow-check`.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const GOOD: &str = "ref: test.it\nlabel: It\nversion: 1.0.0\ntasks: [{name: a}]\n";

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_workflow-check")).args(arguments).output().unwrap()
}

/// A file of this test process.
fn file(name: &str, content: &[u8]) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn a_valid_file_is_told_so() {
    let path = file("good.yaml", GOOD.as_bytes());
    let output = run(&[&path]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{path}: valid\n"));
}

#[test]
fn each_finding_is_shown_in_its_source() {
    let path = file("bad.yaml", GOOD.replace("name: a", "name: a, acton: ci.build").as_bytes());
    let output = run(&[&path]);
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "error[WF003]: unknown field `acton` of a task
 --> {path}:4:19
  |
4 | tasks: [{{name: a, acton: ci.build}}]
  |                   ^^^^^
  |
  = help: did you mean `action`?

{path}: 1 error
"
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn warnings_alone_are_no_failure() {
    let path = file("warning.yaml", GOOD.replace("name: a", "name: a, join: all").as_bytes());
    let output = run(&[&path]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("valid, 1 warning\n"));
}

#[test]
fn a_file_that_can_not_be_read_is_status_2_and_the_others_are_checked() {
    let path = file("other.yaml", GOOD.as_bytes());
    let output = run(&["/nowhere/at/all.yaml", &path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/at/all.yaml"));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("valid\n"));
    assert_eq!(run(&[]).status.code(), Some(2));
}

#[test]
fn standard_input_is_a_file_too() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_workflow-check"))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(GOOD.as_bytes()).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn hostile_files_are_shown_without_harm() {
    for (name, content) in [
        ("latin.yaml", b"ref: test.it\nlabel: \xe4\n".to_vec()),
        ("long.yaml", format!("{{\"ref\": \"{}\"}}", "x".repeat(500_000)).into_bytes()),
        ("returns.yaml", GOOD.replace("name: a", "nam: a").replace('\n', "\r").into_bytes()),
        ("escape.yaml", GOOD.replace("name: a", "name: \"\\e[31m\"").into_bytes()),
        ("empty.yaml", Vec::new()),
        ("large.yaml", vec![b'#'; 3 << 20]),
    ] {
        let output = run(&[&file(name, &content)]);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stdout.contains(&0x1b), "{name}");
    }
}
