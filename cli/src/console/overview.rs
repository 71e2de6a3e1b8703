//! The overview: running and waiting work, and failures by cause.

use super::app::{App, Visit};
use super::form::encoded;
use super::page::{self, Page};
use super::plot;
use super::problem::Problem;
use super::queues::{self, Queue};
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{
    Engine, ExecutionCount, FoundExecution, OverdueSummary, Page as Range, SearchFilter, Wait, WaitFilter,
    WorkerSummary,
};
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::Arc;

/// Number of the newest failures that are grouped by cause, and maximum number of approvals counted.
const FAILURES: i32 = 1000;
const WAITS: i32 = 1000;

pub const UNSUCCESSFUL: [ExecutionStatus; 3] =
    [ExecutionStatus::Failed, ExecutionStatus::Timeout, ExecutionStatus::Abandoned];

/// Shows the overview.
pub async fn show(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| look(&app, pool).await).await
}

async fn look(app: &App, pool: &PgPool) -> Result<Page, Problem> {
    let counts = Engine::execution_counts(pool).await?;
    let rates = Engine::execution_rates(pool).await?;
    let queues = queues::read(pool).await?;
    let workers = Engine::worker_summary(pool).await?;
    let mut overdue = Engine::overdue_summary(pool).await?;
    // Work that became due a moment ago is about to be done.
    overdue.retain(|row| Utc::now() - row.oldest > TimeDelta::seconds(10));
    let holds = Engine::list_holds(pool, Range::of(100)).await?;
    let waits = Engine::list_waits(pool, &WaitFilter::default(), Range::of(WAITS)).await?;
    let filter = SearchFilter { statuses: Some(UNSUCCESSFUL.to_vec()), ..SearchFilter::default() };
    let failures = Engine::search(pool, &filter, FAILURES, None).await?;
    let body = html! {
        h1 { "Overview" }
        (page::part("tiles", &tiles(&counts, &queues, &workers, &waits)))
        @if !overdue.is_empty() { (page::card("overdue", "Due, but not done", &late(app, &overdue))) }
        @if !holds.is_empty() {
            (page::card("held", "Held", &html! {
                ul.plain { @for hold in &holds {
                    li { strong { (hold.target) " " (page::text(&hold.name)) " " (page::text(&hold.key)) } " held " (page::until(hold.until)) " by " (page::text(&hold.author))
                        @if let Some(reason) = &hold.reason { ": " (page::text(reason)) } }
                } }
                p { a href="/limits" { "Limits and holds" } }
            }))
        }
        (page::card("rates", "The last hour, minute by minute", &plot::rates(&rates, Utc::now())))
        (page::card("causes", "Failures by cause", &causes(app, &failures)))
        div.columns {
            (page::card("queues", "Queues", &queues::table(&queues)))
            (page::card("workers", "Workers at work", &worker_table(&workers)))
        }
    };
    Ok(Page::new("Overview", body))
}

fn tiles(counts: &[ExecutionCount], queues: &[Queue], workers: &[WorkerSummary], waits: &[Wait]) -> Markup {
    let of = |statuses: &[ExecutionStatus]| -> String {
        let some = counts.iter().filter(|count| statuses.contains(&count.status));
        let sum = page::number(some.clone().map(|count| count.executions).sum());
        if some.clone().any(|count| count.estimated) { format!("≈ {sum}") } else { sum }
    };
    let now = Utc::now();
    let late = waits.iter().filter(|wait| is_late(wait, now)).count();
    let gone = workers.iter().filter(|worker| worker.expired > 0).count();
    let unserved = queues.iter().filter(|queue| queue.is_unserved()).count();
    let unserved_note = match unserved {
        0 => None,
        1 => Some("1 action without a worker".to_owned()),
        several => Some(format!("{several} actions without a worker")),
    };
    let many = if waits.len() >= WAITS as usize { "+" } else { "" };
    let tile = |address: &str, name: &str, value: String, note: Option<String>, bad: bool| {
        html! {
            li { a.tile.bad[bad] href=(address) {
                span.name { (name) } strong { (value) } @if let Some(note) = note { span.note { (note) } }
            } }
        }
    };
    html! {
        ul.tiles {
            (tile("/executions?status=running", "Running", of(&[ExecutionStatus::Running, ExecutionStatus::Requested, ExecutionStatus::Canceling]), None, false))
            (tile("/executions?status=completed", "Completed", of(&[ExecutionStatus::Completed]), None, false))
            (tile("/executions?status=failed&status=timeout&status=abandoned", "Failed", of(&UNSUCCESSFUL), None, of(&UNSUCCESSFUL) != "0"))
            (tile("/work", "Tasks in queues", page::number(queues.iter().map(|queue| queue.summary.ready).sum()), unserved_note, unserved > 0))
            (tile("/work", "Workers at work", page::number(workers.len() as i64), (gone > 0).then(|| format!("{gone} not seen lately")), gone > 0))
            (tile("/approvals", "Open approvals", format!("{}{many}", waits.len()), (late > 0).then(|| format!("{late} late")), late > 0))
        }
    }
}

/// Whether an approval is late: at least three quarters of its time have passed.
pub fn is_late(wait: &Wait, now: DateTime<Utc>) -> bool {
    wait.until.is_some_and(|until| now >= until - (until - wait.since) / 4)
}

fn late(app: &App, overdue: &[OverdueSummary]) -> Markup {
    let rows = html! { @for row in overdue {
        tr { td { (row.kind) } td.number { (page::number(row.rows)) } td { (page::time(row.oldest)) } }
    } };
    html! {
        p { "If this stays, nobody ticks: neither a worker nor the extension's own process is running." }
        (page::table("Overdue work", &["What", "#Rows", "First due"], &rows))
        @if !app.read_only { (page::button("/tick", "/", "Tick now", &[], None)) }
    }
}

/// Failures of one kind.
struct Cause<'f> {
    workflow: &'f str,
    code: Option<&'f str>,
    message: &'f str,
    number: usize,
    newest: &'f FoundExecution,
}

fn causes(app: &App, failures: &[FoundExecution]) -> Markup {
    let mut found: Vec<Cause> = Vec::new();
    let mut places: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    for failure in failures.iter().filter(|failure| failure.execution.is_some()) {
        let workflow = failure.workflow_ref.as_deref().unwrap_or_default();
        let code = failure.error_code.as_deref();
        let place = *places.entry((workflow, code)).or_insert_with(|| {
            let message = failure.error_message.as_deref().unwrap_or_default();
            found.push(Cause { workflow, code, message, number: 0, newest: failure });
            found.len() - 1
        });
        found[place].number += 1;
    }
    found.sort_by_key(|cause| std::cmp::Reverse(cause.number));
    if found.is_empty() {
        return page::nothing("Nothing has failed.");
    }
    let rows = html! { @for cause in found.iter().take(20) {
        @let query = address(cause);
        tr {
            td.number { a href=(query) { (page::number(cause.number as i64)) } }
            td { (page::workflow(cause.workflow)) }
            td { @if let Some(code) = cause.code { code { (page::text(code)) } } }
            td.wide { (page::text(&app.masks.text(cause.message))) }
            td data-head="newest" { @if let Some(id) = cause.newest.execution { (page::execution(id)) } }
            td data-head="started" { (page::maybe_time(cause.newest.created)) }
            td data-head="failed" { (page::maybe_time(cause.newest.ended_at)) }
            @if !app.read_only { td { a.button href=(format!("{query}#all")) { "Act on all" } } }
        }
    } };
    let head: &[&str] =
        &["#How many", "Workflow", "Code", "Newest message", "Newest", "It started", "It failed", "What to do"];
    html! {
        p.dim { @if failures.len() == 1 { "One failure." } @else { "The newest " (failures.len()) " failures." } }
        (page::wrapped_table("Failures by cause", &head[..head.len() - usize::from(app.read_only)], &rows))
    }
}

fn address(cause: &Cause) -> String {
    let code = cause.code.map(|code| format!("&code={}", encoded(code))).unwrap_or_default();
    format!("/executions?workflow={}&status=failed&status=timeout&status=abandoned{code}", encoded(cause.workflow))
}

pub fn worker_table(workers: &[WorkerSummary]) -> Markup {
    if workers.is_empty() {
        return page::nothing("No worker holds a task.");
    }
    let rows = html! { @for worker in workers {
        tr {
            td { (page::text(&worker.worker)) }
            td.number { (page::number(worker.tasks)) }
            td { @if worker.expired > 0 { span.warn { (worker.expired) " lost" } } @else { "alive" } }
            td { (page::time(worker.last_seen)) }
        }
    } };
    page::table("Workers", &["Worker", "#Tasks", "Leases", "Last seen"], &rows)
}
