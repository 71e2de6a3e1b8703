//! Approvals: tasks that wait for a signal, and forms that answer them.

use super::app::{App, Visit};
use super::execution::number;
use super::form::{Fields, encoded};
use super::guard::{Viewer, tell};
use super::overview::is_late;
use super::page::{self, Page};
use super::problem::Problem;
use super::schema;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use maud::{Markup, html};
use pg_workflow_client::{Engine, Page as Range, SignalInput, SignalState, Wait, WaitFilter};
use serde_json::json;
use sqlx::PgPool;
use std::sync::Arc;

/// How many are shown at once.
const ROWS: i32 = 50;

/// Shows the open approvals.
pub async fn show(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| {
        let fields = Fields::of(&visit.uri);
        let filter = WaitFilter { signal: fields.get("signal").map(str::to_owned), execution_id: fields.number("execution")? };
        let range = Range { max_rows: ROWS, after: fields.number("after")? };
        let waits = Engine::list_waits(pool, &filter, range).await?;
        let next = waits.last().filter(|_| waits.len() >= ROWS as usize).map(|wait| wait.task.to_string());
        let body = html! {
            h1 { "Open approvals" }
            @if filter != WaitFilter::default() { p { a href="/approvals" { "All open approvals" } } }
            (page::list("waits", &list(&app, &waits)))
            nav.pages aria-label="Pages" {
                @if let Some(next) = &next { a rel="next" href=(fields.address("/approvals", &[("after", Some(next))])) { "More" } }
            }
        };
        Ok(Page::new("Open approvals", body))
    })
    .await
}

fn list(app: &App, waits: &[Wait]) -> Markup {
    if waits.is_empty() {
        return page::nothing("No task is waiting for an answer.");
    }
    let now = Utc::now();
    let rows = html! { @for wait in waits {
        tr {
            td { a href=(format!("/approvals/{}", wait.task)) { (wait.signal_name) } @if is_late(wait, now) { " " span.warn { "late" } } }
            td { (page::workflow(&wait.workflow_ref)) }
            td { (page::execution(wait.execution)) " " (wait.task_name) @if let Some(index) = wait.task_index { "[" (index) "]" } }
            td.wide { @if let Some(input) = &wait.input { (conductor::finding::shorten(&app.masks.apply(input).to_string(), 200)) } }
            td { (page::time(wait.since)) }
            td { (page::maybe_time(wait.until)) }
        }
    } };
    page::table("Open approvals", &["Signal", "Workflow", "Asked by", "Question", "Since", "Until"], &rows)
}

async fn find(pool: &PgPool, task: i64) -> Result<Option<Wait>, Problem> {
    let range = Range { max_rows: 1, after: Some(task - 1) };
    let found = Engine::list_waits(pool, &WaitFilter::default(), range).await?.pop();
    Ok(found.filter(|wait| wait.task == task))
}

/// Shows one approval, with a form to answer it.
pub async fn one(State(app): State<Arc<App>>, Path(task): Path<String>, visit: Visit) -> Result<Response, Problem> {
    let task = number(&task)?;
    app.show(&visit, async |pool| {
        let body = match find(pool, task).await? {
            Some(wait) => question(&app, &visit, &wait),
            None => html! {
                h1 { "Answered" }
                section.card { p { "This task is no longer waiting: it has been answered, or it has timed out." } p { a href="/approvals" { "Open approvals" } } }
            },
        };
        Ok(Page::new("Approval", body))
    })
    .await
}

fn question(app: &App, visit: &Visit, wait: &Wait) -> Markup {
    let address = format!("/approvals/{}", wait.task);
    let (answer, refuse) = (visit.sent("answer"), visit.sent("refuse"));
    html! {
        p.crumbs { a href="/approvals" { "Open approvals" } " / " (page::execution(wait.execution)) }
        h1 { (wait.signal_name) " " span.dim { (wait.workflow_ref) } }
        p.facts { span { "asked by " strong { (wait.task_name) } } span { "since " (page::time(wait.since)) } @if let Some(until) = wait.until { span { "until " (page::time(until)) } } }
        @if let Some(input) = &wait.input { (page::card("question", "Question", &app.masks.show(input, None))) }
        @if !app.read_only {
            (page::card("answer", "Answer", &answer.form("answer", &address, "/approvals", html! {
                div.stack { (schema::fields(wait.schema.as_ref(), "answer", answer)) div.buttons { button.primary name="how" value="answer" { "Send the answer" } } }
            })))
            (page::card("refuse", "Or let the task fail", &refuse.form("refuse", &address, "/approvals", html! {
                div.bulk { label { "Why" input name="why" required maxlength="500" value=[refuse.value("why", None)]; } button name="how" value="fail" data-confirm="Let the task fail?" { "Let it fail" } }
            })))
        }
    }
}

/// Answers an approval, but only once: a second answer is refused with a message.
pub async fn answer(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
    Path(task): Path<String>,
) -> Response {
    let answered = async |task: &str| {
        let task = number(task)?;
        let gone = || Problem::invalid("this task is no longer waiting: it has been answered, or it has timed out");
        let wait = find(&app.pool, task).await?.ok_or_else(gone)?;
        let mut input = SignalInput {
            name: wait.signal_name.clone(),
            key: Some(format!("console, task {task}")),
            ..SignalInput::default()
        };
        match fields.get("how") {
            Some("fail") => input.error = Some(json!({"type": "refused", "message": fields.need("why")?})),
            _ => input.payload = schema::read(wait.schema.as_ref(), "answer", &fields)?,
        }
        match app.act(&viewer, async |session| Engine::signal(session, wait.execution, input).await).await? {
            SignalState::Delivered => Ok(format!("{} of execution {} is answered", wait.signal_name, wait.execution)),
            SignalState::Kept => Err(gone().hint("The answer is kept for the next task that waits for it.")),
        }
    };
    match answered(&task).await {
        Err(problem) => {
            let visit = Visit::again(&viewer, &format!("/approvals/{}", encoded(&task)), &fields, problem);
            one(State(app), Path(task), visit).await.into_response()
        }
        done => tell("/approvals", done),
    }
}
