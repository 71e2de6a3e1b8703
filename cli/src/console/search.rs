//! Executions: searching with every filter, and controlling the results together.

use super::app::{App, Visit};
use super::form::{Fields, encoded};
use super::guard::{Viewer, tell};
use super::page::{self, Page};
use super::problem::Problem;
use super::refused::Sent;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDateTime, Utc};
use maud::{Markup, html};
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{BulkAnswer, Engine, FoundExecution, SearchFilter, SignalInput};
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use sqlx::postgres::types::PgRange;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Number of executions per page.
const ROWS: i32 = 50;

/// Shows a page of matching executions.
pub async fn show(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| look(&app, pool, &visit).await).await
}

async fn look(app: &App, pool: &PgPool, visit: &Visit) -> Result<Page, Problem> {
    let fields = Fields::of(&visit.uri);
    let (filter, trouble) = match filter(&fields) {
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
    let body = html! {
        h1 { "Executions" }
        (form(&fields))
        @if let Some(trouble) = trouble { p.notice.bad role="alert" { (trouble) } }
        (page::list("found", &results(app, &fields, &found, visit)))
        @if !app.read_only { (page::part("all", &everything(&fields, visit))) }
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

/// Reads the filters.
fn filter(fields: &Fields) -> Result<SearchFilter, Problem> {
    let status = |text: &str| text.parse().map_err(|_| Problem::invalid(format!("there is no status {text}")));
    let statuses: Vec<ExecutionStatus> = fields.all("status").map(status).collect::<Result<_, _>>()?;
    Ok(SearchFilter {
        workflow: fields.get("workflow").map(|text| text.trim().to_owned()),
        statuses: Some(statuses).filter(|statuses| !statuses.is_empty()),
        attributes: fields.json("attributes")?,
        created: range(fields, "created_from", "created_to")?,
        ended: range(fields, "ended_from", "ended_to")?,
        error_code: fields.get("code").map(str::to_owned),
        text: fields.get("text").map(str::to_owned),
        has_failed_task: fields.get("failed_task").map(|_| true),
    })
}

fn range(fields: &Fields, from: &str, to: &str) -> Result<Option<PgRange<DateTime<Utc>>>, Problem> {
    let (from, to) = (moment(fields, from)?, moment(fields, to)?);
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    Ok(Some(PgRange {
        start: from.map_or(Bound::Unbounded, Bound::Included),
        end: to.map_or(Bound::Unbounded, Bound::Excluded),
    }))
}

fn moment(fields: &Fields, name: &str) -> Result<Option<DateTime<Utc>>, Problem> {
    let Some(text) = fields.get(name).map(str::trim) else { return Ok(None) };
    let plain = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc());
    let whole = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    let day = || {
        format!("{text} 00:00")
            .parse::<String>()
            .ok()
            .and_then(|text| NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M").ok())
    };
    let found = whole
        .or_else(|| plain("%Y-%m-%d %H:%M:%S"))
        .or_else(|| plain("%Y-%m-%d %H:%M"))
        .or_else(|| plain("%Y-%m-%dT%H:%M"));
    let found = found.or_else(|| day().map(|time| time.and_utc()));
    found.map(Some).ok_or_else(|| Problem::invalid(format!("{text} is not a time: write it as 2026-11-29 21:00")))
}

fn results(app: &App, fields: &Fields, found: &[FoundExecution], visit: &Visit) -> Markup {
    let (back, sent) = (address(visit), visit.sent("selected"));
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
                td { (page::maybe_time(row.created)) }
                td { (page::maybe_time(row.ended_at)) }
                td.wide {
                    @if let Some(code) = &row.error_code { code { (code) } " " }
                    (app.masks.text(row.error_message.as_deref().unwrap_or_default()))
                    @if let Some(attributes) = &row.attributes { span.dim { " " (app.masks.apply(attributes).to_string()) } }
                }
            }
        }
    } };
    let head = ["Select", "Id", "Workflow", "Status", "Started", "Ended", "Error, attributes"];
    let table = page::table("Executions", &head[usize::from(app.read_only)..], &rows);
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

fn address(visit: &Visit) -> &str {
    visit.uri.path_and_query().map_or("/executions", |address| address.as_str())
}

fn actions(sent: Sent) -> Markup {
    html! {
        div.bulk role="group" aria-label="With the selected" {
            // Enter presses the form's first button: this one does nothing.
            button disabled hidden {}
            label.check { input #select-all type="checkbox"; "All on this page" }
            label { span.hidden { "Reason" } input name="reason" placeholder="Reason" maxlength="500" value=[sent.value("reason", None)]; }
            button name="action" value="rerun" data-confirm="Rerun the selected executions?" { "Rerun" }
            button name="action" value="pause" { "Pause" }
            button name="action" value="resume" { "Resume" }
            button name="action" value="cancel" data-confirm="Cancel the selected executions?" { "Cancel" }
            details #signal-selected open[sent.chose("action", "signal", false)] { summary { "Signal" }
                label { "Signal" input name="signal" placeholder="approved" value=[sent.value("signal", None)]; }
                label { "Payload (JSON; null if empty)" input name="payload" placeholder="{\"ok\": true}" value=[sent.value("payload", None)]; }
                button name="action" value="signal" { "Send" }
            }
        }
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

/// Returns the form that does something with all that match, which a bulk job does.
fn everything(fields: &Fields, visit: &Visit) -> Markup {
    let sent = visit.sent("all");
    let Ok(filter) = job_filter(fields) else { return html! {} };
    let named = filter.as_object().is_some_and(|filter| !filter.is_empty());
    html! {
        section.card aria-labelledby="all-title" {
            h2 #all-title { "With all that match" }
            @if named {
                p { "A bulk job applies the action to every execution that exists now and matches this search, including those on other pages: " code { (filter.to_string()) } }
                (sent.form("all", "/jobs", address(visit), html! {
                    (page::hidden("filter", &filter.to_string()))
                    div.bulk {
                        label { "Do" select name="action" {
                            @for action in ["rerun", "pause", "resume", "cancel", "signal"] { option value=(action) selected[sent.chose("action", action, false)] { (action) } }
                        } }
                        label { "Reason" input name="reason" maxlength="500" value=[sent.value("reason", None)]; }
                        details #signal-all open[sent.chose("action", "signal", false)] { summary { "For a signal" }
                            label { "Signal" input name="signal" value=[sent.value("signal", None)]; }
                            label { "Payload (JSON; null if empty)" input name="payload" value=[sent.value("payload", None)]; }
                        }
                        button data-confirm="Do this to every execution that matches?" { "Create a bulk job" }
                    }
                }))
            } @else { p.dim { "Search for something first: a job cannot apply to every execution." } }
        }
    }
}

/// Returns a search as the filter of a job.
fn job_filter(fields: &Fields) -> Result<Value, Problem> {
    let filter = filter(fields)?;
    let mut object = Map::new();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    };
    let span = |from: &str, to: &str| -> Result<Option<Value>, Problem> {
        let text = |moment: Option<DateTime<Utc>>| moment.map(|time| time.to_rfc3339()).unwrap_or_default();
        let (from, to) = (moment(fields, from)?, moment(fields, to)?);
        Ok((from.is_some() || to.is_some()).then(|| Value::from(format!("[{},{})", text(from), text(to)))))
    };
    add("workflow", filter.workflow.map(Value::from));
    add("statuses", filter.statuses.map(|all| json!(all)));
    add("attributes", filter.attributes);
    add("created", span("created_from", "created_to")?);
    add("ended", span("ended_from", "ended_to")?);
    add("error_code", filter.error_code.map(Value::from));
    add("text", filter.text.map(Value::from));
    add("has_failed_task", filter.has_failed_task.map(Value::from));
    Ok(Value::Object(object))
}

/// Returns the address of the executions of a workflow.
pub fn of_workflow(name: &str) -> String {
    format!("/executions?workflow={}", encoded(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_becomes_the_filter_of_a_job() {
        let query =
            "/x?workflow=a.b&status=failed&code=declined&created_from=2026-01-02&attributes=%7B%22t%22%3A1%7D&after=9";
        let fields = Fields::of(&query.parse().unwrap());
        let expected = json!({"workflow": "a.b", "statuses": ["failed"], "attributes": {"t": 1},
            "created": "[2026-01-02T00:00:00+00:00,)", "error_code": "declined"});
        assert_eq!(job_filter(&fields).unwrap(), expected);
        let wrong = Fields::of(&"/x?created_from=yesterday".parse().unwrap());
        assert!(filter(&wrong).unwrap_err().message.contains("yesterday"));
    }
}
