//! Executions: searching with every filter, and controlling the results together.

use super::app::{App, Visit};
use super::everything::{self, Matches};
use super::filter;
use super::form::{Fields, encoded};
use super::guard::tell;
use super::page::{self, Page};
use super::problem::Problem;
use super::refused::Sent;
use super::viewer::Viewer;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{BulkAnswer, Engine, FoundExecution, SearchFilter, SignalInput};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Number of executions per page.
const ROWS: i32 = 50;

/// Shows a page of matching executions.
pub async fn show(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| look(&app, pool, &visit).await).await
}

async fn look(app: &App, pool: &PgPool, visit: &Visit) -> Result<Page, Problem> {
    let fields = Fields::of(&visit.uri);
    let (filter, trouble) = match filter::read(&fields) {
        Ok(filter) => (filter, None),
        Err(problem) => (SearchFilter::default(), Some(problem.message)),
    };
    let found = match trouble {
        Some(_) => Ok(Vec::new()),
        None => Engine::search(pool, &filter, ROWS, fields.get("after")).await.map_err(Problem::from),
    };
    let (found, trouble) = match found {
        Ok(found) => (found, trouble),
        // An invalid filter is reported next to the form; anything else is a problem of the page.
        Err(problem) if problem.status.is_client_error() => (Vec::new(), Some(problem.text())),
        Err(problem) => return Err(problem),
    };
    let all = match (app.read_only, &trouble) {
        (true, _) | (_, Some(_)) => None,
        _ => {
            let matches = Matches::count(pool, &fields, &filter, &found, ROWS).await?;
            Some(everything::form(app, &fields, visit, matches))
        }
    };
    let body = html! {
        h1 { "Executions" }
        (form(&fields))
        @if let Some(trouble) = trouble { p.notice.bad role="alert" { (page::text(&trouble)) } }
        (page::list("found", &results(app, &fields, &found, visit)))
        @if let Some(all) = &all { (page::part("all", all)) }
    };
    Ok(Page::new("Executions", body))
}

fn form(fields: &Fields) -> Markup {
    let field = |name: &str, label: &str, hint: &str| {
        html! { label { (label) input name=(name) value=[fields.get(name)] placeholder=(hint); } }
    };
    let more = ["created_from", "created_to", "ended_from", "ended_to", "attributes", "failed_task"];
    html! {
        form.search.card method="get" action="/executions" role="search" aria-label="Executions" {
            div.fields {
                (field("workflow", "Workflow", "shop.order"))
                (field("text", "Error contains", "timeout"))
                (field("code", "Error code or type", "declined"))
            }
            fieldset {
                legend { "Status" }
                @for status in ExecutionStatus::ALL {
                    @if !matches!(status, ExecutionStatus::Scheduling | ExecutionStatus::Scheduled) {
                        label.check { input type="checkbox" name="status" value=(status) checked[fields.all("status").any(|given| given == status.as_str())]; (status) }
                    }
                }
            }
            details #more open[more.iter().any(|name| fields.get(name).is_some())] {
                summary { "More" }
                div.fields {
                    (field("attributes", "Attributes contain", "{\"tenant\": \"acme\"}"))
                    (field("created_from", "Created from (UTC)", "2026-11-29 21:00"))
                    (field("created_to", "Created before (UTC)", "2026-11-29 22:00"))
                    (field("ended_from", "Ended from (UTC)", ""))
                    (field("ended_to", "Ended before (UTC)", ""))
                    label.check { input type="checkbox" name="failed_task" value="true" checked[fields.get("failed_task").is_some()]; "a task has failed" }
                }
            }
            div.buttons { button.primary { "Search" } a href="/executions" { "Clear" } }
        }
    }
}

fn results(app: &App, fields: &Fields, found: &[FoundExecution], visit: &Visit) -> Markup {
    let (back, sent) = (visit.address(), visit.sent("selected"));
    let rows = html! { @for row in found {
        @if let Some(id) = row.execution {
            tr {
                @if !app.read_only { td { input type="checkbox" name="execution" value=(id) checked[sent.chose("execution", &id.to_string(), false)] aria-label=(format!("Select {id}")); } }
                td { (page::execution(id)) }
                td { (page::workflow(row.workflow_ref.as_deref().unwrap_or_default())) }
                td {
                    @if let Some(status) = row.status { (page::status(status.as_str())) }
                    @if row.paused == Some(true) { " " span.tag { "paused" } }
                    @if row.ended == Some(false) && row.status.is_some_and(ExecutionStatus::is_end) { " " span.tag { "closing" } }
                }
                td data-head="started" { (page::maybe_time(row.created)) }
                td data-head="ended" { (page::maybe_time(row.ended_at)) }
                td.wide {
                    @if let Some(code) = &row.error_code { code { (page::text(code)) } " " }
                    (page::text(&app.masks.text(row.error_message.as_deref().unwrap_or_default())))
                    @if let Some(attributes) = &row.attributes { span.dim { " " (app.masks.line(attributes)) } }
                }
            }
        }
    } };
    let head = ["Select", "Id", "Workflow", "Status", "Started", "Ended", "Error, attributes"];
    let table = page::wrapped_table("Executions", &head[usize::from(app.read_only)..], &rows);
    let last = found.last();
    let unfinished = last.is_some_and(|row| row.execution.is_none());
    let more = last.filter(|_| unfinished || found.len() >= ROWS as usize);
    html! {
        @if found.iter().all(|row| row.execution.is_none()) && !unfinished { (page::nothing("No execution matches.")) }
        @else if app.read_only { (table) }
        @else { (sent.form("selected", "/executions", back, html! { (actions(sent)) (table) })) }
        nav.pages aria-label="Pages" {
            @if fields.get("after").is_some() { a href=(fields.address("/executions", &[("after", None)])) { "First page" } }
            @if unfinished { span.dim { "Many executions were examined; there may be more." } }
            @if let Some(row) = more { a rel="next" href=(fields.address("/executions", &[("after", Some(&row.cursor))])) { "Older" } }
        }
    }
}

fn actions(sent: Sent) -> Markup {
    html! {
        div.bulk role="group" aria-label="With the selected" {
            // Enter presses the form's first button: this one does nothing.
            button disabled hidden {}
            label.check { input #select-all type="checkbox"; "All on this page" }
            label { span.hidden { "Reason" } input name="reason" placeholder="Reason" maxlength="500" value=[sent.value("reason", None)]; }
            button name="action" value="rerun" data-confirm="Rerun {#}?" { "Rerun" }
            button name="action" value="pause" { "Pause" }
            button name="action" value="resume" { "Resume" }
            button name="action" value="cancel" data-confirm="Cancel {#}?" { "Cancel" }
            details #signal-selected open[sent.chose("action", "signal", false)] { summary { "Signal" }
                label { "Signal" input name="signal" placeholder="approved" value=[sent.value("signal", None)]; }
                label { "Payload (JSON; null if empty)" input name="payload" placeholder="{\"ok\": true}" value=[sent.value("payload", None)]; }
                button name="action" value="signal" { "Send" }
            }
        }
        p.dim { (everything::RERUN) }
    }
}

/// Applies an action to the selected executions.
pub async fn bulk(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let back = fields.get("back").unwrap_or("/executions").to_owned();
    match apply(&app, &viewer, &fields).await {
        Err(problem) => refused(app, &viewer, &back, &fields, problem).await,
        done => tell(&back, done),
    }
}

/// Shows a search again whose form was refused.
pub async fn refused(app: Arc<App>, viewer: &Viewer, back: &str, fields: &Fields, problem: Problem) -> Response {
    let back = if back.starts_with("/executions?") { back } else { "/executions" };
    show(State(app), Visit::again(viewer, back, fields, problem)).await.into_response()
}

async fn apply(app: &App, viewer: &Viewer, fields: &Fields) -> Result<String, Problem> {
    let ids = fields.all("execution").map(|id| id.parse().map_err(|_| Problem::invalid(format!("{id} is not an id"))));
    let ids: Vec<i64> = ids.collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Err(Problem::invalid("no execution is selected"));
    }
    let (action, reason) = (fields.need("action")?, fields.get("reason"));
    let signal = match action {
        "signal" => SignalInput {
            name: fields.need("signal")?.to_owned(),
            payload: fields.json("payload")?,
            ..SignalInput::default()
        },
        "pause" | "resume" | "cancel" | "rerun" => SignalInput::default(),
        _ => return Err(Problem::invalid(format!("there is no action {action}"))),
    };
    let answers = app.act(viewer, async |session| match action {
        "pause" => Engine::pause_many(session, &ids, reason).await,
        "resume" => Engine::resume_many(session, &ids, reason).await,
        "cancel" => Engine::cancel_many(session, &ids, reason, false).await,
        "rerun" => Engine::rerun_many(session, &ids, None, false, reason).await,
        _ => Engine::signal_many(session, &ids, signal).await,
    });
    summed(action, &answers.await?)
}

/// Returns a summary of the results; an error if nothing was done.
fn summed(action: &str, answers: &[BulkAnswer]) -> Result<String, Problem> {
    let done = answers.iter().filter(|answer| answer.code.is_none()).count();
    let mut refusals: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for answer in answers {
        if let Some(code) = &answer.code {
            refusals.entry(code).or_insert((0, answer.message.as_deref().unwrap_or_default())).0 += 1;
        }
    }
    let refused: Vec<String> =
        refusals.values().map(|(number, message)| format!("{number} refused ({message})")).collect();
    let text = [vec![format!("{action}: {done} done")], refused].concat().join(", ");
    if done == 0 { Err(Problem::invalid(text)) } else { Ok(text) }
}

/// Returns the address of the executions of a workflow.
pub fn of_workflow(name: &str) -> String {
    format!("/executions?workflow={}", encoded(name))
}
