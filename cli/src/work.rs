//! `pg-workflow work`: runs commands as workers.

mod group;
mod handler;
mod trouble;

use crate::connect::{Connection, wait_for};
use crate::doctor::require_extension;
use crate::exit_status::{Ending, Failure};
use crate::output::{self, Style, count};
use crate::stop::Stop;
use handler::Handler;
use pg_workflow_client::worker::{CancellationToken, Worker};
use sqlx::Connection as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Execute tasks by running a command for each
///
/// The command is run by `sh -c`, in a process group of its own. It gets the task's input as JSON on standard input,
/// and prints the result as JSON on standard output. An exit status other than 0 makes the task fail: with the JSON
/// object that it printed as the error, or else with the last lines of standard error; status 100 forbids a retry. A
/// line `::progress JSON` on standard error is stored as the task's progress. The variables PG_WORKFLOW_TASK,
/// _EXECUTION, _TASK_NAME, _TASK_INDEX, _ACTION, _ATTEMPT, _DEADLINE, _LAST_ERROR and _PROGRESS describe the task, and
/// TRACEPARENT its trace. If the task is cancelled or times out, the whole process group gets SIGTERM, and those that
/// are left SIGKILL a little later.
///
/// On SIGTERM, SIGINT or SIGHUP, the program exits once the running commands are done; a second signal kills them. If
/// standard error is not read, lines are dropped; nothing waits for it.
#[derive(clap::Args)]
pub struct Arguments {
    /// An action and the command that executes it; repeatable
    #[arg(long = "action", value_name = "REF=COMMAND", required = true, value_parser = assignment)]
    actions: Vec<(String, String)>,
    /// How many commands may run at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,
    /// How many commands of one action may run at the same time; repeatable
    #[arg(long, value_name = "REF=N", value_parser = limit)]
    action_concurrency: Vec<(String, usize)>,
    /// The worker's name; by default made from the host and the process id
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How long the worker may go without a heartbeat; one is sent every third of this time
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    lease: Duration,
    /// How long running commands may continue after the program was asked to end, before they get SIGTERM
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration)]
    grace: Duration,
    /// How long a command may take to exit after SIGTERM before it gets SIGKILL
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    kill_after: Duration,
    /// How long to wait before looking for tasks again
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = duration)]
    poll: Duration,
    /// Also look for tasks as soon as the server announces some (its setting pg_workflow.notify)
    #[arg(long)]
    listen: bool,
    /// Work only in these parts; repeatable
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=1023))]
    part: Vec<i32>,
    /// Maximum size of a result
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    max_output: u64,
    /// Don't print tasks that complete
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Minimum time between two looks.
const SHORTEST: Duration = Duration::from_millis(10);

fn assignment(text: &str) -> Result<(String, String), String> {
    let (action, command) = text.split_once('=').ok_or("write it as shop.charge=./charge.sh")?;
    if !conductor::language::parse::name::is_ref(action) {
        return Err(format!("{action} is not the ref of an action: write it as shop.charge=./charge.sh"));
    }
    let first = command.split_whitespace().next().ok_or("there is no command")?;
    // Reported now rather than once for each task. The shell reports everything else.
    if first.contains('/') && !first.contains(['$', '\'', '"', '`', '~']) {
        executable(Path::new(first)).map_err(|why| format!("{why} {first}"))?;
    }
    Ok((action.to_owned(), command.to_owned()))
}

/// Refuses a file that can't be executed.
fn executable(path: &Path) -> Result<(), &'static str> {
    use rustix::fs::{Access, access};
    match path.metadata() {
        Err(_) => Err("there is no file"),
        Ok(data) if data.is_dir() => Err("a directory can't be executed:"),
        Ok(_) => access(path, Access::EXEC_OK).map_err(|_| "there is no permission to execute"),
    }
}

fn limit(text: &str) -> Result<(String, usize), String> {
    let (action, number) = text.split_once('=').ok_or("write it as shop.charge=2")?;
    let number = number.parse().ok().filter(|number| *number > 0).ok_or("the limit must be at least 1")?;
    Ok((action.to_owned(), number))
}

/// Reads a duration: `1.5s`, `100ms`, `2m`, `1h`, or seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[number.len()..];
    let number: f64 = number.parse().map_err(|_| format!("{text} is not a duration, such as 30s or 5m"))?;
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        unit => return Err(format!("unknown unit {unit}: use ms, s, m, h or d")),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| format!("{text} is not a duration, such as 30s or 5m"))
}

/// Reads how often to look for changes. Without a pause, the program would keep the server busy.
pub fn interval(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|interval| match interval < SHORTEST {
        true => Err(format!("it must be at least {} ms", SHORTEST.as_millis())),
        false => Ok(interval),
    })
}

/// Works until it is told to stop.
pub fn run(arguments: Arguments) -> crate::Ended {
    // Neither heartbeats nor signals may wait for whoever reads standard error.
    output::queue::open().map_err(Failure::unusable)?;
    trouble::tell();
    wait_for(work(arguments))?
}

async fn work(arguments: Arguments) -> crate::Ended {
    for (number, (action, _)) in arguments.actions.iter().enumerate() {
        if arguments.actions[..number].iter().any(|(other, _)| other == action) {
            return Err(Failure::unusable(format!("duplicate action {action}")));
        }
    }
    if let Some((action, _)) = arguments
        .action_concurrency
        .iter()
        .find(|(limited, _)| !arguments.actions.iter().any(|(action, _)| action == limited))
    {
        return Err(Failure::unusable(format!("--action-concurrency names {action}, which has no --action")));
    }
    // Connections for claims, heartbeats and ticks; listening takes another one.
    let (mut session, pool) = arguments.connection.pool(4).await?;
    // Said now rather than by the first call that fails.
    require_extension(&mut session).await?;
    session.close().await?;
    let name = arguments.name.clone().unwrap_or_else(default_name);
    let (drain, stop) = signals()?;
    let mut worker = Worker::builder(pool.clone())
        .name(&name)
        .concurrency(arguments.concurrency as usize)
        .lease(arguments.lease)
        // At the end of it, commands get SIGTERM, and have some time left.
        .grace(arguments.grace + arguments.kill_after)
        .poll_interval(arguments.poll)
        .listen(arguments.listen);
    if !arguments.part.is_empty() {
        worker = worker.parts(arguments.part.clone());
    }
    for (action, limit) in &arguments.action_concurrency {
        worker = worker.action_concurrency(action, *limit);
    }
    for (action, command) in &arguments.actions {
        let handler = Arc::new(Handler {
            command: command.clone(),
            kill_after: arguments.kill_after,
            drain: drain.clone(),
            grace: arguments.grace,
            lease: arguments.lease,
            max_output: arguments.max_output,
            quiet: arguments.quiet,
        });
        worker = worker.task_handler(action, move |task, context| {
            let handler = handler.clone();
            async move { handler.handle(task, context).await }
        });
    }
    let worker = worker.build().map_err(Failure::unusable)?;
    if !arguments.quiet {
        let actions: Vec<&str> = arguments.actions.iter().map(|(action, _)| action.as_str()).collect();
        output::note("working", Style::Bold, &format!("as {}, on {}", escaped(&name), actions.join(", ")));
    }
    tokio::select! {
        worked = worker.run(drain) => worked?,
        // Dropping the worker kills the commands; their tasks become available again when the leases have expired.
        () = stop.cancelled() => return Ok(Ending::Interrupted),
    }
    pool.close().await;
    Ok(Ending::Good)
}

/// Returns a token that the first signal cancels, and one that the second does.
fn signals() -> Result<(CancellationToken, CancellationToken), Failure> {
    let mut asked = Stop::new()?;
    let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
    let tokens = [drain.clone(), stop.clone()];
    let told = ["waiting for running commands to finish; signal again to kill them", "killing the running commands"];
    tokio::spawn(async move {
        for (token, what) in tokens.iter().zip(told) {
            asked.asked().await;
            output::note("stopping", Style::Bold, what);
            token.cancel();
        }
    });
    Ok((drain, stop))
}

/// Returns a name in one line.
fn escaped(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn default_name() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    format!("{host} {}", std::process::id())
}

/// Returns a duration in readable form.
fn said(took: Duration) -> String {
    match took.as_secs() {
        0 => format!("{} ms", took.as_millis()),
        1..60 => format!("{:.1} s", took.as_secs_f64()),
        seconds => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// Returns a size in readable form.
fn bytes(number: u64) -> String {
    match number {
        0..1024 => count(number as usize, "byte"),
        1024..1_048_576 => format!("{} KiB", number / 1024),
        _ => format!("{} MiB", number / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        for wrong in ["", "s", "1w", "-1s", "1e400s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_interval_is_not_too_short() {
        assert_eq!(interval("10ms"), Ok(Duration::from_millis(10)));
        for wrong in ["0", "9ms", "1w"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_action_has_a_ref_and_a_command() {
        assert_eq!(assignment("ab.c=cat -"), Ok(("ab.c".to_owned(), "cat -".to_owned())));
        for wrong in ["ab.c", "abc=cat", "ab.c= ", "ab.c=./nowhere.sh", "ab.c=/etc/", "ab.c=/etc/passwd x"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }
}
