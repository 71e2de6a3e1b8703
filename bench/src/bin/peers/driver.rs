//! Sends commands to drivers. There are three commands:
//!
//! `prepare` creates what the system needs in the database of DATABASE_URL. `enqueue JOBS STEPS [KEYS]` enqueues jobs,
//! for one key after the other in turn if there are keys, and prints how many it enqueued and how many seconds that
//! took, excluding connecting. `work [KEYS]` is a worker: when it is ready, it says `ready`; a line on its standard
//! input starts it; at the end of the input it stops in an orderly way and answers with the number of steps it has
//! done. Answers are lines of JSON.

use crate::contender::Contender;
use crate::install::Tools;
use crate::{Error, Result, Workload};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Driver of a system.
pub struct Driver<'a> {
    pub contender: &'a Contender,
    pub tools: &'a Tools,
    /// Log of its error output.
    pub log: &'a Path,
}

#[derive(Debug, Deserialize)]
struct Answer {
    done: u64,
    #[serde(default)]
    seconds: f64,
}

impl Driver<'_> {
    pub fn prepare(&self, url: &str) -> Result<()> {
        self.start(url, &["prepare"])?.finish().map(drop)
    }

    /// Enqueues jobs; returns the seconds it took.
    pub fn enqueue(&self, url: &str, workload: Workload) -> Result<f64> {
        let [jobs, steps, keys] = [workload.jobs, workload.steps, workload.keys].map(|number| number.to_string());
        let words = ["enqueue", &jobs, &steps, &keys];
        let answer = self.start(url, if workload.keys == 0 { &words[..3] } else { &words })?.answer()?;
        if answer.done == u64::from(workload.jobs) {
            Ok(answer.seconds)
        } else {
            Err(self.error(format!("it put in {} of {jobs}", answer.done)))
        }
    }

    /// Starts a worker, which waits for the start signal.
    pub fn worker(&self, url: &str, workload: Workload) -> Result<Worker<'_>> {
        let words = ["work", &workload.keys.to_string()];
        self.start(url, if workload.keys == 0 { &words[..1] } else { &words }).map(Worker)
    }

    fn start(&self, url: &str, words: &[&str]) -> Result<Process<'_>> {
        let io = |error: io::Error| self.error(error.to_string());
        let mut command: Command = self.tools.command(self.contender.language, self.contender.driver)?;
        let log = File::options().append(true).create(true).open(self.log).map_err(io)?;
        command.args(words).env("DATABASE_URL", url);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().map_err(io)?;
        let says = BufReader::new(child.stdout.take().expect("piped"));
        Ok(Process { driver: self, child, says })
    }

    fn error(&self, problem: String) -> Error {
        Error::Driver { driver: self.contender.driver.into(), problem, log: self.log.display().to_string() }
    }
}

/// A worker of a system, in a separate process.
pub struct Worker<'a>(Process<'a>);

impl Worker<'_> {
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let line = self.0.line()?;
        if line == "ready" { Ok(()) } else { Err(self.0.driver.error(format!("instead of ready it says {line:?}"))) }
    }

    pub fn begin(&mut self) -> Result<()> {
        let Process { driver, child, .. } = &mut self.0;
        let input = child.stdin.as_mut().expect("piped");
        input.write_all(b"begin\n").map_err(|error| driver.error(error.to_string()))
    }

    /// Fails if the worker has exited by itself.
    pub fn must_live(&mut self) -> Result<()> {
        match self.0.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.0.driver.error(format!("it ended in the middle of its work, {status}"))),
            Err(error) => Err(self.0.driver.error(error.to_string())),
        }
    }

    /// Stops the worker; returns how many steps it has done.
    pub fn stop(self) -> Result<u64> {
        Ok(self.0.answer()?.done)
    }
}

/// A running driver process. It is killed when this is dropped.
struct Process<'a> {
    driver: &'a Driver<'a>,
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Process<'_> {
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.says.read_line(&mut line).map_err(|error| self.driver.error(error.to_string()))?;
        Ok(line.trim_end().to_owned())
    }

    /// Waits for it to exit; returns its last line.
    fn finish(mut self) -> Result<String> {
        drop(self.child.stdin.take());
        let said: io::Result<Vec<String>> = (&mut self.says).lines().collect();
        let status = self.child.wait();
        match (said, status) {
            (Ok(mut lines), Ok(status)) if status.success() => Ok(lines.pop().unwrap_or_default()),
            (Ok(_), Ok(status)) => Err(self.driver.error(format!("it failed, {status}"))),
            (Err(error), _) | (_, Err(error)) => Err(self.driver.error(error.to_string())),
        }
    }

    fn answer(self) -> Result<Answer> {
        let driver = self.driver;
        let line = self.finish()?;
        serde_json::from_str(&line).map_err(|_| driver.error(format!("it answers {line:?}")))
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        // It is still running only after an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
