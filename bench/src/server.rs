//! The server that all is measured on, and the two programs that talk to it: psql and pgbench.

use crate::{Error, Result};
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A PostgreSQL 15 of its own, gone when this is dropped.
pub struct Server {
    environment: Vec<(String, String)>,
    _remover: Remover,
}

/// Who asks for how much at once.
pub struct Load {
    /// Tasks, or executions, a statement.
    pub batch: u32,
    /// Connections, each with a script of its own going round.
    pub clients: u32,
    /// Whether a commit waits for the disk.
    pub synchronous_commit: bool,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sync = if self.synchronous_commit { "on" } else { "off" };
        write!(f, "batch {:3}, clients {}, sync {sync:3}", self.batch, self.clients)
    }
}

/// When a run ends.
pub enum Until {
    Seconds(u32),
    Transactions(u32),
}

/// What pgbench says of a run.
#[derive(Debug, PartialEq)]
pub struct Run {
    /// How often a client has gone through the script.
    pub transactions: u64,
    /// From the last client's connecting to the last client's end.
    pub seconds: f64,
}

impl Server {
    /// Makes and starts the server. fsync is on, and all else but shared_buffers is as PostgreSQL has it.
    pub fn create(root: &Path, dir: &Path) -> Result<Server> {
        let script = root.join("scripts/server");
        let remover = Remover::start(&script, dir)?;
        output(Command::new(&script).arg("create").arg(dir).args(["15", "shared_buffers=2GB"]), "")?;
        let variables =
            r#"eval "$("$0" env "$1")"; printf '%s\n' "PGHOST=$PGHOST" "PGPORT=$PGPORT" "PGUSER=$PGUSER" "PATH=$PATH""#;
        let text = output(Command::new("bash").args(["-euc", variables]).arg(&script).arg(dir), "")?;
        let environment = text.lines().filter_map(|line| line.split_once('='));
        Ok(Server { environment: environment.map(|(k, v)| (k.into(), v.into())).collect(), _remover: remover })
    }

    /// Runs statements, each in a transaction of its own; gives the rows, columns parted by `|`.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = self.command("psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]);
        output(&mut command, sql)
    }

    /// Runs a statement that gives one row of numbers.
    pub fn numbers<const N: usize>(&self, database: &str, sql: &str) -> Result<[u64; N]> {
        let text = self.sql(database, sql)?;
        let numbers: Option<Vec<u64>> = text.trim().split('|').map(|n| n.parse().ok()).collect();
        numbers
            .and_then(|n| n.try_into().ok())
            .ok_or_else(|| Error::Answer { program: format!("psql, asked {sql}"), output: text })
    }

    /// Where the log is being written. The difference of two is what was written between them.
    pub fn wal(&self) -> Result<u64> {
        let [bytes] = self.numbers("postgres", "SELECT pg_current_wal_insert_lsn() - '0/0'")?;
        Ok(bytes)
    }

    /// Has clients go through a script. An error in it ends the run.
    pub fn pgbench(
        &self,
        database: &str,
        script: &Path,
        load: &Load,
        variables: &[(&str, &str)],
        until: &Until,
    ) -> Result<Run> {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u32).min(load.clients);
        let mut command = self.command("pgbench");
        command.args(["--no-vacuum", "--protocol=prepared"]).arg("-f").arg(script);
        command.args(["-c", &load.clients.to_string(), "-j", &threads.to_string()]);
        match until {
            Until::Seconds(n) => command.args(["-T", &n.to_string()]),
            Until::Transactions(n) => command.args(["-t", &n.to_string()]),
        };
        command.args(["-D", &format!("n={}", load.batch)]);
        for (name, value) in variables {
            command.args(["-D", &format!("{name}={value}")]);
        }
        let sync = if load.synchronous_commit { "on" } else { "off" };
        command.env("PGOPTIONS", format!("-c synchronous_commit={sync}")).arg(database);
        let text = output(&mut command, "")?;
        parse(&text).ok_or(Error::Answer { program: "pgbench".into(), output: text })
    }

    fn command(&self, program: &str) -> Command {
        // Found on the server's own PATH: Rust looks where the environment that is given says.
        let mut command = Command::new(program);
        command.envs(self.environment.iter().map(|(k, v)| (k, v)));
        command
    }
}

/// Reads what pgbench prints at the end. None where a transaction has failed, or none was made.
fn parse(text: &str) -> Option<Run> {
    let after = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let first = |rest: &str| rest.split([' ', '/']).next().map(str::to_owned);
    let transactions: u64 = first(after("number of transactions actually processed: ")?)?.parse().ok()?;
    let failed: u64 = first(after("number of failed transactions: ")?)?.parse().ok()?;
    let per_second: f64 = first(after("tps = ")?)?.parse().ok()?;
    (failed == 0 && transactions > 0).then(|| Run { transactions, seconds: transactions as f64 / per_second })
}

/// Removes the server as soon as this process lets go of its pipe: at the end, and when it is killed too.
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

/// Runs a program with this as its input; gives what it prints.
fn output(command: &mut Command, input: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let io = |source| Error::Io { what: program.clone(), source };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(io)?;
    // A program that doesn't read to the end has more to say than that the pipe is broken.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let done = child.wait_with_output().map_err(io)?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        Ok(text)
    } else {
        Err(Error::Program { program, output: format!("{text}{}", String::from_utf8_lossy(&done.stderr)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "transaction type: linear3.sql\n\
        number of transactions actually processed: 5000\n\
        number of failed transactions: 0 (0.000%)\n\
        tps = 1250.000000 (without initial connection time)\n";

    #[test]
    fn a_run_lasts_as_long_as_pgbench_worked() {
        assert_eq!(parse(PRINTED), Some(Run { transactions: 5000, seconds: 4.0 }));
        assert_eq!(parse(&PRINTED.replace("5000\n", "5000/5000\n")), Some(Run { transactions: 5000, seconds: 4.0 }));
    }

    #[test]
    fn a_run_with_a_failed_transaction_is_none() {
        assert_eq!(parse(&PRINTED.replace("failed transactions: 0", "failed transactions: 1")), None);
        assert_eq!(parse("pgbench: error"), None);
    }
}
