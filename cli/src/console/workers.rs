//! Queues, workers and their claims, and whether any invariant is broken.

use super::app::{App, Visit};
use super::form::Fields;
use super::frame;
use super::overview::worker_table;
use super::page::{self, Page};
use super::problem::Problem;
use super::queues;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use pg_workflow_client::{ActionSummary, ClaimDetail, Engine};
use std::sync::Arc;

/// Number of claims shown.
const CLAIMS: i32 = 100;

/// Shows queues and workers.
pub async fn show(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| {
        let (queues, workers) = (queues::read(pool).await?, Engine::worker_summary(pool).await?);
        let fields = Fields::of(&visit.uri);
        let waiting = match fields.get("action") {
            Some(action) => Some((action, queues::waiting(&app, pool, action).await?)),
            None => None,
        };
        let (actions, claims) = (Engine::action_summary(pool).await?, Engine::claims(pool, CLAIMS).await?);
        let body = html! {
            h1 { "Queues and workers" }
            div.columns {
                (page::card("queues", "Queues", &queues::table(&queues)))
                (page::card("workers", "Workers at work", &worker_table(&workers)))
            }
            @if let Some((action, waiting)) = &waiting { (page::card("waiting", &format!("Waiting for a worker that serves {action}"), waiting)) }
            (page::card("actions", "Actions of the last hour", &action_table(&actions)))
            (page::card("claims", "What workers hold, oldest first", &claim_table(&claims)))
        };
        Ok(Page::new("Queues and workers", body))
    })
    .await
}

fn action_table(actions: &[ActionSummary]) -> Markup {
    if actions.is_empty() {
        return page::nothing("No task was created in the last hour.");
    }
    let rows = html! { @for action in actions {
        tr {
            td { code { (action.action_ref) } }
            td.number { (page::number(action.tasks)) } td.number { (page::number(action.completed)) }
            td.number { @if action.failed > 0 { span.warn { (page::number(action.failed)) } } @else { "0" } }
            td.number { (page::number(action.repeated)) }
            td.number { (format!("{:.1}", action.ended_per_minute)) }
            td.number { (action.median_ms.map(page::took).unwrap_or_default()) } td.number { (action.p95_ms.map(page::took).unwrap_or_default()) }
        }
    } };
    let head = ["Action", "#Tasks", "#Completed", "#Failed", "#Repeated", "#Per minute", "#Median", "#95 %"];
    html! {
        p.dim { "Tasks that were created after the beginning of the period, " (page::time(actions.iter().map(|action| action.since).min().unwrap_or_default())) "; at most the newest 10,000." }
        (page::table("Actions", &head, &rows))
    }
}

fn claim_table(claims: &[ClaimDetail]) -> Markup {
    if claims.is_empty() {
        return page::nothing("No worker holds a task.");
    }
    let rows = html! { @for claim in claims {
        tr {
            td { a href=(format!("/executions/{}/tasks/{}", claim.execution, claim.task)) { (claim.task_name) @if let Some(index) = claim.task_index { "[" (index) "]" } } }
            td { (page::execution(claim.execution)) }
            td { code { (claim.action_ref.as_deref().unwrap_or_default()) } }
            td { (page::text(&claim.worker)) }
            td.number { (claim.attempt) }
            td { (page::time(claim.claimed)) }
            td { @if claim.expired { span.warn { "lost" } " " (page::time(claim.lease_until)) } @else { (page::until(claim.lease_until)) } }
        }
    } };
    page::table("Claims", &["Task", "Execution", "Action", "Worker", "#Attempt", "Claimed", "Lease"], &rows)
}

/// Shows whether an invariant is broken.
pub async fn check(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    let deep = visit.uri.query() == Some("deep");
    // This reads all data, so it runs on request and not at each refresh of an open page.
    if deep && frame::is_live(&visit.headers) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    app.show(&visit, async |pool| {
        let overdue = Engine::overdue_summary(pool).await?;
        let queues = queues::read(pool).await?;
        let unserved = queues.iter().any(|queue| queue.is_unserved());
        let broken = if deep { Engine::check(pool, 100).await? } else { Vec::new() };
        let rows = html! { @for row in &broken { tr { td { (row.invariant) } td { (row.subject) } td { (row.id) } td.wide { (page::text(row.detail.as_deref().unwrap_or_default())) } } } };
        let body = html! {
            h1 { "Health" }
            section.card {
                @if overdue.is_empty() && !unserved { p.good { "Nothing is overdue, and every action with queued tasks is served or held." } }
                (queues::unserved(&queues))
                @for row in &overdue { p.error { (row.kind) ": " (row.rows) " overdue; the oldest was due " (page::time(row.oldest)) } }
            }
            section.card {
                @if !deep { p { "Checking every invariant reads all data." } a.button href="/check?deep" { "Check the data" } }
                @else if broken.is_empty() { p.good { "No invariant is broken." } }
                @else { (page::table("Broken invariants", &["Invariant", "Subject", "Id", "Detail"], &rows)) p.error { "Please report this, with the events of the execution." } }
            }
        };
        Ok(Page::new("Health", body))
    })
    .await
}
