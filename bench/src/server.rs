//! The benchmark's server, and psql, which talks to it.

use crate::{Error, Result};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Maximum time for the server to recover after a crash.
const RECOVERY: Duration = Duration::from_secs(120);

/// A private PostgreSQL 15 server, removed when this is dropped.
pub struct Server {
    environment: Vec<(String, String)>,
    _remover: Remover,
}

impl Server {
    /// Creates and starts the server. fsync is on, and all settings except shared_buffers are PostgreSQL's defaults.
    pub fn create(root: &Path, dir: &Path) -> Result<Server> {
        let script = root.join("scripts/server");
        let remover = Remover::start(&script, dir)?;
        output(
            Command::new(&script).arg("create").arg(dir).args(["15", "shared_buffers=2GB", "max_connections=300"]),
            "",
        )?;
        let variables =
            r#"eval "$("$0" env "$1")"; printf '%s\n' "PGHOST=$PGHOST" "PGPORT=$PGPORT" "PGUSER=$PGUSER" "PATH=$PATH""#;
        let text = output(Command::new("bash").args(["-euc", variables]).arg(&script).arg(dir), "")?;
        let environment = text.lines().filter_map(|line| line.split_once('='));
        Ok(Server { environment: environment.map(|(k, v)| (k.into(), v.into())).collect(), _remover: remover })
    }

    /// Waits until the server answers: after a crash it is in recovery for a while.
    pub fn wait(&self) -> Result<()> {
        let started = Instant::now();
        while let Err(error) = output(&mut self.command("pg_isready"), "") {
            if started.elapsed() > RECOVERY {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Runs statements, each in its own transaction; returns the rows, with columns separated by `|`.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        output(&mut self.psql(database), sql)
    }

    /// Runs a statement that returns one row of numbers.
    pub fn numbers<const N: usize>(&self, database: &str, sql: &str) -> Result<[u64; N]> {
        let text = self.sql(database, sql)?;
        let numbers: Option<Vec<u64>> = text.trim().split('|').map(|n| n.parse().ok()).collect();
        numbers
            .and_then(|n| n.try_into().ok())
            .ok_or_else(|| Error::Answer { program: format!("psql, asked {sql}"), output: text })
    }

    /// Returns the current WAL position. The difference of two is what was written in between.
    pub fn wal(&self) -> Result<u64> {
        let [bytes] = self.numbers("postgres", "SELECT pg_current_wal_insert_lsn() - '0/0'")?;
        Ok(bytes)
    }

    /// Returns the next transaction id. Asking consumes none.
    pub fn next_xid(&self) -> Result<u64> {
        let [xid] = self.numbers("postgres", "SELECT pg_snapshot_xmax(pg_current_snapshot())")?;
        Ok(xid)
    }

    /// Opens a session that has read something in a transaction and keeps its snapshot.
    pub fn hold_snapshot(&self, database: &str) -> Result<Snapshot> {
        let io = |source| Error::Io { what: "psql".into(), source };
        let mut session = self.psql(database).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(io)?;
        let answers = BufReader::new(session.stdout.take().expect("piped"));
        let mut snapshot = Snapshot { session, answers };
        snapshot.ask("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class;")?;
        Ok(snapshot)
    }

    /// Returns the URL of a database, for programs that are not PostgreSQL's own.
    pub fn url(&self, database: &str) -> String {
        let value = |name| self.environment.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v);
        format!("postgresql://{}@{}:{}/{database}", value("PGUSER"), value("PGHOST"), value("PGPORT"))
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = self.command("psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]);
        // A hung program is aborted.
        command.env("PGOPTIONS", "-c statement_timeout=10min");
        command
    }

    /// Returns a command for a PostgreSQL program, with the environment for the server.
    pub fn command(&self, program: &str) -> Command {
        // Looked up on the server's own PATH: Rust searches the PATH of the given environment.
        let mut command = Command::new(program);
        command.envs(self.environment.iter().map(|(k, v)| (k, v)));
        command
    }
}

/// A session that holds a snapshot until this is dropped.
pub struct Snapshot {
    session: Child,
    answers: BufReader<ChildStdout>,
}

impl Snapshot {
    /// Ends the session; an error if the snapshot was not held until now.
    pub fn end(mut self) -> Result<()> {
        self.ask("SELECT count(*) FROM pg_class; COMMIT;")
    }

    /// Runs statements, one of which returns a number.
    fn ask(&mut self, sql: &str) -> Result<()> {
        let io = |source| Error::Io { what: "the session with a snapshot".into(), source };
        writeln!(self.session.stdin.as_mut().expect("piped"), "{sql}").map_err(io)?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(io)?;
        match line.trim().parse::<u64>() {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Answer { program: "the session with a snapshot".into(), output: line }),
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        drop(self.session.stdin.take());
        let _ = self.session.wait();
    }
}

/// Process that removes the server when this one closes its pipe: at the end, and also when it is killed.
struct Remover(Child);

impl Remover {
    fn start(script: &Path, dir: &Path) -> Result<Remover> {
        let mut command = Command::new("sh");
        command.args(["-c", r#"trap '' HUP INT TERM; cat; exec "$0" remove "$1""#]).arg(script).arg(dir);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        Ok(Remover(child.map_err(|source| Error::Io { what: "sh".into(), source })?))
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Runs a program with this input; returns its output.
pub fn output(command: &mut Command, input: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let io = |source| Error::Io { what: program.clone(), source };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(io)?;
    // If a program doesn't read all of its input, its own error says more than a broken pipe.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let done = child.wait_with_output().map_err(io)?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        Ok(text)
    } else {
        Err(Error::Program { program, output: format!("{text}{}", String::from_utf8_lossy(&done.stderr)) })
    }
}
