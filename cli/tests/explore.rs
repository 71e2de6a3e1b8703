//! `pg-workflow explore`.

use std::path::PathBuf;
use std::process::{Command, Output};

const ORDER: &str = "ref: shop.order
label: Order
version: 1.0.0
parameters: {required: [order], properties: {order: {type: integer}}}
tasks:
  - {name: charge, action: shop.charge, on_failure: tell, on_success: ship, publish: {receipt: \"{{ result().id }}\"}}
  - {name: ship, action: shop.ship}
  - {name: tell, action: shop.mail, input: {why: \"{{ task.charge.error.type }}\"}}
";

const TESTS: &str = "workflow: order.yaml
tests:
  - name: it ships
    parameters: {order: 7}
    answers: {charge: {result: {id: 1}}}
    default: {result: null}
    expect: {status: completed}
";

fn run(command: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pg-workflow")).arg(command).args(arguments).output().unwrap()
}

/// Returns the path of a file in a folder for one test.
fn file(folder: &str, name: &str, content: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("explore").join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn what_looks_wrong_is_printed_as_a_test_file_that_passes() {
    let order = file("found", "order.yaml", ORDER);
    let output = run("explore", &["--parameters", "{order: 42}", "--runs", "50", "--seed", "3", &order]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let expected = format!(
        "# 50 runs of {order}, seed 3. Each of these tests passes as long as what its name says happens.
# These were never reached, perhaps for lack of results (--tests), so nothing is known about them:
#   transition from charge to ship when {{{{ succeeded() }}}}
#   task ship
workflow: \"{order}\"
tests:
  - name: \"1: WF605: publish receipt of task charge failed to evaluate: undefined value in {{{{ result().id }}}}\"
    parameters: {{order: 42}}
    default: {{result: null}}
    expect: {{status: failed, ran: [charge]}}
"
    );
    assert_eq!(printed, expected);
    assert_eq!(output.status.code(), Some(1));
    let replayed = run("test", &[&file("found", "found.yaml", &printed)]);
    assert_eq!(replayed.status.code(), Some(0), "{}", String::from_utf8_lossy(&replayed.stdout));
}

#[test]
fn tests_say_what_tasks_may_answer() {
    let order = file("samples", "order.yaml", ORDER);
    let tests = file("samples", "order.test.yaml", TESTS);
    let output = run("explore", &["--tests", &tests, &order]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, format!("# 1000 runs of {order}, seed 0: nothing looks wrong\n"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn parameters_may_be_a_file() {
    let order = file("parameters", "order.yaml", &ORDER.replace("type: integer", "enum: [43]"));
    let good = file("parameters", "good.yaml", "order: 43");
    let bad = file("parameters", "bad.yaml", "order: 42");
    let explored = |parameters: &str| run("explore", &["--parameters", parameters, &order]);
    assert_eq!(explored(&good).status.code(), Some(1));
    for (parameters, message) in [
        (bad.as_str(), "error: the workflow rejects the parameters: "),
        ("{order: [}", "error: the parameters can't be read: "),
        ("{}", "error: the workflow rejects the parameters: \"order\" is a required property"),
        ("/nowhere/at/all.yaml", "error: /nowhere/at/all.yaml: No such file"),
    ] {
        let output = explored(parameters);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.starts_with(message), "{told}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn what_can_not_be_used_is_explained() {
    let order = file("unusable", "order.yaml", ORDER);
    let broken = file("unusable", "broken.yaml", &ORDER.replace("on_success: ship", "on_success: shipp"));
    let tests = file("unusable", "order.test.yaml", &TESTS.replace("charge:", "chrage:"));
    for (arguments, message) in [
        (&["/nowhere/at/all.yaml"][..], "/nowhere/at/all.yaml: No such file"),
        (&[broken.as_str()], &format!("{broken}: 1 error")),
        (&["--tests", &tests, &order], &format!("{tests}: 1 error")),
    ] {
        let output = run("explore", arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.starts_with(&format!("error: {message}")), "{told}");
        assert_eq!(output.status.code(), Some(2));
    }
}
