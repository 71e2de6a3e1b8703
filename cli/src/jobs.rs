//! `pg-workflow jobs`: bulk jobs, and how far they have got.

use crate::connect::{Connection, wait_for};
use crate::exit_status::{Ending, Failure};
use crate::inspect;
use crate::output::{self, Style, styled};
use crate::progress::Progress;
use crate::table::{self, Cell, cell};
use pg_workflow_client::{BulkJob, BulkJobStatus, Engine, Page};
use serde_json::Value;
use sqlx::PgConnection;
use std::time::{Duration, Instant};

/// How often to look at a job while waiting for it.
const INTERVAL: Duration = Duration::from_millis(500);
/// If there is no progress for this long, presumably nothing is ticking.
const STUCK: Duration = Duration::from_secs(15);

/// List bulk jobs, newest first; or stop, resume or wait for one
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Stop a job after the step that is under way
    Stop(One),
    /// Resume a job that was stopped or has failed
    Resume(One),
    /// Wait until a job has ended; exit status 1 if it did not complete, or was refused for some executions
    Wait(One),
}

#[derive(clap::Args)]
struct One {
    /// The job
    #[arg(value_name = "JOB")]
    job: i64,
    #[command(flatten)]
    connection: Connection,
}

/// Lists jobs, or stops, resumes or waits for one.
pub fn run(arguments: Arguments) -> crate::Ended {
    let Some(command) = arguments.command else { return list(&arguments) };
    wait_for(async {
        let (Command::Stop(one) | Command::Resume(one) | Command::Wait(one)) = &command;
        let mut session = one.connection.open().await?;
        let turned = match command {
            Command::Stop(_) => Engine::stop_bulk_job(&mut session, one.job).await?,
            Command::Resume(_) => Engine::resume_bulk_job(&mut session, one.job).await?,
            Command::Wait(_) => {
                let ended = wait_until_ended(&mut session, one.job).await?;
                tell_end(&ended);
                return Ok(ending(&ended));
            }
        };
        output::print(&format!("{} {}\n", one.job, styled(style(turned), word(turned))));
        Ok(Ending::Good)
    })?
}

fn list(arguments: &Arguments) -> crate::Ended {
    let jobs: Vec<BulkJob> = wait_for(async {
        let mut session = arguments.connection.open().await?;
        inspect::rows(arguments.limit, async |page| Engine::list_bulk_jobs(&mut session, page).await).await
    })??;
    let head = ["JOB", "ACTION", "STATUS", "PROCESSED", "REFUSED", "LOCKED", "CREATED", "EXECUTIONS"];
    inspect::print(arguments.json, &jobs, &head, |job| {
        let refused = if job.refused > 0 { (job.refused.to_string(), Style::Yellow) } else { cell(job.refused) };
        vec![
            cell(job.job),
            cell(name_of(&serde_json::to_value(job.action).unwrap_or_default())),
            (word(job.status).to_owned(), style(job.status)),
            cell(job.processed),
            refused,
            cell(job.busy),
            cell(table::time(job.created)),
            filter(job),
        ]
    })
}

/// Returns which executions a job applies to, and why it failed.
fn filter(job: &BulkJob) -> Cell {
    match &job.last_error {
        Some(error) => (error.clone(), Style::Red),
        None => cell(&job.filter),
    }
}

fn name_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn word(status: BulkJobStatus) -> &'static str {
    match status {
        BulkJobStatus::Running => "running",
        BulkJobStatus::Stopped => "stopped",
        BulkJobStatus::Completed => "completed",
        BulkJobStatus::Failed => "failed",
    }
}

fn style(status: BulkJobStatus) -> Style {
    match status {
        BulkJobStatus::Stopped => Style::Yellow,
        status => output::style_of(word(status)),
    }
}

/// Waits until a job is no longer running, and shows its progress on the terminal.
pub async fn wait_until_ended(session: &mut PgConnection, job: i64) -> Result<BulkJob, Failure> {
    let mut progress = Progress::counting("executions");
    let (mut seen, mut since, mut is_warned) = (None, Instant::now(), false);
    loop {
        let now = find(session, job).await?;
        if now.status != BulkJobStatus::Running {
            return Ok(now);
        }
        progress.set((now.processed + now.refused).unsigned_abs());
        if seen != Some(now.updated) {
            (seen, since) = (Some(now.updated), Instant::now());
        } else if since.elapsed() > STUCK && !is_warned {
            is_warned = true;
            let text = format!("job {job} makes no progress: is anything ticking? See `pg-workflow doctor`");
            progress.aside(|| output::warning(&text));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Returns a job.
async fn find(session: &mut PgConnection, job: i64) -> Result<BulkJob, Failure> {
    // The newest one with a smaller id than the next.
    let page = Page { max_rows: 1, after: job.checked_add(1) };
    let found = Engine::list_bulk_jobs(session, page).await?.pop().filter(|found| found.job == job);
    found.ok_or_else(|| Failure::refused(format!("there is no bulk job {job}")).hint("See `pg-workflow jobs`."))
}

/// Prints how a job ended, and why it was refused for some executions.
pub fn tell_end(job: &BulkJob) {
    let refused = if job.refused > 0 { format!(", {} refused", job.refused) } else { String::new() };
    let word = styled(style(job.status), word(job.status));
    output::print(&format!("job {} {word}: {} processed{refused}\n", job.job, job.processed));
    for (code, refusal) in job.refusals.as_object().into_iter().flatten() {
        let message = refusal["message"].as_str().unwrap_or(code);
        output::line(&format!("  {} refused, such as: {message}", refusal["count"]));
    }
    if let Some(error) = &job.last_error {
        output::error(error);
    }
}

/// Returns the exit status that says how a job ended.
pub fn ending(job: &BulkJob) -> Ending {
    if job.status == BulkJobStatus::Completed && job.refused == 0 { Ending::Good } else { Ending::Bad }
}
