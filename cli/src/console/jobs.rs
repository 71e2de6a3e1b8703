//! Bulk jobs and their progress.

use super::app::{App, Visit};
use super::filter;
use super::form::Fields;
use super::guard::tell;
use super::page::{self, Page};
use super::problem::Problem;
use super::search;
use super::viewer::Viewer;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use pg_workflow_client::{BulkJob, BulkJobStatus, BulkOperation, Engine, Page as Range};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Shows the newest jobs.
pub async fn show(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| {
        let jobs = Engine::list_bulk_jobs(pool, Range::of(50)).await?;
        let body = html! {
            h1 { "Bulk jobs" }
            p.dim { "A job applies one action to every execution that matches a search. " a href="/executions" { "Search" } ", then choose what to do with all that match." }
            (page::part("jobs", &list(&app, &jobs)))
        };
        Ok(Page::new("Bulk jobs", body))
    })
    .await
}

fn list(app: &App, jobs: &[BulkJob]) -> Markup {
    if jobs.is_empty() {
        return page::nothing("There are no jobs.");
    }
    html! { @for job in jobs {
        section.card aria-labelledby=(format!("job-{}", job.job)) {
            h2 id=(format!("job-{}", job.job)) { (job.action.name()) " " span.dim { "job " (job.job) } }
            p.facts {
                (page::status(job.status.name()))
                span { strong { (page::number(job.processed)) } " processed" }
                @if job.refused > 0 { span.warn { (page::number(job.refused)) " refused" } } @else { span { "0 refused" } }
                @if job.busy > 0 { span { (job.busy) " locked, to be retried" } }
                span { "by " (page::text(&job.author)) }
                span { (page::time(job.created)) }
                @if let Some(reached) = job.reached.filter(|_| job.status != BulkJobStatus::Completed) { span { "has reached those of " (page::time(reached)) } }
            }
            p { (filter::words(&job.filter, &app.masks)) }
            @if let Some(all) = job.arguments.as_object().filter(|all| !all.is_empty()) { p.facts {
                @for (name, value) in all { span { (argument(name)) " " strong { (page::text(&told(app, name, value))) } } }
            } }
            @if let Some(address) = filter::address(&job.filter, &app.masks) { p { a href=(address) { "Executions that match now" } } }
            @if let Some(error) = &job.last_error { p.error { (page::text(error)) } }
            @if job.refused > 0 { details id=(format!("refusals-{}", job.job)) { summary { "Why they were refused" } (refusals(app, &job.refusals)) } }
            @if !app.read_only {
                @match job.status {
                    BulkJobStatus::Running => (page::button(&format!("/jobs/{}/stop", job.job), "/jobs", "Stop", &[], None)),
                    BulkJobStatus::Stopped | BulkJobStatus::Failed => (page::button(&format!("/jobs/{}/resume", job.job), "/jobs", "Go on", &[], None)),
                    BulkJobStatus::Completed => {}
                }
            }
        }
    } }
}

/// Returns what an argument of a job is called on the page.
fn argument(name: &str) -> &str {
    match name {
        "name" => "signal",
        other => other,
    }
}

fn told(app: &App, name: &str, value: &Value) -> String {
    // The name of an argument may be that of a hidden value.
    let hidden = app.masks.apply(&Value::Object(Map::from_iter([(name.to_owned(), value.clone())])));
    hidden[name].as_str().map_or_else(|| app.masks.line(&hidden[name]), str::to_owned)
}

/// Shows how many were refused for which reason, each with the last message.
fn refusals(app: &App, refusals: &Value) -> Markup {
    let Some(all) = refusals.as_object() else { return app.masks.show(refusals, None) };
    html! { ul { @for (code, one) in all {
        li {
            strong { (page::number(one["count"].as_i64().unwrap_or_default())) " × " (code) }
            @if let Some(message) = one["message"].as_str() {
                ", such as: " (page::text(&app.masks.text(message.trim_start_matches(code.as_str()).trim_start_matches(": "))))
            }
        }
    } } }
}

/// Creates a job.
pub async fn create(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let created = async {
        let action = match fields.need("action")? {
            "pause" => BulkOperation::Pause,
            "resume" => BulkOperation::Resume,
            "cancel" => BulkOperation::Cancel,
            "rerun" => BulkOperation::Rerun,
            "signal" => BulkOperation::Signal,
            other => return Err(Problem::invalid(format!("there is no action {other}"))),
        };
        let filter = fields.json("filter")?.ok_or_else(|| Problem::invalid("filter is missing"))?;
        let mut arguments = Map::new();
        if action == BulkOperation::Signal {
            arguments.insert("name".into(), fields.need("signal")?.into());
            arguments.extend(fields.json("payload")?.map(|payload| ("payload".to_owned(), payload)));
        } else if let Some(reason) = fields.get("reason") {
            arguments.insert("reason".into(), reason.into());
        }
        let arguments = Value::Object(arguments);
        let job = app.act(&viewer, async |session| Engine::apply(session, action, &filter, &arguments).await).await?;
        Ok(format!("job {job} has been created; each tick performs a step of it"))
    };
    match created.await {
        Err(problem) => search::refused(app, &viewer, fields.get("back").unwrap_or_default(), &fields, problem).await,
        done => tell("/jobs", done),
    }
}

/// Stops or continues a job.
pub async fn turn(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Path((job, action)): Path<(i64, String)>,
) -> Response {
    let turned = async {
        match action.as_str() {
            "stop" => {
                app.act(&viewer, async |session| Engine::stop_bulk_job(session, job).await).await?;
                Ok(format!("job {job} was stopped"))
            }
            "resume" => {
                app.act(&viewer, async |session| Engine::resume_bulk_job(session, job).await).await?;
                Ok(format!("job {job} was resumed"))
            }
            _ => Err(Problem::invalid(format!("there is no action {action}"))),
        }
    };
    tell("/jobs", turned.await)
}

/// Labels on the page.
trait Name {
    fn name(self) -> &'static str;
}

impl Name for BulkOperation {
    fn name(self) -> &'static str {
        match self {
            BulkOperation::Pause => "pause",
            BulkOperation::Resume => "resume",
            BulkOperation::Cancel => "cancel",
            BulkOperation::Rerun => "rerun",
            BulkOperation::Signal => "signal",
            BulkOperation::Prune => "prune",
        }
    }
}

impl Name for BulkJobStatus {
    fn name(self) -> &'static str {
        match self {
            BulkJobStatus::Running => "running",
            BulkJobStatus::Stopped => "stopped",
            BulkJobStatus::Completed => "completed",
            BulkJobStatus::Failed => "failed",
        }
    }
}
