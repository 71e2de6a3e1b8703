//! Runs the program on a test's database.

use pg_workflow_tests::Database;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A database, and a directory for a test's files.
pub struct Program<'d> {
    pub db: &'d Database,
    pub folder: PathBuf,
}

impl Program<'_> {
    pub fn new<'d>(db: &'d Database, test: &str) -> Program<'d> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(test);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Program { db, folder }
    }

    /// Writes a file of the test.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// Writes an executable file of the test.
    pub fn script(&self, name: &str, content: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.file(name, &format!("#!/bin/sh\n{content}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Returns a command that has not been run yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        let options = self.db.options();
        command.env("PGHOST", options.get_host()).env("PGPORT", options.get_port().to_string());
        command.env("PGUSER", options.get_username()).env("PGDATABASE", &self.db.name);
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        let output = tokio::time::timeout(Duration::from_secs(120), self.command(arguments).output()).await;
        output.unwrap_or_else(|_| panic!("it does not end: {arguments:?}")).unwrap()
    }

    /// Runs the program with text on standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        child.wait_with_output().await.unwrap()
    }

    /// Runs the program, which must succeed, and returns what it prints.
    pub async fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}{}", printed(&output), told(&output));
        printed(&output)
    }

    /// Runs the program, which must succeed and print JSON.
    pub async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.good(arguments).await).unwrap()
    }

    /// Runs the program, which must end with this status, and returns its standard error.
    pub async fn bad(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}{}", printed(&output), told(&output));
        told(&output)
    }
}

/// Returns a command without a database.
pub fn command(arguments: &[&str]) -> Command {
    // The test's own program is target/release/deps/cli-….
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("pg-workflow");
    assert!(program.exists(), "build it first: cargo build --release -p pg_workflow_cli");
    // If the tests run in the background, the shell may have made the program ignore interrupts.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG") || name == "DATABASE_URL") {
        command.env_remove(name);
    }
    command.args(arguments).kill_on_drop(true);
    command
}

pub fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
