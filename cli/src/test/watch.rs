//! Notices that files have changed, by looking at them several times a second.

use crate::files::{self, Kind};
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
    pub fn take(&mut self, paths: &[PathBuf]) {
        for path in paths {
            if !self.paths.contains(path) {
                self.paths.push(path.clone());
            }
        }
        self.seen = self.now();
    }

    /// Waits until a file has changed, appeared or gone.
    pub fn wait(&mut self) {
        while self.now() == self.seen {
            std::thread::sleep(INTERVAL);
        }
    }

    fn now(&self) -> BTreeMap<PathBuf, Option<SystemTime>> {
        let changed = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
        let mut now = BTreeMap::new();
        for path in &self.paths {
            now.insert(path.clone(), changed(path));
            let below = files::collect(std::slice::from_ref(path), &[Kind::Definition, Kind::Tests]);
            now.extend(below.unwrap_or_default().into_iter().map(|file| (file.clone(), changed(&file))));
        }
        now
    }
}
