//! One execution: its graph, what it is waiting for and what to do about it, its tasks, data and events.

use super::app::{App, Visit};
use super::download::file;
use super::drawing::{self, Subject};
use super::form::{Fields, encoded, number};
use super::hint::{self, Advice};
use super::page::{self, Page};
use super::problem::Problem;
use super::tasks;
use super::timeline;
use crate::picture;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::Utc;
use maud::{Markup, html};
use pg_workflow_client::model::{Event, ExecutionStatus};
use pg_workflow_client::{Engine, GraphFormat, Page as Range, Reason, TaskCount, TreeRow, WorkflowStatus};
use serde_json::Value;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of reasons, events and called executions shown.
const REASONS: i32 = 50;
const EVENTS: i32 = 200;
const CALLED: i32 = 50;

/// How long the page of a running execution lasts if nothing happens.
const RUNNING: Duration = Duration::from_secs(10);

/// Maximum size of a value that is shown, in bytes as stored.
const SHOWN: i32 = 200_000;

/// Shows an execution.
pub async fn show(State(app): State<Arc<App>>, Path(id): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let id = number(&id)?;
    app.show(&visit, async |pool| look(&app, pool, id, &visit).await).await
}

async fn look(app: &App, pool: &PgPool, id: i64, visit: &Visit) -> Result<Page, Problem> {
    let fields = &Fields::of(&visit.uri);
    let status = Engine::status_at_a_glance(pool, id, SHOWN).await?;
    let counts = Engine::count_tasks(pool, id, 1000).await?;
    let reasons = Engine::why(pool, id, REASONS).await?;
    let after = fields.number("events_after")?;
    let events = Engine::list_events(pool, id, Range { max_rows: EVENTS, after }).await?;
    let tree = Engine::tree(pool, id, CALLED + 1).await?;
    let back = format!("/executions/{id}");
    let listed = tasks::list(pool, id, fields).await?;
    let body = html! {
        (page::part("head", &head(app, &status)))
        @if !app.read_only { (page::part("actions", &actions(visit, &status, &counts, &back))) }
        (page::card("why", if status.ended { "How it ended" } else { "What it waits for" }, &why(app, &reasons, id, &back)))
        (page::card("graph", "Graph", &graph(pool, &status, &counts).await?))
        @if tree.len() > 1 { (page::card("called", "What it calls", &called(pool, id, &tree, fields).await?)) }
        (page::card("timeline", "Timeline", &timeline::draw(&status, &counts, Utc::now())))
        (page::card("tasks", "Tasks", &listed))
        (page::card("data", "Data", &values(app, &status)))
        (page::card("events", "Events", &event_table(app, &events, id)))
    };
    let page = Page::new(format!("{} {id}", status.workflow_ref), body);
    // The bars of a running execution grow.
    Ok(if status.ended { page } else { Page { lasts: RUNNING, ..page } })
}

fn head(app: &App, status: &WorkflowStatus) -> Markup {
    let end = if status.ended { status.updated } else { Utc::now() };
    html! {
        p.crumbs { a href="/executions" { "Executions" } " / " (page::workflow(&status.workflow_ref)) }
        h1 { (status.workflow_ref) " " span.dim { (status.execution) } }
        p.facts role="status" {
            (page::status(status.status.as_str()))
            @if status.paused { span.tag { "paused" @if let Some(reason) = &status.pause_reason { ": " (page::text(reason)) } } }
            @if !status.ended && status.status.is_end() { span.tag { "closing" } }
            @if let Some(undo) = &status.undo { span.tag { "undo " (undo) } }
            span { "started " (page::time(status.created)) }
            @if status.ended { span { "ended " (page::time(status.updated)) } span { "took " (page::took((end - status.created).num_milliseconds())) } }
            @if let Some(key) = &status.idempotency_key { span { "key " code { (page::text(key)) } } }
        }
        @if let Some(message) = &status.error_message { p.error { (page::text(&app.masks.text(message))) } }
    }
}

fn actions(visit: &Visit, status: &WorkflowStatus, counts: &[TaskCount], back: &str) -> Markup {
    let ended = status.ended;
    // What has been undone cannot be run again.
    let undone = status.undo.as_deref() == Some("done");
    let unsuccessful = ended && !undone && status.status != ExecutionStatus::Completed;
    let to = |action: &str| format!("{back}/{action}");
    let (from, signal) = (visit.sent("rerun-from"), visit.sent("send-signal"));
    html! {
        div.bulk role="group" aria-label="Actions" {
            @if !ended && !status.paused { (page::button(&to("pause"), back, "Pause", &[], None)) }
            @if !ended && status.paused { (page::button(&to("resume"), back, "Resume", &[], None)) }
            @if !ended { (page::button(&to("cancel"), back, "Cancel", &[], Some("Cancel this execution?"))) }
            @if !ended { (page::button(&to("force-cancel"), back, "Cancel by force", &[], Some("End it at once, without handlers, undo and finally?"))) }
            @if unsuccessful { (page::button(&to("rerun"), back, "Rerun", &[], None)) }
            @if unsuccessful {
                details #rerun-from open[from.is_some()] { summary { "Rerun from…" }
                    (from.form("rerun-from", &to("rerun"), back, html! {
                        label { "Task" select name="task" required { option value="" { "Choose…" } @for count in counts.iter().filter(|count| !count.is_undo) { option selected[from.chose("task", &count.task_name, false)] { (count.task_name) } } } }
                        label.check { input type="checkbox" name="reset_items" value="true" checked[from.chose("reset_items", "true", false)]; "successful items, too" }
                        label { "Reason" input name="reason" maxlength="500" value=[from.value("reason", None)]; }
                        button { "Rerun from this task" }
                    }))
                }
            }
            @if !ended {
                details #send-signal open[signal.is_some()] { summary { "Send a signal" }
                    (signal.form("send-signal", &to("signal"), back, html! {
                        label { "Signal" input name="signal" required value=[signal.value("signal", None)]; }
                        label { "Payload (JSON; null if empty)" input name="payload" placeholder="{\"ok\": true}" value=[signal.value("payload", None)]; }
                        button { "Send" }
                    }))
                }
            }
        }
    }
}

fn why(app: &App, reasons: &[Reason], id: i64, back: &str) -> Markup {
    html! {
        ul.reasons { @for reason in reasons {
            li {
                p { @if let Some(task) = &reason.task { strong { (task) } " " } (page::text(&app.masks.text(&reason.why))) }
                @if let Some(text) = &reason.hint { div.hint { (advice(app, text, id, back)) } }
            }
        } }
    }
}

/// Returns a hint, with a button that carries it out.
fn advice(app: &App, text: &str, here: i64, back: &str) -> Markup {
    let go = |action: &str, id: i64, label: &str, confirm: Option<&str>| {
        page::button(&format!("/executions/{id}/{action}"), back, label, &[], confirm)
    };
    let advice = hint::read(text);
    let words = hint::words(text, Some(here));
    let pressed = match advice {
        Some(Advice::LookAt(id)) => html! { a.button href=(format!("/executions/{id}")) { "Look at " (id) } },
        Some(Advice::Check) => html! { a.button href="/check" { "Check the data" } },
        Some(Advice::SetLimit(name)) => {
            html! { a.button href=(format!("/limits?name={}", encoded(&name))) { "Change the limit" } }
        }
        Some(Advice::Signal { execution, name }) => {
            html! { a.button href=(format!("/approvals?execution={execution}&signal={}", encoded(&name))) { "Answer" } }
        }
        _ if app.read_only => html! {},
        Some(Advice::Resume(id)) => go("resume", id, "Resume", None),
        Some(Advice::Rerun(id)) => go("rerun", id, "Rerun", None),
        Some(Advice::RerunFrom(id)) => {
            html! { a.button href=(format!("/executions/{id}#rerun-from")) data-open="rerun-from" { "Choose the tasks" } }
        }
        Some(Advice::ForceCancel(id)) => {
            go("force-cancel", id, "Stop it at once", Some("End it at once, without handlers, undo and finally?"))
        }
        Some(Advice::Tick) => page::button("/tick", back, "Tick now", &[], None),
        Some(Advice::Release { target, name, key }) => {
            let mut values = vec![("target", target.as_str())];
            values.extend(name.as_deref().map(|name| ("name", name)));
            values.extend(key.as_deref().map(|key| ("key", key)));
            page::button("/limits/release", back, "Release", &values, None)
        }
        None => html! {},
    };
    html! { span { (page::text(&words)) } (pressed) }
}

async fn graph(pool: &PgPool, status: &WorkflowStatus, counts: &[TaskCount]) -> Result<Markup, Problem> {
    let dot = Engine::execution_graph(pool, status.execution, GraphFormat::Dot).await?;
    let label = format!("Graph of execution {}", status.execution);
    let graph = picture::of_dot(&dot);
    let drawn = drawing::draw(&graph, &Subject { execution: Some(status.execution), counts }, &label);
    Ok(html! {
        (drawing::legend(&graph, counts))
        (drawn)
    })
}

/// Shows the called executions, with graphs for those that the viewer has opened.
async fn called(pool: &PgPool, id: i64, tree: &[TreeRow], fields: &Fields) -> Result<Markup, Problem> {
    let open: Vec<i64> = fields.all("open").filter_map(|id| id.parse().ok()).take(10).collect();
    let mut shown = Vec::new();
    for row in tree.iter().skip(1).take(CALLED as usize) {
        let graph = match open.contains(&row.execution) {
            true => {
                let counts = Engine::count_tasks(pool, row.execution, 1000).await?;
                let dot = Engine::execution_graph(pool, row.execution, GraphFormat::Dot).await?;
                let subject = Subject { execution: Some(row.execution), counts: &counts };
                Some(drawing::draw(&picture::of_dot(&dot), &subject, &format!("Graph of execution {}", row.execution)))
            }
            false => None,
        };
        shown.push((row, graph));
    }
    let others = |without: i64| -> Vec<String> {
        open.iter().filter(|id| **id != without).map(|id| format!("open={id}")).collect()
    };
    let address = |mut words: Vec<String>, more: Option<i64>| {
        words.extend(more.map(|id| format!("open={id}")));
        format!("/executions/{id}?{}#called", words.join("&"))
    };
    Ok(html! {
        ul.tree { @for (row, graph) in &shown {
            li class=(format!("depth-{}", row.depth.clamp(1, 8))) {
                (page::status(row.status.as_str())) " " (page::execution(row.execution)) " " (page::workflow(&row.workflow_ref))
                @if let Some(task) = &row.task_name { span.dim { " called by " (task) @if let Some(index) = row.task_index { "[" (index) "]" } } }
                " "
                @if graph.is_some() { a href=(address(others(row.execution), None)) { "close" } }
                @else { a href=(address(others(row.execution), Some(row.execution))) { "open its graph here" } }
                @if let Some(graph) = graph { (graph) }
            }
        } }
        @if tree.len() > CALLED as usize { p.dim { "The first " (CALLED) "." } }
    })
}

fn values(app: &App, status: &WorkflowStatus) -> Markup {
    let all = |what: &str| format!("/executions/{}/data/{what}", status.execution);
    let one = |what: &str, name: &str, value: Option<&Value>, open: bool| {
        html! {
                   @if let Some(value) = value.filter(|value| !value.is_null() && value.as_object().is_none_or(|all| !all.is_empty())) {
                       details id=(format!("value-{what}")) open[open] { summary { (name) }
                           // It is an object, unless it was too large to be read.
                           @if let Some(size) = value.as_str() { p.dim { "It has " (size) ". " a href=(all(what)) download { "Download it" } } }
                           @else { (app.masks.show(value, Some(&all(what)))) }
        }
                   }
               }
    };
    let trace = status.attributes.as_ref().and_then(|attributes| attributes.get("trace_url")?.as_str());
    let empty = |value: Option<&Value>| {
        value.is_none_or(|value| value.is_null() || value.as_object().is_some_and(|all| all.is_empty()))
    };
    let values =
        [status.parameters.as_ref(), status.attributes.as_ref(), status.output.as_ref(), Some(&status.variables)];
    html! {
        @if values.into_iter().all(empty) { (page::nothing("It has none.")) }
        @if let Some(url) = trace.filter(|url| url.starts_with("https://") || url.starts_with("http://")) {
            p { a href=(url) rel="noreferrer noopener" { "Trace" } }
        }
        (one("parameters", "Parameters", status.parameters.as_ref(), true))
        (one("attributes", "Attributes", status.attributes.as_ref(), true))
        (one("output", "Output", status.output.as_ref(), true))
        (one("variables", "Variables", Some(&status.variables).filter(|value| value.as_object().is_none_or(|all| !all.is_empty())), false))
        (one("errors", "Errors", Some(&status.errors).filter(|value| value.as_array().is_none_or(|all| !all.is_empty())), false))
    }
}

/// Returns one of its values as a file.
pub async fn data(State(app): State<Arc<App>>, Path((id, what)): Path<(String, String)>) -> Result<Response, Problem> {
    let status = Engine::status(&app.pool, number(&id)?).await?;
    let value = match what.as_str() {
        "parameters" => status.parameters,
        "attributes" => status.attributes,
        "output" => status.output,
        "variables" => Some(status.variables),
        "errors" => Some(status.errors),
        _ => None,
    };
    file(&app, value, &format!("{id}-{what}.json"))
}

fn event_table(app: &App, events: &[Event], id: i64) -> Markup {
    let rows = html! { @for event in events {
        tr {
            td { (page::time(event.created)) }
            td { span class=(format!("kind e-{}", event.kind)) { (event.kind) } }
            td { (event.task_name.as_deref().unwrap_or_default()) @if let Some(index) = event.task_index { "[" (index) "]" } }
            td.wide {
                (page::text(&app.masks.text(event.message.as_deref().unwrap_or_default())))
                @if let Some(detail) = &event.detail { " " span.dim { (conductor::finding::shorten(&app.masks.line(detail), 300)) } }
            }
            td { (page::text(event.author.as_deref().unwrap_or("the engine"))) }
        }
    } };
    html! {
        @if events.is_empty() { (page::nothing("Nothing out of the ordinary has happened.")) }
        @else { (page::table("Events", &["When", "What", "Task", "Message", "Who"], &rows)) }
        @if let Some(last) = events.last().filter(|_| events.len() >= EVENTS as usize) {
            nav.pages aria-label="Events" { a href=(format!("/executions/{id}?events_after={}#events", last.id)) { "Later events" } }
        }
    }
}
