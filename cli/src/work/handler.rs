//! One task: a command with its input, output, progress and end.

use super::group::Group;
use super::{bytes, said};
use crate::output::{self, Style};
use chrono::Utc;
use pg_workflow_client::ClaimedTask;
use pg_workflow_client::worker::{CancellationToken, Context, Failure};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// Exit status that says that a retry is pointless.
const PERMANENT: i32 = 100;
/// Start of the lines on standard error that report progress.
const PROGRESS: &str = "::progress ";
/// How much of standard error a failure's message contains: lines, and bytes of each.
const TAIL_LINES: usize = 20;
const MAX_LINE: u64 = 4096;
/// How long to read on after the command has ended.
const LEFTOVER: Duration = Duration::from_secs(1);
/// How long to wait, at first, before asking the server whether a task has timed out.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Maximum size of a value passed in an environment variable; the system's own limit is 128 KiB.
const MAX_VARIABLE: usize = 100_000;

/// Performs an action by running a command.
pub struct Handler {
    pub command: String,
    pub kill_after: Duration,
    /// Cancelled when the program is to end, and how long commands may continue then.
    pub drain: CancellationToken,
    pub grace: Duration,
    pub lease: Duration,
    pub max_output: u64,
    pub quiet: bool,
}

/// How a command ended.
enum End {
    Exited(ExitStatus),
    Stopped,
    /// The program ends: another worker will do the task.
    Drained,
    TimedOut,
    TooLarge,
}

impl Handler {
    /// Runs the command for a task.
    pub async fn handle(&self, task: ClaimedTask, context: Context) -> Result<Value, Failure> {
        let begun = Instant::now();
        let name = format!("task {} ({})", task.task, task.action);
        let handled = self.run(&task, &context).await;
        let took = said(begun.elapsed());
        match &handled {
            Ok(_) if self.quiet => {}
            Ok(_) => output::note("completed", Style::Green, &format!("{name} in {took}")),
            Err(failure) => output::note("failed", Style::Red, &format!("{name} in {took}: {failure}")),
        }
        handled
    }

    async fn run(&self, task: &ClaimedTask, context: &Context) -> Result<Value, Failure> {
        let mut child = self.spawn(task).map_err(|error| Failure::new("spawn", error.to_string()))?;
        let group = Group::of(&child);
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let input = task.input.clone().unwrap_or_default().to_string();
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // A command that does not read its input closes the pipe.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let mut result = Vec::new();
        let mut tail = VecDeque::new();
        let (end, read) = {
            let piped = async {
                let read = read(stdout, &mut result, self.max_output, &group);
                tokio::join!(feed, read, follow(stderr, task, context, &mut tail)).1
            };
            let ended = async {
                let end = self.end(&mut child, &group, task, context).await;
                // Processes that the command has left behind must not keep its pipes open.
                group.signal(Signal::KILL);
                end
            };
            let (mut piped, mut ended) = (std::pin::pin!(piped), std::pin::pin!(ended));
            tokio::select! {
                // A process that has left the group may keep them open all the same.
                end = &mut ended => (end, tokio::time::timeout(LEFTOVER, piped).await.unwrap_or(Read::All)),
                read = &mut piped => (ended.await, read),
            }
        };
        let end = if matches!(read, Read::TooLarge) { End::TooLarge } else { end };
        self.verdict(end, &result, tail, context).await
    }

    fn spawn(&self, task: &ClaimedTask) -> std::io::Result<Child> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.command).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let optional = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
        let variables = [
            ("TASK", task.task.to_string()),
            ("EXECUTION", task.execution.to_string()),
            ("TASK_NAME", task.task_name.clone()),
            ("TASK_INDEX", task.task_index.map(|index| index.to_string()).unwrap_or_default()),
            ("ACTION", task.action.clone()),
            ("ATTEMPT", task.attempt.to_string()),
            ("DEADLINE", task.deadline.map(|deadline| deadline.to_rfc3339()).unwrap_or_default()),
            ("LAST_ERROR", optional(&task.last_error)),
            ("PROGRESS", optional(&task.progress)),
        ];
        for (name, value) in variables {
            let name = format!("PG_WORKFLOW_{name}");
            match value.len() {
                1..=MAX_VARIABLE => command.env(name, value),
                _ => command.env_remove(name),
            };
        }
        // Under the name that traced programs read.
        match &task.traceparent {
            Some(traceparent) => command.env("TRACEPARENT", traceparent),
            None => command.env_remove("TRACEPARENT"),
        };
        command.spawn()
    }

    /// Waits for the command, or ends it when its time is over or its result is no longer needed.
    async fn end(&self, child: &mut Child, group: &Group, task: &ClaimedTask, context: &Context) -> End {
        let remaining = task.deadline.map(|deadline| (deadline - Utc::now()).to_std().unwrap_or_default());
        let deadline = async {
            match remaining {
                Some(remaining) => tokio::time::sleep(remaining).await,
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            exited = child.wait() => match exited {
                Ok(status) => return End::Exited(status),
                Err(_) => End::Stopped,
            },
            () = context.stopped() => End::Stopped,
            () = async { self.drain.cancelled().await; tokio::time::sleep(self.grace).await } => End::Drained,
            () = deadline => End::TimedOut,
        };
        group.end(child, self.kill_after).await;
        end
    }

    async fn verdict(
        &self,
        end: End,
        result: &[u8],
        tail: VecDeque<String>,
        context: &Context,
    ) -> Result<Value, Failure> {
        let status = match end {
            End::Exited(status) => status,
            End::Stopped => return Err(Failure::new("stopped", "the result is no longer needed")),
            // A report would make the task fail. The worker stops waiting for it.
            End::Drained => return std::future::pending().await,
            End::TimedOut => {
                let _ = tokio::time::timeout(self.lease, learn_of_end(context)).await;
                return Err(Failure::new("timeout", "the command took too long"));
            }
            End::TooLarge => {
                let message = format!("the command printed more than {}", bytes(self.max_output));
                return Err(Failure::new("output", message).do_not_retry());
            }
        };
        match status.code() {
            Some(0) => parse(result),
            code => Err(failure(status, code, result, tail)),
        }
    }
}

/// Waits until the server has decided that a task has timed out, by its own clock. A heartbeat learns of it.
async fn learn_of_end(context: &Context) {
    let mut pause = FIRST_PAUSE;
    while tokio::time::timeout(pause, context.stopped()).await.is_err() {
        context.request_heartbeat();
        pause *= 2;
    }
}

/// Returns the result that a command has printed; no output means null.
fn parse(result: &[u8]) -> Result<Value, Failure> {
    if result.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    let value: Value = serde_json::from_slice(result).map_err(|error| {
        let start: String = String::from_utf8_lossy(result).chars().take(200).collect();
        Failure::new("output", format!("the command did not print JSON: {error}")).with("output", start)
    })?;
    if has_nul(&value) {
        return Err(Failure::new("output", "the result contains \\u0000, which PostgreSQL cannot store"));
    }
    Ok(value)
}

/// Whether a text or key in a value contains a NUL character.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// Returns the failure that a command reports by its exit status.
fn failure(status: ExitStatus, code: Option<i32>, result: &[u8], tail: VecDeque<String>) -> Failure {
    let told: Option<Value> = serde_json::from_slice(result).ok();
    let told = told.as_ref().and_then(Value::as_object);
    let said = |key: &str| told.and_then(|told| told.get(key)).and_then(Value::as_str);
    let last = tail.iter().rev().find(|line| !line.trim().is_empty()).cloned();
    let (kind, message) = match code {
        // The exit status that the shell reports for a command that was killed.
        Some(code @ 129..=192) => ("exit", format!("the command was killed by signal {}", code - 128)),
        Some(code) => ("exit", format!("the command exited with status {code}")),
        None => ("signal", format!("the command was killed by signal {}", status.signal().unwrap_or_default())),
    };
    // The shell's own message is less informative.
    let is_killed = code.is_none_or(|code| (129..=192).contains(&code));
    let message = said("message").map(str::to_owned).or(last.filter(|_| !is_killed)).unwrap_or(message);
    let mut failure = Failure::new(said("type").unwrap_or(kind), message);
    for (key, value) in told.into_iter().flatten().filter(|(key, _)| !matches!(key.as_str(), "type" | "message")) {
        failure = failure.with(key, value.clone());
    }
    failure = match code {
        Some(code) => failure.with("status", code),
        None => failure.with("signal", status.signal()),
    };
    if !tail.is_empty() {
        failure = failure.with("stderr", Vec::from(tail).join("\n"));
    }
    if code == Some(PERMANENT) { failure.do_not_retry() } else { failure }
}

/// Whether everything was read.
enum Read {
    All,
    TooLarge,
}

/// Reads standard output. A command that prints too much is ended immediately.
async fn read(pipe: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>, most: u64, group: &Group) -> Read {
    let Some(pipe) = pipe else { return Read::All };
    let _ = pipe.take(most.saturating_add(1)).read_to_end(into).await;
    if into.len() as u64 <= most {
        return Read::All;
    }
    group.signal(Signal::KILL);
    Read::TooLarge
}

/// Passes standard error on, notes progress, and keeps the last lines.
async fn follow(
    pipe: Option<impl AsyncRead + Unpin>,
    task: &ClaimedTask,
    context: &Context,
    tail: &mut VecDeque<String>,
) {
    let Some(pipe) = pipe else { return };
    let mut pipe = BufReader::new(pipe);
    loop {
        let mut line = Vec::new();
        match (&mut pipe).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        // Lines that have been read already would keep everything else waiting, such as answers to heartbeats.
        tokio::task::yield_now().await;
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        if let Some(progress) = line.strip_prefix(PROGRESS) {
            match serde_json::from_str::<Value>(progress) {
                Ok(progress) => context.set_progress(progress),
                Err(error) => output::warning(&format!("task {}: the progress is not JSON: {error}", task.task)),
            }
            continue;
        }
        output::note(&format!("{} {}", task.action, task.task), Style::Dim, &line);
        // jsonb does not accept such characters.
        tail.push_back(line.replace('\0', "\u{fffd}"));
        if tail.len() > TAIL_LINES {
            tail.pop_front();
        }
    }
}
