//! `pg-workflow top`: what the whole database is doing.

use crate::connect::{Connection, wait_for};
use crate::exit_status::{Ending, Failure};
use crate::output::{self, Style, count, styled};
use crate::screen::{Screen, more, share};
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
/// Maximum number of rows shown of a section if there is room for any number.
const SHOWN: usize = 100;

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
            output::print(&look(&mut session).await?.text(None));
            return Ok(Ending::Good);
        }
        let mut overview = look(&mut session).await?;
        let mut screen = Screen::open()?;
        loop {
            screen.draw(&overview.text(Some(Screen::room())));
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
    let rows = used.iter().map(|(limit, key)| {
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
    let rows = holds.iter().map(|hold| {
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

/// A part of what is shown.
struct Section {
    title: &'static str,
    head: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Section {
    /// Returns the section with at most this many lines below its head.
    fn text(&self, lines: usize) -> String {
        let (fit, rest) = match self.rows.len() {
            all if all <= lines => (all, String::new()),
            all => {
                let fit = lines.saturating_sub(1);
                (fit, format!("{}\n", styled(Style::Dim, &more(all - fit))))
            }
        };
        format!("{}\n{}{rest}", styled(Style::Bold, self.title), table(self.head, &self.rows[..fit]))
    }
}

impl Overview {
    /// Returns what is shown, in at most this many lines if they are limited.
    fn text(&self, room: Option<usize>) -> String {
        let ready: i64 = self.queues.iter().map(|queue| queue.ready).sum();
        let held: i64 = self.workers.iter().map(|worker| worker.tasks).sum();
        let head = format!(
            "{}  {ready} ready, {held} claimed, {}",
            table::time(self.time),
            count(self.workers.len(), "worker")
        );
        let sections: Vec<Section> = self.sections().into_iter().filter(|section| !section.rows.is_empty()).collect();
        // A title, a head and a row are the least that says anything.
        let least = |sections: usize| 1 + 3 * sections;
        let whole = room.is_none_or(|room| least(sections.len()) <= room);
        let most = room.map_or(0, |room| room.saturating_sub(2) / 3);
        let (sections, left_out) = sections.split_at(if whole { sections.len() } else { most.min(sections.len()) });
        let room = room.map(|room| room.saturating_sub(usize::from(!whole)));
        let wanted: Vec<usize> = sections.iter().map(|section| section.rows.len()).collect();
        // Each section has an empty line, if there is room, a title and a head.
        let left = |heads: usize| room.map(|room| room.saturating_sub(1 + heads * sections.len()));
        let is_dense = left(3).is_some_and(|left| left < 2 * sections.len() && left < wanted.iter().sum());
        let shares = match left(if is_dense { 2 } else { 3 }) {
            Some(left) => share(left, &wanted),
            None => wanted.iter().map(|rows| (*rows).min(SHOWN)).collect(),
        };
        let between = if is_dense { "" } else { "\n" };
        let sections = sections.iter().zip(shares).map(|(section, share)| format!("{between}{}", section.text(share)));
        let rest = match left_out.len() {
            0 => String::new(),
            number => format!("{}\n", styled(Style::Dim, &format!("… and {}", count(number, "more section")))),
        };
        format!("{}\n{}{rest}", styled(Style::Bold, &head), sections.collect::<String>())
    }

    fn sections(&self) -> Vec<Section> {
        let section = |title, head, rows| Section { title, head, rows };
        let overdue = self.overdue.iter().map(|row| vec![cell(&row.kind), cell(row.rows), cell(ago(row.oldest))]);
        let queues = self.queues.iter().map(|row| vec![cell(&row.action_ref), cell(row.ready), cell(ago(row.oldest))]);
        let workers = self.workers.iter().map(|row| {
            let expired = if row.expired > 0 { (row.expired.to_string(), Style::Red) } else { cell(row.expired) };
            vec![cell(&row.worker), cell(row.tasks), expired, cell(ago(row.last_seen))]
        });
        vec![
            section("Overdue (is anything ticking?)", &["KIND", "ROWS", "FOR"], overdue.collect()),
            section("Queues", &["ACTION", "READY", "WAITING"], queues.collect()),
            section("Workers", &["WORKER", "TASKS", "EXPIRED", "SEEN"], workers.collect()),
            section(
                "Limits that are in use",
                &["LIMIT", "KEY", "RUNNING", "RATE", "WAITING", "FOR", "NEXT", "HELD"],
                limit_rows(&self.limits),
            ),
            section("Holds", &["WHAT", "UNTIL", "BY", "REASON"], hold_rows(&self.holds)),
            section(
                "Actions, in the last hour",
                &["ACTION", "TASKS", "COMPLETED", "FAILED", "PER MIN", "MEDIAN", "P95"],
                self.actions.iter().map(action_row).collect(),
            ),
            section(
                "Failures, newest first",
                &["ID", "WORKFLOW", "STATUS", "AGO", "ERROR"],
                self.failures.iter().map(failure_row).collect(),
            ),
        ]
    }
}

fn action_row(row: &ActionSummary) -> Vec<Cell> {
    let milliseconds = |value: Option<i64>| value.map_or_else(|| cell("–"), |value| cell(format!("{value} ms")));
    vec![
        cell(&row.action_ref),
        cell(row.tasks),
        cell(row.completed),
        if row.failed > 0 { (row.failed.to_string(), Style::Red) } else { cell(row.failed) },
        cell(format!("{:.1}", row.ended_per_minute)),
        milliseconds(row.median_ms),
        milliseconds(row.p95_ms),
    ]
}

fn failure_row(row: &ExecutionSummary) -> Vec<Cell> {
    vec![
        cell(row.execution),
        cell(&row.workflow_ref),
        table::status(row.status),
        cell(ago(row.updated)),
        cell(row.error_message.clone().unwrap_or_default()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_without_room_are_left_out() {
        let queue = |number| QueueSummary { action_ref: format!("shop.a{number}"), ready: 1, oldest: Utc::now() };
        let failures = Vec::new();
        let (workers, actions, overdue, limits, holds) = Default::default();
        let queues = (0..9).map(queue).collect();
        let overview = Overview { time: Utc::now(), queues, workers, actions, overdue, limits, holds, failures };
        for room in [3, 4, 5, 6, 12, 13, 40] {
            assert!(overview.text(Some(room)).lines().count() <= room, "{room}");
        }
        assert!(overview.text(Some(8)).ends_with("… and 6 more\n"), "{}", overview.text(Some(8)));
        assert!(overview.text(Some(3)).ends_with("… and 1 more section\n"), "{}", overview.text(Some(3)));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let rows = (0..30).map(|number| vec![cell(number)]).collect();
        let section = Section { title: "Queues", head: &["ACTION"], rows };
        assert_eq!(section.text(3), "Queues\nACTION\n0\n1\n… and 28 more\n");
    }
}
