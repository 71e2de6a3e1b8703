//! docs/testing.md, docs/patterns.md and docs/program.md are correct: their files are written to a folder, and their
//! commands must print the output shown.

use std::path::{Path, PathBuf};
use std::process::Command;

use conductor::bounds::Bounds;
use conductor::rehearsal::Script;

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap()
}

/// Returns the fenced blocks: the text after the fence, and the contents.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap()).collect()
}

/// Writes the files of a page to a separate folder for the test, and returns the folder and the files' names.
fn write_files(name: &str, test: &str) -> (PathBuf, Vec<String>) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut files = Vec::new();
    for (mark, text) in blocks(&page(name)) {
        if let Some(file) = mark.strip_prefix("yaml file=") {
            let file = file.trim_end_matches(" fails");
            std::fs::write(folder.join(file), text).unwrap();
            files.push(file.to_owned());
        }
    }
    (folder, files)
}

fn run(folder: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let command = Command::new(env!("CARGO_BIN_EXE_pg-workflow")).args(arguments).current_dir(folder).output();
    let output = command.unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

#[test]
fn every_command_prints_what_the_page_shows() {
    for (name, least) in [("testing.md", 2), ("patterns.md", 6), ("program.md", 1)] {
        let (folder, _) = write_files(name, "commands");
        let page = page(name);
        let blocks = blocks(&page);
        let mut commands = 0;
        for (number, (mark, text)) in blocks.iter().enumerate() {
            let Some(mark) = mark.strip_prefix("sh") else { continue };
            let status = mark.trim().strip_prefix("status=").unwrap_or("0");
            let arguments: Vec<&str> = text.split_whitespace().collect();
            assert_eq!(arguments[0], "pg-workflow");
            let (printed, ended) = run(&folder, &arguments[1..]);
            assert_eq!(printed, blocks[number + 1].1, "{text}");
            assert_eq!(ended, status.parse().ok(), "{text}");
            commands += 1;
        }
        assert!(commands >= least, "{name}");
    }
}

#[test]
fn nothing_is_found_in_the_patterns() {
    let (folder, files) = write_files("patterns.md", "findings");
    let (tests, definitions): (Vec<&str>, Vec<&str>) =
        files.iter().map(String::as_str).partition(|file| file.ends_with(".test.yaml"));
    assert_eq!(tests.len(), definitions.len(), "a test file each");
    for definition in definitions {
        let (printed, ended) = run(&folder, &["check", "--strict", definition]);
        assert_eq!((printed, ended), (format!("{definition}: valid\n"), Some(0)));
    }
}

#[test]
fn the_other_examples_can_be_read() {
    let page = page("testing.md");
    let parts: Vec<&str> =
        blocks(&page).into_iter().filter(|(mark, _)| *mark == "yaml").map(|(_, text)| text).collect();
    assert!(!parts.is_empty());
    for part in parts {
        let script = format!("workflow: a.yaml\n{part}tests: [{{name: a, expect: {{took: 0}}}}]\n");
        assert_eq!(Script::read(&script, &Bounds::default()).1, []);
    }
}

#[test]
fn every_field_and_code_is_on_the_page() {
    let page = page("testing.md");
    let fields = "workflow answers default tests name parameters expect result fail timeout worker_dies signal nothing \
                  cancel after may_retry retry_in status output ran ran_any_order not_ran inputs errors took";
    for field in fields.split_whitespace() {
        let cell = |mark: &str| page.contains(&format!("`{field}{mark}"));
        assert!(cell("`") || cell(":"), "{field}");
    }
    for code in [601, 701, 702, 703] {
        assert!(page.contains(&format!("| WF{code} |")), "{code}");
    }
}
