//! pgbench, which drives both sides: its clients run a script repeatedly, and its output is parsed here.

use crate::server::{Server, output};
use crate::{Error, Result};
use std::path::Path;
use std::{fmt, fs};

/// Seconds after which a run is considered hung: it is aborted, and the others continue.
const PATIENCE: &str = "600";

/// Number of clients and size of their requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Tasks or executions per statement.
    pub batch: u32,
    /// Connections, each running the script repeatedly.
    pub clients: u32,
    /// Whether a commit waits for the disk.
    pub synchronous_commit: bool,
}

impl Load {
    /// Returns the value of synchronous_commit.
    pub fn sync(&self) -> &'static str {
        if self.synchronous_commit { "on" } else { "off" }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch {:3}, clients {:2}, sync {:3}", self.batch, self.clients, self.sync())
    }
}

/// Length of a run.
pub enum Until {
    /// Ends when a client finishes its script after this many seconds.
    Seconds(u32),
    /// Ends when each client has run its script this many times.
    Transactions(u32),
}

/// A run of pgbench.
pub struct Pgbench<'a> {
    /// Database.
    pub database: &'a str,
    /// Script that each client runs.
    pub script: &'a Path,
    /// Number of clients, and the batch, which the script sees as `n`.
    pub load: Load,
    /// Further variables of the script.
    pub variables: Vec<(&'static str, String)>,
    /// Length.
    pub until: Until,
    /// Transactions per second started by all clients together; None: as many as possible.
    pub rate: Option<u32>,
    /// Prefix of the files in which each transaction is logged.
    pub log: Option<&'a Path>,
}

/// Output of a pgbench run.
#[derive(Debug, PartialEq)]
pub struct Run {
    /// Number of times that clients have completed the script.
    pub transactions: u64,
    /// Time from the last client's connecting to the last client's end.
    pub seconds: f64,
}

/// One line of the log.
#[derive(Debug, PartialEq)]
pub struct Logged {
    /// Number of transactions that its client had made before.
    pub number: u32,
    /// Duration, excluding the wait for its scheduled start.
    pub milliseconds: f64,
}

impl Pgbench<'_> {
    /// Lets clients run a script. An error in the script ends the run.
    pub fn run(&self, server: &Server) -> Result<Run> {
        let Load { batch, clients, .. } = self.load;
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u32).min(clients);
        let mut command = server.command("timeout");
        command.args([PATIENCE, "pgbench", "--no-vacuum", "--protocol=prepared"]).arg("-f").arg(self.script);
        command.args(["-c", &clients.to_string(), "-j", &threads.to_string()]);
        match self.until {
            Until::Seconds(n) => command.args(["-T", &n.to_string()]),
            Until::Transactions(n) => command.args(["-t", &n.to_string()]),
        };
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        if let Some(prefix) = self.log {
            command.arg("--log").arg("--log-prefix").arg(prefix);
        }
        command.args(["-D", &format!("n={batch}")]);
        for (name, value) in &self.variables {
            command.args(["-D", &format!("{name}={value}")]);
        }
        command.env("PGOPTIONS", format!("-c synchronous_commit={}", self.load.sync())).arg(self.database);
        let text = output(&mut command, "").map_err(|error| match error {
            Error::Program { output, .. } => {
                Error::Program { program: format!("pgbench, given {PATIENCE} s,"), output }
            }
            error => error,
        })?;
        parse(&text).ok_or(Error::Answer { program: "pgbench".into(), output: text })
    }
}

/// Parses pgbench's final output. None if a transaction has failed, or none was made.
fn parse(text: &str) -> Option<Run> {
    let after = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let first = |rest: &str| rest.split([' ', '/']).next().map(str::to_owned);
    let transactions: u64 = first(after("number of transactions actually processed: ")?)?.parse().ok()?;
    let failed: u64 = first(after("number of failed transactions: ")?)?.parse().ok()?;
    let per_second: f64 = first(after("tps = ")?)?.parse().ok()?;
    (failed == 0 && transactions > 0).then(|| Run { transactions, seconds: transactions as f64 / per_second })
}

/// Reads all logs in a folder.
pub fn read_logs(folder: &Path) -> Result<Vec<Logged>> {
    let io = |source| Error::Io { what: folder.display().to_string(), source };
    let mut logged = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let text = fs::read_to_string(entry.map_err(io)?.path()).map_err(io)?;
        for line in text.lines() {
            let read = parse_logged(line);
            logged.push(read.ok_or_else(|| Error::Answer { program: "pgbench's log".into(), output: line.into() })?);
        }
    }
    Ok(logged)
}

/// Parses a line of the log. Its columns are: client, number from 1, microseconds, script, and two columns for the time
/// of day; if clients are paced, also the delay in microseconds, which is included in the duration.
fn parse_logged(line: &str) -> Option<Logged> {
    let fields: Vec<f64> = line.split(' ').map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let late = fields.get(6).copied().unwrap_or(0.0);
    Some(Logged { number: *fields.get(1)? as u32 - 1, milliseconds: (fields.get(2)? - late) / 1000.0 })
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

    #[test]
    fn waiting_for_its_turn_is_no_part_of_a_call() {
        let logged = |milliseconds| Some(Logged { number: 8, milliseconds });
        assert_eq!(parse_logged("0 9 2500 0 1700000000 123456"), logged(2.5));
        assert_eq!(parse_logged("0 9 2500 0 1700000000 123456 500"), logged(2.0));
        assert_eq!(parse_logged("0 9"), None);
        assert_eq!(parse_logged("0 9 failed 0 1700000000 123456"), None);
    }
}
