//! `pg-workflow check`.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const GOOD: &str = "ref: test.it\nlabel: It\nversion: 1.0.0\ntasks: [{name: a}]\n";

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pg-workflow")).arg("check").args(arguments).output().unwrap()
}

/// Returns the path of a file for this test process.
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

/// A workflow with five kinds of errors: a parameter, a field, a transition, a value and a filter that do not exist.
const FIVE_MISTAKES: &str = r#"ref: shop.order
label: Order
version: 1.0.0
parameters:
  type: object
  required: [order]
  properties:
    order: {type: integer}
vars: [{receipt: none}]
tasks:
  - name: charge
    action: shop.charge
    input: {order: "{{ parameters.oder }}"}
    tiemout: 5m
    publish: [{receipt: "{{ result().receipt }}"}]
    on_success: shipp
  - name: ship
    action: shop.ship
    with_items: {items: [1, 2], on_item_failure: ignore}
    input: {parcel: "{{ item }}", receipt: "{{ vars.receipt | lowercase }}"}
"#;

#[test]
fn what_is_printed_suffices_to_mend_a_workflow_with_five_mistakes() {
    let path = file("mistakes.yaml", FIVE_MISTAKES.as_bytes());
    let output = run(&[&path]);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut findings: Vec<&str> = printed.trim_end().split("\n\n").collect();
    assert_eq!(findings.pop(), Some(format!("{path}: 5 errors").as_str()));
    assert_eq!(findings.len(), 5, "{printed}");

    // Everything is taken from the output: the location, the marked text, and a word suggested by the help.
    let mut lines: Vec<String> = FIVE_MISTAKES.lines().map(str::to_owned).collect();
    for (finding, (code, choice)) in findings.iter().zip([
        ("WF303", "order"),
        ("WF003", "timeout"),
        ("WF104", "ship"),
        ("WF006", "continue"),
        ("WF305", "lower"),
    ]) {
        assert!(finding.starts_with(&format!("error[{code}]: ")), "{finding}");
        let after = |mark: &str| finding.split_once(mark).unwrap_or_else(|| panic!("no {mark} in {finding}")).1;
        let (line, column) = after(&format!("--> {path}:")).lines().next().unwrap().split_once(':').unwrap();
        let (line, column): (usize, usize) = (line.parse().unwrap(), column.parse().unwrap());
        let marked = column - 1..column - 1 + finding.matches('^').count();
        let help = after("= help: ");
        assert!(help.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == choice), "{finding}");
        lines[line - 1].replace_range(marked, choice);
    }

    let path = file("mended.yaml", lines.join("\n").as_bytes());
    let output = run(&[&path]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{path}: valid\n"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn warnings_alone_are_no_failure() {
    let path = file("warning.yaml", GOOD.replace("name: a", "name: a, join: all").as_bytes());
    let output = run(&[&path]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("valid, 1 warning\n"));
}

#[test]
fn warnings_are_failures_if_it_is_strict() {
    let warned = file("strict.yaml", GOOD.replace("name: a", "name: a, join: all").as_bytes());
    for arguments in [["--strict", &warned], [&warned, "--strict"]] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stdout).ends_with("valid, 1 warning\n"));
    }
    let good = file("strictly_good.yaml", GOOD.as_bytes());
    assert_eq!(run(&["--strict", &good]).status.code(), Some(0));
    assert_eq!(run(&["--strict", &good, "/nowhere/at/all.yaml"]).status.code(), Some(2));
    assert_eq!(run(&["--strict"]).status.code(), Some(2));
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
    let mut child = Command::new(env!("CARGO_BIN_EXE_pg-workflow"))
        .args(["check", "-"])
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

/// Returns a folder with a file of actions, and definitions that call them.
fn pack(name: &str, task: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let actions =
        "actions:\n  - ref: test.work\n    parameters: {required: [size], properties: {size: {type: integer}}}\n";
    std::fs::write(folder.join("actions.yaml"), actions).unwrap();
    std::fs::write(folder.join("it.yaml"), GOOD.replace("name: a", task)).unwrap();
    std::fs::write(folder.join("compose.yaml"), "services: {a: {image: b}}").unwrap();
    folder.to_string_lossy().into_owned()
}

#[test]
fn calls_are_checked_against_the_actions_beside_them() {
    let checked = |name: &str, task: &str| {
        let output = run(&["--format", "json", &pack(name, task)]);
        let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let codes = findings.as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap().to_owned());
        (codes.collect::<Vec<_>>(), output.status.code())
    };
    assert_eq!(checked("pack_good", "name: a, action: test.work, input: {size: 1}"), (vec![], Some(0)));
    assert_eq!(checked("pack_unknown", "name: a, action: test.wrk"), (vec!["WF501".to_owned()], Some(1)));
    assert_eq!(checked("pack_input", "name: a, action: test.work"), (vec!["WF503".to_owned()], Some(1)));
    assert_eq!(checked("pack_other", "name: a, action: other.pack"), (vec![], Some(0)));
}

#[test]
fn findings_are_printed_for_programs() {
    let path = file("formats.yaml", GOOD.replace("name: a", "name: a, acton: ci.build").as_bytes());
    let sarif: serde_json::Value = serde_json::from_slice(&run(&["--format", "sarif", &path]).stdout).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!((result["ruleId"].as_str(), result["level"].as_str()), (Some("WF003"), Some("error")));
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!((region["startLine"].as_i64(), region["startColumn"].as_i64()), (Some(4), Some(19)));
    assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][0]["id"], "WF003");
    let output = run(&["--format", "github", &path]);
    let expected = format!(
        "::error file={path},line=4,col=19,title=WF003::unknown field `acton` of a task%0Ahelp: did you mean `action`?\n"
    );
    assert_eq!((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code()), (expected, Some(1)));
    let output = run(&["--format", "json", "/nowhere/at/all.yaml"]);
    assert_eq!((output.stdout, output.status.code()), (b"[]\n".to_vec(), Some(2)));
}

#[test]
fn a_definition_is_drawn() {
    let path = file("drawn.yaml", GOOD.as_bytes());
    assert_eq!(run(&["--graph", "mermaid", &path]).stdout, b"flowchart TD\n  t0[\"a\"]\n");
}

#[test]
fn colors_are_for_those_who_want_them() {
    let path = file("colored.yaml", GOOD.as_bytes());
    let printed = |color: &str| run(&["--color", color, &path]).stdout;
    assert!(printed("always").contains(&0x1b));
    assert!(!printed("never").contains(&0x1b) && !printed("auto").contains(&0x1b));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let path = file("pipe.yaml", GOOD.replace("name: a", "nam: a").as_bytes());
    let mut child = Command::new(env!("CARGO_BIN_EXE_pg-workflow"))
        .arg("check")
        .args(vec![&path; 2000])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn what_can_not_be_read_in_a_directory_is_not_passed_over() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("unreadable");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("good.yaml"), GOOD).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all.yaml", folder.join("gone.yaml")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("pipe.yaml")).status().unwrap().success());
    let output = run(&[&folder.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("gone.yaml: No such file"));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("good.yaml: valid\n"));
}

#[test]
fn what_can_not_be_read_is_named_and_the_rest_is_checked() {
    use std::os::unix::fs::PermissionsExt;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("closed_to_all");
    let closed = folder.join("closed");
    let mode = |mode| std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode));
    let _ = mode(0o755);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&closed).unwrap();
    std::fs::write(folder.join("good.yaml"), GOOD).unwrap();
    std::fs::write(folder.join("page.md"), b"# Title\n\n```yaml file=a.yaml\nref: \xff\n```\n").unwrap();
    mode(0o000).unwrap();
    // Without this, root may read everything.
    let output = Command::new("setpriv")
        .args(["--bounding-set", "-dac_override,-dac_read_search", env!("CARGO_BIN_EXE_pg-workflow"), "check"])
        .arg(&folder)
        .output()
        .unwrap();
    mode(0o755).unwrap();
    let (printed, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(2), "{printed}{told}");
    assert!(printed.contains("good.yaml: valid\n"), "{printed}");
    assert!(told.contains(&format!("error: {}: Permission denied", closed.display())), "{told}");
    assert!(told.contains("page.md: line 4 is not UTF-8\n"), "{told}");
}
