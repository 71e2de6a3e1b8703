//! A separate server, for tests that a shared one would not survive.

use sqlx::postgres::PgConnectOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server. It is removed at the end of the test.
pub struct Server {
    dir: PathBuf,
    /// Options for connecting to it.
    pub options: PgConnectOptions,
}

/// Returns the major version of the server that is tested, PostgreSQL 15 by default.
pub fn major() -> u32 {
    let major = std::env::var("PG_WORKFLOW_MAJOR").unwrap_or_else(|_| "15".to_owned());
    major.parse().expect("PG_WORKFLOW_MAJOR is a number")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn script(arguments: &[&str], dir: &Path) -> String {
    let [command, rest @ ..] = arguments else { panic!("no command") };
    let output = Command::new(root().join("scripts/server"))
        .arg(command)
        .arg(dir)
        .args(rest)
        .stderr(Stdio::inherit())
        .output()
        .expect("scripts/server runs");
    assert!(output.status.success(), "scripts/server {command}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

impl Server {
    /// Creates a server with these lines in its configuration.
    pub fn create(name: &str, lines: &[&str]) -> Server {
        Server::of_tree(&major().to_string(), name, lines)
    }

    /// Creates one with another PostgreSQL: a major version, or `citus`.
    pub fn of_tree(major: &str, name: &str, lines: &[&str]) -> Server {
        let dir = root().join(format!("target/test-{name}-{major}"));
        script(&[&["create", major, "fsync=off"], lines].concat(), &dir);
        let environment = script(&["env"], &dir);
        let url = environment.lines().find_map(|line| line.split_once("DATABASE_URL=")).expect("it says its URL").1;
        let url = url.split_whitespace().next().unwrap().trim_matches(['\'', '"']);
        let options = url.parse::<PgConnectOptions>().expect("a URL").application_name("pg_workflow_tests");
        Server { dir, options }
    }

    /// Stops it, as `pg_ctl stop` does with this mode.
    pub fn stop(&self, mode: &str) {
        script(&["stop", mode], &self.dir);
    }

    /// Kills it by SIGKILL. Its backends follow when they notice.
    pub fn kill(&self) {
        let file = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).expect("it runs");
        let process = file.lines().next().expect("a process");
        assert!(Command::new("kill").args(["-9", process]).status().is_ok_and(|status| status.success()), "kill -9");
        // It dies a moment later; until then it would seem to be running.
        let state = || std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        while state().rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])) {
            std::thread::yield_now();
        }
    }

    /// Whether PostgreSQL has a library of this name, such as `plproxy`.
    pub fn has_library(name: &str) -> bool {
        root().join(format!("target/pg/{}/lib/{name}.so", major())).exists()
    }

    /// Starts it again, on the same port.
    pub fn start(&self) {
        script(&["start"], &self.dir);
    }

    /// Starts it again as a standby: it replays nothing more, but it can only be read.
    pub fn make_standby(&self) {
        self.stop("fast");
        std::fs::write(self.dir.join("data/standby.signal"), "").expect("a signal file");
        self.start();
    }

    /// Returns its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).expect("a log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let removed = Command::new(root().join("scripts/server")).arg("remove").arg(&self.dir).status();
        if !removed.is_ok_and(|status| status.success()) && !std::thread::panicking() {
            panic!("{} was not removed", self.dir.display());
        }
    }
}
