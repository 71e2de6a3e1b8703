//! Detects changes of files by checking them several times per second.

use crate::files::{self, Kind};
use crate::output;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(200);

/// The paths that are watched, and when each file below them was last changed.
#[derive(Default)]
pub struct Watched {
    paths: Vec<PathBuf>,
    seen: BTreeMap<PathBuf, Option<SystemTime>>,
}

impl Watched {
    /// Watches these paths too.
    pub fn add(&mut self, paths: &[PathBuf]) {
        for path in paths.iter().filter(|path| !self.paths.contains(path)).cloned().collect::<Vec<_>>() {
            self.seen.extend(below(&path));
            self.paths.push(path);
        }
    }

    /// Records the files as they are now: only later changes count.
    pub fn look(&mut self) {
        self.seen = self.now();
    }

    /// Waits until a file has changed, appeared or disappeared.
    pub fn wait(&mut self) {
        while self.now() == self.seen {
            std::thread::sleep(INTERVAL);
            output::end_if_unread();
        }
    }

    fn now(&self) -> BTreeMap<PathBuf, Option<SystemTime>> {
        self.paths.iter().flat_map(|path| below(path)).collect()
    }
}

/// Returns a path and the files below it, each with the time of its last change.
fn below(path: &Path) -> Vec<(PathBuf, Option<SystemTime>)> {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    let files = files::collect(&[path.to_path_buf()], &[Kind::Definition, Kind::Tests]).unwrap_or_default();
    [path.to_path_buf()].into_iter().chain(files).map(|file| (file.clone(), changed(&file))).collect()
}
