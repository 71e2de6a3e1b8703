//! `pg-workflow top`: what the whole database is doing.

use crate::connect::{Connection, wait_for};
use crate::ending::{Ending, Failure};
use crate::output::{self, Style, count, styled};
use crate::screen::Screen;
use crate::table::{self, Cell, ago, cell, optional, table};
use crate::work::interval;
use chrono::{DateTime, Utc};
use pg_workflow_client::model::{ExecutionStatus, Hold, Limit, LimitKey};
use pg_workflow_client::{
    ActionSummary, Engine, ExecutionFilter, ExecutionSummary, OverdueSummary, Page, QueueSummary, WorkerSummary,
};
use serde::Serialize;
use sqlx::PgConnection;
use std::time::Duration;

/// Number of failed executions shown.
const FAILURES: i32 = 10;

/// Maximum number of limits read, and of keys of each.
const LIMITS: i32 = 50;
const KEYS: i32 = 100;
/// Maximum number of keys and holds shown.
const SHOWN: usize = 12;

/// Show queues, workers, limits, holds, actions and recent failures, refreshed
///
/// Without a terminal, or with --once, prints them once and exits.
#[derive(clap::Args)]
pub struct Arguments {
    /// How often to refresh
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// Print it once
    #[arg(long)]
    once: bool,
    /// Print it once, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What is shown.
#[derive(Serialize)]
struct Overview {
    time: DateTime<Utc>,
    queues: Vec<QueueSummary>,
    workers: Vec<WorkerSummary>,
    actions: Vec<ActionSummary>,
    overdue: Vec<OverdueSummary>,
    limits: Vec<UsedLimit>,
    holds: Vec<Hold>,
    failures: Vec<ExecutionSummary>,
}

/// A limit, and its keys under which something runs, waits or is held.
#[derive(Serialize)]
struct UsedLimit {
    #[serde(flatten)]
    limit: Limit,
    keys: Vec<LimitKey>,
}

/// Shows what is going on.
pub fn run(arguments: Arguments) -> crate::Ended {
    wait_for(async {
        let mut session = arguments.connection.open().await?;
        if arguments.json {
            let text = serde_json::to_string_pretty(&look(&mut session).await?).map_err(Failure::unusable)?;
            output::print(&format!("{text}\n"));
            return Ok(Ending::Good);
        }
        if arguments.once || !Screen::is_possible() {
            output::print(&look(&mut session).await?.text());
            return Ok(Ending::Good);
        }
        let mut overview = look(&mut session).await?;
        let mut screen = Screen::open()?;
        loop {
            screen.draw(&overview.text());
            if !screen.pause(arguments.interval).await {
                return Ok(Ending::Good);
            }
            overview = look(&mut session).await?;
        }
    })?
}

async fn look(session: &mut PgConnection) -> Result<Overview, Failure> {
    let unsuccessful = [ExecutionStatus::Failed, ExecutionStatus::Timeout, ExecutionStatus::Abandoned];
    let filter = ExecutionFilter { statuses: Some(unsuccessful.to_vec()), ..Default::default() };
    Ok(Overview {
        time: Utc::now(),
        queues: Engine::queue_summary(&mut *session).await?,
        workers: Engine::worker_summary(&mut *session).await?,
        actions: Engine::action_summary(&mut *session).await?,
        overdue: Engine::overdue_summary(&mut *session).await?,
        limits: limits(session).await?,
        holds: Engine::list_holds(&mut *session, Page::of(100)).await?,
        failures: Engine::list_executions(&mut *session, &filter, Page::of(FAILURES)).await?,
    })
}

async fn limits(session: &mut PgConnection) -> Result<Vec<UsedLimit>, Failure> {
    let mut limits = Vec::new();
    for limit in Engine::list_limits(&mut *session, LIMITS, None).await? {
        let mut keys = Engine::list_limit_keys(&mut *session, &limit.name, KEYS, None).await?;
        let now = Utc::now();
        keys.retain(|key| key.running > Some(0) || key.waiting > 0 || key.held_until > Some(now));
        limits.push(UsedLimit { limit, keys });
    }
    Ok(limits)
}

/// Returns the rows about limits, starting with those under which most tasks wait.
fn limit_rows(limits: &[UsedLimit]) -> Vec<Vec<Cell>> {
    let mut used: Vec<(&Limit, &LimitKey)> =
        limits.iter().flat_map(|used| used.keys.iter().map(|key| (&used.limit, key))).collect();
    used.sort_by_key(|(_, key)| std::cmp::Reverse(key.waiting));
    let rows = used.iter().take(SHOWN).map(|(limit, key)| {
        let running = match (key.running, limit.max_running) {
            (Some(running), Some(most)) => format!("{running} of {most}"),
            _ => "–".to_owned(),
        };
        let rate = limit.rate.zip(limit.per_seconds).map(|(rate, seconds)| format!("{rate} in {seconds} s"));
        let held = key.held_until.map(|until| {
            let why = key.held_because.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("until {} by {}{why}", table::clock(until), key.held_by.as_deref().unwrap_or_default())
        });
        vec![
            cell(&limit.name),
            cell(&key.key),
            cell(running),
            optional(rate),
            cell(key.waiting),
            optional(key.waiting_since.map(ago)),
            optional(key.next_at.filter(|next| *next > Utc::now()).map(table::clock)),
            (held.unwrap_or_default(), Style::Yellow),
        ]
    });
    rows.collect()
}

fn hold_rows(holds: &[Hold]) -> Vec<Vec<Cell>> {
    let rows = holds.iter().take(SHOWN).map(|hold| {
        let key = if hold.key.is_empty() { String::new() } else { format!(", key {}", hold.key) };
        vec![
            cell(format!("{} {}{key}", hold.target, hold.name)),
            (table::clock(hold.until), Style::Yellow),
            cell(&hold.author),
            optional(hold.reason.as_ref()),
        ]
    });
    rows.collect()
}

impl Overview {
    fn text(&self) -> String {
        let ready: i64 = self.queues.iter().map(|queue| queue.ready).sum();
        let held: i64 = self.workers.iter().map(|worker| worker.tasks).sum();
        let head = format!(
            "{}  {ready} ready, {held} claimed, {}",
            table::time(self.time),
            count(self.workers.len(), "worker")
        );
        let mut text = format!("{}\n", styled(Style::Bold, &head));
        let mut add = |title: &str, columns: &[&str], rows: Vec<Vec<Cell>>| {
            if !rows.is_empty() {
                text += &format!("\n{}\n{}", styled(Style::Bold, title), table(columns, &rows));
            }
        };
        let overdue = self.overdue.iter().map(|row| vec![cell(&row.kind), cell(row.rows), cell(ago(row.oldest))]);
        add("Overdue (is anything ticking?)", &["KIND", "ROWS", "FOR"], overdue.collect());
        let queues = self.queues.iter().map(|row| vec![cell(&row.action_ref), cell(row.ready), cell(ago(row.oldest))]);
        add("Queues", &["ACTION", "READY", "WAITING"], queues.collect());
        let workers = self.workers.iter().map(|row| {
            let expired = if row.expired > 0 { (row.expired.to_string(), Style::Red) } else { cell(row.expired) };
            vec![cell(&row.worker), cell(row.tasks), expired, cell(ago(row.last_seen))]
        });
        add("Workers", &["WORKER", "TASKS", "EXPIRED", "SEEN"], workers.collect());
        let limits = ["LIMIT", "KEY", "RUNNING", "RATE", "WAITING", "FOR", "NEXT", "HELD"];
        add("Limits that are in use", &limits, limit_rows(&self.limits));
        add("Holds", &["WHAT", "UNTIL", "BY", "REASON"], hold_rows(&self.holds));
        let milliseconds = |value: Option<i64>| value.map_or_else(|| cell("–"), |value| cell(format!("{value} ms")));
        let actions = self.actions.iter().map(|row| {
            let failed = if row.failed > 0 { (row.failed.to_string(), Style::Red) } else { cell(row.failed) };
            vec![
                cell(&row.action_ref),
                cell(row.tasks),
                cell(row.completed),
                failed,
                cell(format!("{:.1}", row.ended_per_minute)),
                milliseconds(row.median_ms),
                milliseconds(row.p95_ms),
            ]
        });
        add(
            "Actions, in the last hour",
            &["ACTION", "TASKS", "COMPLETED", "FAILED", "PER MIN", "MEDIAN", "P95"],
            actions.collect(),
        );
        let failures = self.failures.iter().map(|row| {
            let message = row.error_message.clone().unwrap_or_default();
            vec![
                cell(row.execution),
                cell(&row.workflow_ref),
                table::status(row.status),
                cell(ago(row.updated)),
                cell(message),
            ]
        });
        add("Failures, newest first", &["ID", "WORKFLOW", "STATUS", "AGO", "ERROR"], failures.collect());
        text
    }
}
