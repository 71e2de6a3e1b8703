//! The modules of the extension and of the conductor are layers: none uses one above it (`docs/architecture.md`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. Any module may use those that are not listed.
const EXTENSION: &[&str] = &["api", "engine", "store", "limits", "queue", "caller", "cache", "pg"];
const CONDUCTOR: &[&str] = &["testing", "rehearsal", "engine", "view", "graph", "language", "expression", "source"];

/// Returns the files of a module: `<name>.rs`, and those in its folder.
fn files(source: &Path, module: &str) -> Vec<PathBuf> {
    let (mut files, mut folders) = (vec![source.join(format!("{module}.rs"))], vec![source.join(module)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// Returns the modules that lines of code, not comments, refer to by `crate::<name>`.
fn used(text: &str) -> BTreeSet<&str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let paths = code.flat_map(|line| line.split("crate::").skip(1));
    paths.filter_map(|path| path.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()).collect()
}

fn check(source: &str, layers: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(source);
    let mut uses = 0;
    for (height, module) in layers.iter().enumerate() {
        for file in files(&source, module) {
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let used = used(&text);
            uses += used.len();
            let above: Vec<_> = layers[..height].iter().filter(|layer| used.contains(**layer)).collect();
            assert!(above.is_empty(), "{} uses {above:?}, above {module}", file.display());
        }
    }
    assert!(uses > 100, "{} has been looked at in vain", source.display());
}

#[test]
fn no_module_of_the_extension_uses_one_above_it() {
    check("extension/src", EXTENSION);
}

#[test]
fn no_module_of_the_conductor_uses_one_above_it() {
    check("extension/conductor/src", CONDUCTOR);
}
