//! docs/testing.md is correct: its files are written to a folder, and its commands print what it shows.

use std::path::{Path, PathBuf};
use std::process::Command;

use conductor::language::limits::Limits;
use conductor::rehearsal::Script;

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/testing.md")).unwrap()
}

/// Returns the fenced blocks: what stands beside the fence, and the text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap()).collect()
}

#[test]
fn every_command_prints_what_the_page_shows() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("testing_docs");
    std::fs::create_dir_all(&folder).unwrap();
    let page = page();
    let blocks = blocks(&page);
    let mut commands = 0;
    for (number, (mark, text)) in blocks.iter().enumerate() {
        if let Some(file) = mark.strip_prefix("yaml file=") {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let Some(mark) = mark.strip_prefix("sh") else { continue };
        let status = mark.trim().strip_prefix("status=").unwrap_or("0");
        let arguments: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(arguments[0], "workflow-check");
        let output =
            Command::new(env!("CARGO_BIN_EXE_workflow-check")).args(&arguments[1..]).current_dir(&folder).output();
        let output = output.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), blocks[number + 1].1, "{text}");
        assert_eq!(output.status.code(), status.parse().ok(), "{text}");
        commands += 1;
    }
    assert!(commands >= 2);
}

#[test]
fn the_other_examples_can_be_read() {
    let page = page();
    let parts: Vec<&str> =
        blocks(&page).into_iter().filter(|(mark, _)| *mark == "yaml").map(|(_, text)| text).collect();
    assert!(!parts.is_empty());
    for part in parts {
        let script = format!("workflow: a.yaml\n{part}tests: [{{name: a, expect: {{took: 0}}}}]\n");
        assert_eq!(Script::read(&script, &Limits::default()).1, []);
    }
}

#[test]
fn every_field_and_code_is_on_the_page() {
    let page = page();
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
