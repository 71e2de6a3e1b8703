//! Approvals: tasks that wait for a signal, and forms that answer them.

use super::app::{App, Visit};
use super::form::{Fields, encoded, number};
use super::guard::tell;
use super::overview::is_late;
use super::page::{self, Page};
use super::problem::Problem;
use super::schema;
use super::viewer::Viewer;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use maud::{Markup, html};
use pg_workflow_client::{Engine, ExecutionSubject, Page as Range, SignalInput, SignalState, Wait, WaitFilter};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::Arc;

/// How many are shown at once.
const ROWS: i32 = 50;

/// Maximum size of parameters that are shown, in bytes as stored: in the list, and on the page of one approval.
const LISTED: i32 = 10_000;
const SHOWN: i32 = 200_000;

/// Shows the open approvals.
pub async fn show(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| {
        let fields = Fields::of(&visit.uri);
        let filter = WaitFilter { signal: fields.get("signal").map(str::to_owned), execution_id: fields.number("execution")? };
        let range = Range { max_rows: ROWS, after: fields.number("after")? };
        let waits = Engine::list_waits(pool, &filter, range).await?;
        let executions: Vec<i64> = waits.iter().map(|wait| wait.execution).collect();
        let subjects = Engine::execution_subjects(pool, &executions, LISTED).await?;
        let next = waits.last().filter(|_| waits.len() >= ROWS as usize).map(|wait| wait.task.to_string());
        let body = html! {
            h1 { "Open approvals" }
            @if filter != WaitFilter::default() { p { a href="/approvals" { "All open approvals" } } }
            (page::list("waits", &list(&app, &waits, &subjects)))
            nav.pages aria-label="Pages" {
                @if let Some(next) = &next { a rel="next" href=(fields.address("/approvals", &[("after", Some(next))])) { "More" } }
            }
        };
        Ok(Page::new("Open approvals", body))
    })
    .await
}

fn list(app: &App, waits: &[Wait], subjects: &[ExecutionSubject]) -> Markup {
    if waits.is_empty() {
        return page::nothing("No task is waiting for an answer.");
    }
    let now = Utc::now();
    let subjects: HashMap<i64, &ExecutionSubject> =
        subjects.iter().map(|subject| (subject.execution, subject)).collect();
    let rows = html! { @for wait in waits {
        @let subject = subjects.get(&wait.execution).copied();
        tr {
            td { a href=(format!("/approvals/{}", wait.task)) { (page::text(&wait.signal_name)) } @if is_late(wait, now) { " " span.warn { "late" } } }
            td.label { @if let Some(label) = subject.and_then(|subject| subject.label.as_deref()) { (page::text(label)) br; } (page::workflow(&wait.workflow_ref)) }
            td { (page::execution(wait.execution)) " " (wait.task_name) @if let Some(index) = wait.task_index { "[" (index) "]" } }
            td.wide { (about(app, wait, subject)) }
            td data-head="asked" { (page::time(wait.since)) }
            td data-head="deadline" { @if let Some(until) = wait.until { (page::until(until)) } @else { span.dim { "none" } } }
        }
    } };
    let head = ["Signal", "Workflow", "Asked by", "What it is about", "Asked", "Deadline"];
    page::wrapped_table("Open approvals", &head, &rows)
}

/// Shows the question, if the task has one, and what its execution is about.
fn about(app: &App, wait: &Wait, subject: Option<&ExecutionSubject>) -> Markup {
    let parameters = subject.and_then(|subject| subject.parameters.as_ref());
    let attributes = subject.and_then(|subject| subject.attributes.as_ref());
    let values = [("", wait.input.as_ref()), ("parameters ", parameters), ("attributes ", attributes)];
    let mut told =
        values.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !is_empty(value))?))).peekable();
    html! {
        @if told.peek().is_none() { span.dim { "It has no parameters." } }
        @for (name, value) in told { div {
            @if !name.is_empty() { span.dim { (name) } }
            // It is an object, unless it was too large to be read.
            @match value.as_str().filter(|_| name == "parameters ") {
                Some(size) => span.dim { "have " (size) },
                None => (conductor::finding::shorten(&app.masks.line(value), 200)),
            }
        } }
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(|all| all.is_empty())
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
            Some(wait) => {
                let subject = Engine::execution_subjects(pool, &[wait.execution], SHOWN).await?.pop();
                question(&app, &visit, &wait, subject.as_ref())
            }
            None => html! {
                h1 { "Answered" }
                section.card { p { "This task is no longer waiting: it has been answered, or it has timed out." } p { a href="/approvals" { "Open approvals" } } }
            },
        };
        Ok(Page::new("Approval", body))
    })
    .await
}

fn question(app: &App, visit: &Visit, wait: &Wait, subject: Option<&ExecutionSubject>) -> Markup {
    let address = format!("/approvals/{}", wait.task);
    let (answer, refuse) = (visit.sent("answer"), visit.sent("refuse"));
    html! {
        p.crumbs { a href="/approvals" { "Open approvals" } " / " (page::execution(wait.execution)) }
        h1 { (page::text(&wait.signal_name)) " " span.dim { (wait.workflow_ref) } }
        p.facts {
            @if let Some(label) = subject.and_then(|subject| subject.label.as_deref()) { strong { (page::text(label)) } }
            span { "asked by " strong { (wait.task_name) } " " (page::time(wait.since)) }
            @if let Some(until) = wait.until { span { "can be answered " (page::until(until)) @if is_late(wait, Utc::now()) { " " span.warn { "late" } } } } @else { span { "no deadline" } }
        }
        @if let Some(input) = wait.input.as_ref().filter(|input| !is_empty(input)) { (page::card("question", "Question", &app.masks.show(input, None))) }
        (page::card("about", "What it is about", &subject_values(app, wait.execution, subject)))
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

/// Shows the parameters and attributes of the execution that asks.
fn subject_values(app: &App, execution: i64, subject: Option<&ExecutionSubject>) -> Markup {
    let all = format!("/executions/{execution}/data/parameters");
    let parameters = subject.and_then(|subject| subject.parameters.as_ref()).filter(|value| !is_empty(value));
    let attributes = subject.and_then(|subject| subject.attributes.as_ref()).filter(|value| !is_empty(value));
    html! {
        @match parameters.map(|value| (value, value.as_str())) {
            None => (page::nothing("The execution has no parameters.")),
            Some((_, Some(size))) => p.dim { "The parameters have " (size) ". " a href=(all) download { "Download them" } },
            Some((value, None)) => { p.dim { "Parameters of execution " (page::execution(execution)) } (app.masks.show(value, Some(&all))) },
        }
        @if let Some(value) = attributes { p.dim { "Attributes" } (app.masks.show(value, None)) }
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
        let refuses = fields.get("how") == Some("fail");
        match refuses {
            true => input.error = Some(json!({"type": "refused", "message": fields.need("why")?})),
            false => input.payload = schema::read(wait.schema.as_ref(), "answer", &fields)?,
        }
        match app.act(&viewer, async |session| Engine::signal(session, wait.execution, input).await).await? {
            SignalState::Delivered if refuses => Ok(format!(
                "{} of execution {} was refused: task {} has failed",
                wait.signal_name, wait.execution, wait.task_name
            )),
            SignalState::Delivered => Ok(format!("{} of execution {} was answered", wait.signal_name, wait.execution)),
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
