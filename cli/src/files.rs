//! The files that a command processes, and their contents.
//!
//! A directory stands for the definitions and test files below it. A Markdown page stands for the files in its blocks
//! marked `yaml file=NAME`: it is treated as a directory, `guide.md/NAME`. A block marked `yaml file=NAME fails` shows
//! what goes wrong: a definition with errors, or tests that fail.

use crate::exit_status::Failure;
use conductor::bounds::Bounds;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What a file is, by its name and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A definition of a workflow.
    Definition,
    /// Tests of a workflow: `*.test.yaml`.
    Tests,
    /// The pack's `pack.yaml` or `actions.yaml`.
    Pack,
}

impl Kind {
    /// Returns the kind of a file that was named on the command line.
    pub fn of_named(path: &Path) -> Kind {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = ["yaml", "yml", "json"].iter().find_map(|end| name.strip_suffix(&format!(".{end}")));
        match stem {
            Some("actions" | "pack") => Kind::Pack,
            Some(stem) if stem.ends_with(".test") => Kind::Tests,
            _ => Kind::Definition,
        }
    }

    /// Returns the kind of a file that was found in a directory, or `None` for any other file.
    fn of_found(path: &Path) -> Option<Kind> {
        let end = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if !matches!(end.as_str(), "yaml" | "yml" | "json") {
            return None;
        }
        match Kind::of_named(path) {
            Kind::Definition => {
                // A file that can't be read may be a definition, and must not be skipped silently.
                let Ok(source) = read(path) else { return Some(Kind::Definition) };
                let text = String::from_utf8_lossy(&source);
                looks_like_a_definition(&text, end == "json").then_some(Kind::Definition)
            }
            kind => Some(kind),
        }
    }
}

/// Whether the top level of a text has both a ref and tasks. If it can't be parsed, it may be a definition with errors.
fn looks_like_a_definition(text: &str, json: bool) -> bool {
    if json && let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
        return value.get("ref").is_some() && value.get("tasks").is_some();
    }
    let has = |key: &str| match json {
        true => text.contains(&format!("\"{key}\"")),
        false => text.lines().any(|line| line.starts_with(&format!("{key}:"))),
    };
    has("ref") && has("tasks") || !json && text.trim_start().starts_with('{') && looks_like_a_definition(text, true)
}

/// Returns the files of this kind among the named paths, in order: files as they are, and the contents of directories.
pub fn collect(named: &[PathBuf], wanted: &[Kind]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        let before = files.len();
        let is_folder = path.is_dir() || is_page(path);
        if is_folder {
            walk(path, wanted, &mut files);
        } else {
            files.push(path.clone());
        }
        if files.len() == before {
            let what = if wanted.contains(&Kind::Tests) && wanted.len() == 1 { "test files" } else { "definitions" };
            let failure = Failure::unusable(format!("no {what} in {}", path.display()));
            return Err(match what {
                "test files" => failure.hint("Test files are named NAME.test.yaml."),
                _ => failure.hint("Definitions are YAML or JSON files with `ref` and `tasks`."),
            });
        }
    }
    Ok(files)
}

/// Returns the definitions directly in a directory.
pub fn definitions_of(folder: &Path) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(here).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| Kind::of_found(path) == Some(Kind::Definition)).collect();
    files.sort();
    files
}

/// Adds the files below a directory or in a page. One that can't be read is added itself, so that whoever reads it says
/// why, and goes on with the rest.
fn walk(folder: &Path, wanted: &[Kind], files: &mut Vec<PathBuf>) {
    let Ok(entries) = entries(folder) else {
        files.push(folder.to_owned());
        return;
    };
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Symbolic links to directories may lead back here.
        let is_folder = path.is_dir() && !path.is_symlink();
        if name.starts_with('.') || is_folder && matches!(name.as_str(), "target" | "node_modules") {
            continue;
        }
        if is_folder || is_page(&path) {
            walk(&path, wanted, files);
            continue;
        }
        // Anything else, such as a pipe, could make us wait.
        let is_special = path.exists() && !path.is_file() && !is_page(folder);
        if !is_special && Kind::of_found(&path).is_some_and(|kind| wanted.contains(&kind)) {
            files.push(path);
        }
    }
}

/// Returns the contents of a directory, in order, or the files of a page.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if is_page(folder) {
        return Ok(blocks(&text_of(folder)?).map(|block| folder.join(block.name)).collect());
    }
    let mut entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// Reads a page.
fn text_of(page: &Path) -> io::Result<String> {
    String::from_utf8(std::fs::read(page)?).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "md") && path.is_file()
}

/// A file that a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block<'p> {
    name: &'p str,
    /// Whether it shows what goes wrong.
    fails: bool,
    /// Number of lines before it.
    lines: usize,
    content: &'p str,
}

/// Returns the files that a page shows.
fn blocks(page: &str) -> impl Iterator<Item = Block<'_>> {
    const MARK: &str = "```yaml file=";
    page.match_indices(MARK).filter(|(at, _)| *at == 0 || page[..*at].ends_with('\n')).filter_map(|(at, _)| {
        let (mark, rest) = page[at + MARK.len()..].split_once('\n')?;
        let content = rest.split_once("\n```").map_or(rest, |(content, _)| content);
        let lines = page[..at].matches('\n').count() + 1;
        // A name is that of a file in this page, not a way out of it.
        let mark = mark.trim();
        let name = mark.strip_suffix(" fails").unwrap_or(mark);
        (!name.contains('/') && name != "..").then_some(Block { name, fails: name != mark, lines, content })
    })
}

/// Reads a file, or standard input for `-`, as far as is needed to notice that it is too large. A file of a page has as
/// many empty lines before it as the page has lines, so that places in it are places in the page.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let most = Bounds::default().source_bytes as u64 + 1;
    let mut source = Vec::new();
    if path == Path::new("-") {
        io::stdin().take(most).read_to_end(&mut source)?;
    } else if let Some(page) = page_of(path) {
        let text = text_of(page)?;
        let found = blocks(&text).find(|block| path.ends_with(block.name)).ok_or(io::ErrorKind::NotFound)?;
        source = "\n".repeat(found.lines).into_bytes();
        source.extend_from_slice(found.content.as_bytes());
    } else {
        std::fs::File::open(path)?.take(most).read_to_end(&mut source)?;
        if is_page(path) {
            text_of(path)?;
        }
    }
    Ok(source)
}

/// Returns the text shown for a path: a file of a page is shown as the page, because line numbers refer to the page.
pub fn shown(path: &Path) -> String {
    page_of(path).unwrap_or(path).display().to_string()
}

/// Whether a path is a file of a page that is marked as showing what goes wrong.
pub fn is_meant_to_fail(path: &Path) -> bool {
    let page = page_of(path).and_then(|page| std::fs::read_to_string(page).ok());
    page.is_some_and(|page| blocks(&page).any(|block| path.ends_with(block.name) && block.fails))
}

/// Returns the page that a path is a file of.
fn page_of(path: &Path) -> Option<&Path> {
    path.parent().filter(|page| is_page(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_name_and_content() {
        assert_eq!(Kind::of_named(Path::new("a/order.yaml")), Kind::Definition);
        assert_eq!(Kind::of_named(Path::new("a/order.test.yml")), Kind::Tests);
        assert_eq!(Kind::of_named(Path::new("a/actions.yaml")), Kind::Pack);
        assert!(looks_like_a_definition("ref: a.b\ntasks: []\n", false));
        assert!(looks_like_a_definition("{\"ref\": \"a.b\", \"tasks\": {}}", true));
        assert!(looks_like_a_definition("{\"ref\": \"a.b\", \"tasks\": [", true));
        assert!(!looks_like_a_definition("{\"properties\": {\"ref\": {}, \"tasks\": {}}}", true), "a JSON Schema");
        assert!(!looks_like_a_definition("services:\n  ref: a\n  tasks: b\n", false));
    }

    #[test]
    fn the_files_of_a_page_keep_their_lines() {
        let page = "# Title\n\n```yaml file=a.yaml\nref: a.b\ntasks: []\n```\n\n```yaml file=../b.yaml\nx\n```\n\n\
                    ```yaml file=c.test.yaml fails\ntests: []\n```\n";
        let found: Vec<_> = blocks(page).collect();
        assert_eq!(
            found,
            [
                Block { name: "a.yaml", fails: false, lines: 3, content: "ref: a.b\ntasks: []" },
                Block { name: "c.test.yaml", fails: true, lines: 12, content: "tests: []" },
            ]
        );
    }
}
