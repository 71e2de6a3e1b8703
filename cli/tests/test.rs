//! `pg-workflow test`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ORDER: &str = "ref: shop.order
label: Order
version: 1.0.0
tasks:
  - name: charge
    action: shop.charge
    next:
      - {when: \"{{ succeeded() }}\", do: ship}
      - {when: \"{{ failed() }}\", do: apologise}
  - {name: ship, action: shop.ship}
  - {name: apologise, action: shop.mail}
";

const PASSES: &str = "workflow: order.yaml
tests:
  - name: it ships
    default: {result: 1}
    expect: {status: completed, ran: [charge, ship]}
";

/// Its first test passes, and its second fails twice.
const FAILS: &str = "workflow: order.yaml
default: {result: 1}
tests:
  - {name: it ships, expect: {ran: [charge, ship]}}
  - name: a <declined> card & \"tears\"
    expect:
      status: failed
      ran: [charge]
";

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pg-workflow")).arg("test").args(arguments).output().unwrap()
}

/// Returns a folder for one test, with a definition in it.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("test").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("order.yaml"), ORDER).unwrap();
    folder
}

fn file(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_string_lossy().into_owned()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_tests_in_examples_pass_and_cover_everything() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/deploy.test.yaml");
    let output = run(&["--coverage-threshold", "100", file]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert!(printed(&output).contains("5 tests: 5 passed, 0 failed\n"), "{}", printed(&output));
}

#[test]
fn tests_that_pass_are_listed() {
    let path = file(&folder("pass"), "a.yaml", PASSES);
    let output = run(&[&path]);
    assert_eq!(printed(&output), "passed it ships\n1 test: 1 passed, 0 failed\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn each_difference_is_shown_with_its_line() {
    let path = file(&folder("fail"), "a.yaml", FAILS);
    let output = run(&[&path]);
    let expected = format!(
        "passed it ships
FAILED a <declined> card & \"tears\"
  {path}:7: status: expected failed; got completed
  {path}:8: ran: expected [charge]; got [charge, ship]
2 tests: 1 passed, 1 failed
"
    );
    assert_eq!(printed(&output), expected);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_answer_that_is_missing_comes_with_its_remedy() {
    let path = file(&folder("remedy"), "a.yaml", &PASSES.replace("    default: {result: 1}\n", ""));
    let output = run(&[&path]);
    let expected = format!(
        "FAILED it ships
  {path}:4: play: expected the execution ends; got task charge has no answer
    help: add `charge: {{result: …}}` to `answers`, or a `default`
1 test: 0 passed, 1 failed
"
    );
    assert_eq!(printed(&output), expected);
}

#[test]
fn the_results_are_also_written_for_machines() {
    let folder = folder("junit");
    let (good, bad) = (file(&folder, "good.yaml", PASSES), file(&folder, "bad.yaml", FAILS));
    let broken = file(&folder, "broken.yaml", "workflow: order.yaml");
    let xml = folder.join("results.xml");
    let output = run(&["--junit", &xml.to_string_lossy(), &good, &bad, &broken]);
    assert_eq!(output.status.code(), Some(2));
    let written = std::fs::read_to_string(&xml).unwrap();
    let lines: Vec<String> = written.lines().map(|line| without_time(line.trim())).collect();
    let expected = [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned(),
        "<testsuites>".to_owned(),
        format!("<testsuite name=\"{good}\" tests=\"1\" failures=\"0\" errors=\"0\">"),
        format!("<testcase name=\"it ships\" classname=\"{good}\" file=\"{good}\" line=\"3\"/>"),
        "</testsuite>".to_owned(),
        format!("<testsuite name=\"{bad}\" tests=\"2\" failures=\"1\" errors=\"0\">"),
        format!("<testcase name=\"it ships\" classname=\"{bad}\" file=\"{bad}\" line=\"4\"/>"),
        format!(
            "<testcase name=\"a &lt;declined&gt; card &amp; &quot;tears&quot;\" classname=\"{bad}\" file=\"{bad}\" line=\"5\">"
        ),
        format!(
            "<failure message=\"{bad}:7: status: expected failed; got completed\">{bad}:7: status: expected failed; got \
             completed&#10;{bad}:8: ran: expected [charge]; got [charge, ship]</failure>"
        ),
        "</testcase>".to_owned(),
        "</testsuite>".to_owned(),
        format!("<testsuite name=\"{broken}\" tests=\"1\" failures=\"0\" errors=\"1\">"),
        format!("<testcase name=\"{broken}\" classname=\"{broken}\">"),
        "<error message=\"1 error\"/>".to_owned(),
        "</testcase>".to_owned(),
        "</testsuite>".to_owned(),
        "</testsuites>".to_owned(),
    ];
    assert_eq!(lines, expected);
}

/// Removes durations.
fn without_time(line: &str) -> String {
    match line.split_once(" time=\"") {
        Some((before, after)) => format!("{before}{}", after.split_once('"').unwrap().1),
        None => line.to_owned(),
    }
}

#[test]
fn what_no_test_reached_is_listed() {
    let folder = folder("coverage");
    let path = file(&folder, "a.yaml", PASSES);
    let order = folder.join("order.yaml").display().to_string();
    let output = run(&["--coverage", &path]);
    let expected = format!(
        "passed it ships
1 test: 1 passed, 0 failed
{order}: 60 % covered (3 of 5 tasks and transitions)
  {order}:9: transition from charge to apologise when {{{{ failed() }}}}
  {order}:11: task apologise
"
    );
    assert_eq!(printed(&output), expected);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_page_may_show_tests_that_fail_and_definitions_with_errors() {
    let folder = folder("shown_failures");
    let page = |order: &str, definition: &str| {
        let text = format!(
            "# Page\n\n```yaml file=a.yaml\nref: shop.b\nlabel: A\nversion: 1.0.0\ntasks: [{{name: a, action: shop.c}}]\n```\n\n\
             ```yaml file=a.test.yaml fails\nworkflow: a.yaml\ndefault: {{result: null}}\ntests:\n  - {{name: it, expect: {{ran: {order}}}}}\n```\n\n\
             ```yaml file=b.yaml fails\nref: shop.d\nlabel: D\nversion: 1.0.0\ntasks: [{{name: a, {definition}: shop.c}}]\n```\n"
        );
        file(&folder, "page.md", &text)
    };
    let check = |page: &str| Command::new(env!("CARGO_BIN_EXE_pg-workflow")).args(["check", page]).output().unwrap();
    let shown = page("[a, a]", "acton");
    let output = run(&["--coverage", &shown]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert!(
        printed(&output).starts_with("failed as it should: it\n1 test: 1 passed, 0 failed\n"),
        "{}",
        printed(&output)
    );
    let checked = check(&shown);
    assert_eq!(checked.status.code(), Some(0), "{}", printed(&checked));
    assert!(printed(&checked).contains(": 1 error, as there should be\n"), "{}", printed(&checked));
    let shown = page("[a]", "action");
    let output = run(&[&shown]);
    assert_eq!(output.status.code(), Some(1));
    let told = "page.md:14: test: expected a failure, as the page says; got none\n    help: correct the test, or";
    assert!(printed(&output).contains(told), "{}", printed(&output));
    let checked = check(&shown);
    assert_eq!(checked.status.code(), Some(1));
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(told.contains("b.yaml has no errors, although its block is marked `fails`"), "{told}");
}

#[test]
fn coverage_counts_all_files_together_and_may_be_too_low() {
    let folder = folder("threshold");
    let good = file(&folder, "good.yaml", PASSES);
    let declined =
        PASSES.replace("{result: 1}", "{result: 1}\n    answers: {charge: {fail: 1}}").replace("ship]", "apologise]");
    let declined = file(&folder, "declined.yaml", &declined);
    let output = run(&["--coverage-threshold", "60.5", &good]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).ends_with("order.yaml: less than the required 60.5 %\n"), "{}", printed(&output));
    assert_eq!(run(&["--coverage-threshold", "60", &good]).status.code(), Some(0));
    assert_eq!(run(&["--coverage-threshold", "100", &good, &declined]).status.code(), Some(0));
}

#[test]
fn files_that_can_not_be_used_are_status_2_and_the_others_are_run() {
    let folder = folder("unusable");
    let good = file(&folder, "good.yaml", PASSES);
    file(&folder, "broken.yaml", &ORDER.replace("do: ship", "do: shipp"));
    for (content, shown) in [
        (PASSES.replace("workflow: order.yaml\n", ""), "error[WF004]: a test file has no `workflow`"),
        (PASSES.replace("order.yaml", "nowhere.yaml"), "nowhere.yaml can't be used: No such file"),
        (PASSES.replace("order.yaml", "broken.yaml"), "error[WF104]: transition to the undefined task `shipp`"),
        (PASSES.replace("charge, ship", "charge, shipp"), "error[WF701]: there is no task `shipp`"),
        (PASSES.replace("tests:", "test:"), "error[WF003]: unknown field `test` of a test file"),
    ] {
        let bad = file(&folder, "bad.yaml", &content);
        let output = run(&[&bad, &good]);
        assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
        assert!(printed(&output).contains(shown), "{}", printed(&output));
        assert!(printed(&output).ends_with("passed it ships\n1 test: 1 passed, 0 failed, 1 file can't be used\n"));
    }
    let output = run(&["/nowhere/at/all.yaml", &good]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(told.contains("error: /nowhere/at/all.yaml: No such file"), "{told}");
    assert!(printed(&output).contains("passed it ships\n"), "{}", printed(&output));
}

#[test]
fn wrong_arguments_are_explained() {
    for (arguments, message) in [
        (&[][..], "<PATH>..."),
        (&["--junit"], "--junit <FILE>"),
        (&["--coverage-threshold", "all", "a.yaml"], "must be 0 to 100"),
        (&["--coverage-threshold", "101", "a.yaml"], "must be 0 to 100"),
        (&["--covrage", "a.yaml"], "'--coverage'"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.starts_with("error: ") && told.contains(message), "{told}");
    }
    let path = file(&folder("arguments"), "a.yaml", PASSES);
    assert_eq!(run(&["--junit", "/nowhere/at/all.xml", &path]).status.code(), Some(2));
}

#[test]
fn nothing_in_a_file_reaches_the_terminal_as_a_command() {
    let folder = folder("escape");
    let hostile = PASSES.replace("name: it ships", "name: \"\\e[31m\\r\"").replace("completed", "failed");
    let hostile = hostile.replace("default: {result: 1}", "default: {fail: {message: \"\\e[31m\"}}");
    let path = file(&folder, "a.yaml", &hostile);
    let xml = folder.join("results.xml");
    let output = run(&["--junit", &xml.to_string_lossy(), &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stdout.contains(&0x1b) && !output.stdout.contains(&b'\r'));
    assert!(!std::fs::read(&xml).unwrap().contains(&0x1b));
}

#[test]
fn a_directory_stands_for_its_test_files_and_a_page_for_those_it_shows() {
    let folder = folder("directory");
    file(&folder, "a.test.yaml", PASSES);
    file(&folder, "notes.yaml", "workflow: no test file");
    let page = format!("# Page\n\n```yaml file=order.yaml\n{ORDER}```\n\n```yaml file=b.test.yaml\n{FAILS}```\n");
    file(&folder, "guide.md", &page);
    let output = run(&[&folder.to_string_lossy()]);
    // The second test's expectation of `status` is line 26 of the page.
    let line = 1 + page[..page.find("status: failed").unwrap()].matches('\n').count();
    let expected = format!("{}:{line}: status: expected failed", folder.join("guide.md").display());
    assert!(printed(&output).contains(&expected), "{}", printed(&output));
    assert!(printed(&output).ends_with("3 tests: 2 passed, 1 failed\n"), "{}", printed(&output));
    let empty = folder.join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let output = run(&[&empty.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: Test files are named NAME.test.yaml."));
}

#[test]
fn results_are_printed_for_programs() {
    let folder = folder("formats");
    let (path, broken) = (file(&folder, "a.yaml", FAILS), file(&folder, "b.yaml", "workflow: order.yaml"));
    let tap = printed(&run(&["--format", "tap", &path, &broken]));
    let expected = format!(
        "TAP version 14
1..3
ok 1 - it ships
not ok 2 - a <declined> card & \"tears\"
  ---
  message:
    - \"{path}:7: status: expected failed; got completed\"
    - \"{path}:8: ran: expected [charge]; got [charge, ship]\"
  ...
not ok 3 - {broken}
  ---
  message:
    - \"1:1: WF004: a test file has no `tests`\"
  ...
"
    );
    assert_eq!(tap, expected);
    let github = printed(&run(&["--format", "github", &path]));
    assert!(github.starts_with(&format!("::error file={path},line=7,title=a <declined> card & \"tears\"::status: ")));
    let output = run(&["--format", "json", "--filter", "ships", &path]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json.as_array().map(Vec::len), Some(1));
    assert_eq!((json[0]["test"].as_str(), json[0]["passed"].as_bool()), (Some("it ships"), Some(true)));
}

#[test]
fn coverage_is_drawn() {
    let folder = folder("drawn");
    let path = file(&folder, "a.yaml", PASSES);
    let drawn = folder.join("coverage");
    assert_eq!(run(&["--coverage-graphs", &drawn.to_string_lossy(), &path]).status.code(), Some(0));
    let svg = std::fs::read_to_string(drawn.join("shop.order.svg")).unwrap();
    assert!(
        svg.contains("<title>ship: completed</title>") && svg.contains("<title>apologise: failed</title>"),
        "{svg}"
    );
    assert_eq!(svg.matches("stroke=\"#d33\"").count(), 1, "the transition to apologise alone is missed");
}

#[test]
fn thousands_of_tests_run_in_seconds() {
    let folder = folder("many");
    let tests: String =
        (0..1000).map(|number| format!("  - {{name: t{number}, expect: {{ran: [charge, ship]}}}}\n")).collect();
    for number in 0..5 {
        let name = format!("{number}.test.yaml");
        file(&folder, &name, &format!("workflow: order.yaml\ndefault: {{result: 1}}\ntests:\n{tests}"));
    }
    let begun = std::time::Instant::now();
    let output = run(&["--format", "tap", &folder.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert_eq!(printed(&output).matches("\nok ").count(), 5000);
    // Much less on an idle machine.
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn tests_run_again_when_a_test_or_its_definition_changes() {
    use std::io::{BufRead, BufReader};
    let folder = folder("watch");
    let path = file(&folder, "a.test.yaml", PASSES);
    // Whatever goes wrong, it ends.
    let mut child = Command::new("timeout")
        .args(["60", env!("CARGO_BIN_EXE_pg-workflow"), "test", "--watch", &path])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = |text: &str| while !lines.next().expect(text).unwrap().contains(text) {};
    until("1 test: 1 passed, 0 failed");
    until("waiting for changes");
    file(&folder, "a.test.yaml", FAILS);
    until("2 tests: 1 passed, 1 failed");
    until("waiting for changes");
    file(&folder, "order.yaml", &ORDER.replace("do: ship", "do: shipp"));
    until("1 file can't be used");
    until("waiting for changes");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    child.wait().unwrap();
}

#[test]
fn a_file_that_does_not_exist_is_an_error() {
    let output = run(&["nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(told.starts_with("error: nowhere: No such file"), "{told}");
    assert!(!printed(&output).contains("nowhere"), "{}", printed(&output));
}
