//! Tasks: those of an execution, counted by name and one by one, and one with all its data.

use super::app::{App, Visit};
use super::download::file;
use super::form::{Fields, encoded, number};
use super::page::{self, Page};
use super::problem::Problem;
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use pg_workflow_client::model::{ExecutionStatus, TaskStatus};
use pg_workflow_client::{Engine, Page as Range, TaskDetail, TaskFilter, TaskOverview};
use sqlx::PgPool;
use std::sync::Arc;

/// Number of tasks per page.
const ROWS: i32 = 50;

/// Returns the tasks requested by an address.
pub async fn list(pool: &PgPool, id: i64, fields: &Fields) -> Result<Markup, Problem> {
    let status = |text: &str| text.parse().map_err(|_| Problem::invalid(format!("there is no status {text}")));
    let filter = TaskFilter {
        task_name: fields.get("task").map(str::to_owned),
        summary: fields.get("task_status").map(status).transpose()?,
    };
    let range = Range { max_rows: ROWS, after: fields.number("tasks_after")? };
    let rows = Engine::list_task_overviews(pool, id, &filter, range).await?;
    let path = format!("/executions/{id}");
    let next = rows.last().filter(|_| rows.len() >= ROWS as usize).map(|row| row.task.to_string());
    let link = |replaced: &[(&str, Option<&str>)]| format!("{}#tasks", fields.address(&path, replaced));
    Ok(html! {
        p.filters {
            @if let Some(name) = &filter.task_name { span.tag { (name) " " a href=(link(&[("task", None), ("tasks_after", None)])) aria-label="All tasks" { "×" } } }
            @for status in TaskStatus::ALL {
                @let here = filter.summary == Some(*status);
                a.chip href=(link(&[("task_status", (!here).then_some(status.as_str())), ("tasks_after", None)])) aria-current=[here.then_some("true")] { (status.as_str()) }
            }
        }
        @if rows.is_empty() { (page::nothing("No task matches.")) } @else { (table(id, &rows)) }
        nav.pages aria-label="Tasks" {
            @if range.after.is_some() { a href=(link(&[("tasks_after", None)])) { "First tasks" } }
            @if let Some(next) = &next { a href=(link(&[("tasks_after", Some(next))])) { "More tasks" } }
        }
    })
}

fn table(id: i64, tasks: &[TaskOverview]) -> Markup {
    let rows = html! { @for task in tasks {
        tr {
            td { a href=(format!("/executions/{id}/tasks/{}", task.task)) { (task.task_name) @if let Some(index) = task.task_index { "[" (index) "]" } } }
            td { (page::status(task.summary.as_str())) @if task.status.as_str() != task.summary.as_str() { " " span.dim { (task.status.as_str()) } } }
            td {
                @if let Some(child) = task.child_execution { (page::execution(child)) }
                @else if let Some(action) = &task.action { code { (action) } }
            }
            td.number { @if task.max_retries > 0 { (task.retry_count) " of " (task.max_retries) } }
            td { (page::maybe_time(task.started_at)) }
            td { (page::maybe_time(task.completed_at)) }
        }
    } };
    page::table("Tasks", &["Task", "Status", "Action or call", "#Retries", "Started", "Ended"], &rows)
}

/// Finds a task of an execution.
async fn find(pool: &PgPool, execution: i64, task: i64) -> Result<TaskDetail, Problem> {
    let range = Range { max_rows: 1, after: Some(task - 1) };
    let found = Engine::list_tasks(pool, execution, range).await?.pop().filter(|found| found.task == task);
    found.ok_or_else(|| Problem::missing(format!("execution {execution} has no task {task}")))
}

/// Shows a task.
pub async fn show(
    State(app): State<Arc<App>>,
    Path((execution, task)): Path<(String, String)>,
    visit: Visit,
) -> Result<Response, Problem> {
    let (execution, task) = (number(&execution)?, number(&task)?);
    app.show(&visit, async |pool| {
        let task = find(pool, execution, task).await?;
        // A failure can be resolved while the execution closes, and that of an undo even afterwards.
        let resolvable = match task.status {
            _ if is_waiting(task.status) => true,
            ExecutionStatus::Failed | ExecutionStatus::Timeout | ExecutionStatus::Abandoned => {
                task.undoes.is_some() || !Engine::status_at_a_glance(pool, execution, 0).await?.ended
            }
            _ => false,
        };
        Ok(body(&app, &visit, execution, &task, resolvable))
    })
    .await
}

/// Whether a task waits for a worker, its time, a retry or a signal.
fn is_waiting(status: ExecutionStatus) -> bool {
    use ExecutionStatus::{Requested, Scheduled, Scheduling};
    matches!(status, Requested | Scheduling | Scheduled)
}

fn body(app: &App, visit: &Visit, execution: i64, task: &TaskDetail, resolvable: bool) -> Page {
    let address = format!("/executions/{execution}/tasks/{}", task.task);
    let values = [
        ("input", "Input", &task.input),
        ("result", "Result", &task.result),
        ("error", "Error", &task.error),
        ("progress", "Progress", &task.progress),
    ];
    let facts = html! {
        dl.facts {
            dt { "Status" } dd {
                (page::status(task.summary.as_str()))
                @if task.status.as_str() != task.summary.as_str() { " " span.dim { (task.status.as_str()) } }
            }
            @if let Some(action) = &task.action { dt { "Action" } dd { code { (action) } } }
            @if let Some(signal) = &task.signal { dt { "Signal" } dd { code { (page::text(signal)) } } }
            @if let Some(child) = task.child_execution { dt { "Calls" } dd { (page::execution(child)) } }
            dt { "Attempts" } dd { (task.attempt) }
            @if task.max_retries > 0 { dt { "Retries" } dd { (task.retry_count) " of " (task.max_retries) } }
            @if let Some(worker) = &task.worker { dt { "Worker" } dd { (page::text(worker)) } }
            @if task.closing { dt { "Closing" } dd { "it closes the execution" } }
            @if let Some(undoes) = task.undoes { dt { "Undoes" } dd { a href=(format!("/executions/{execution}/tasks/{undoes}")) { "task " (undoes) } } }
            dt { "Created" } dd { (page::time(task.created)) }
            dt { "Started" } dd { (page::maybe_time(task.started_at)) }
            dt { "Ended" } dd { (page::maybe_time(task.completed_at)) }
        }
    };
    let sent = visit.sent("resolve");
    let body = html! {
        p.crumbs { a href="/executions" { "Executions" } " / " (page::execution(execution)) " / " a href=(format!("/executions/{execution}?task={}#tasks", encoded(&task.task_name))) { (task.task_name) } }
        h1 { (page::text(&task.title())) }
        (page::card("facts", "Task", &facts))
        @for (what, name, value) in values {
            @if let Some(value) = value { (page::card(what, name, &app.masks.show(value, Some(&format!("{address}/data/{what}"))))) }
        }
        @if !app.read_only && (resolvable || sent.is_some()) {
            (page::card("resolve", "Resolve by hand", &html! {
                p.dim { "Counts a task as done that is waiting, or that has failed while its execution closes. An event records who did it." }
                (sent.form("resolve", &format!("/tasks/{}/resolve", task.task), &address, html! {
                    (page::hidden("execution", &execution.to_string()))
                    div.bulk {
                        label { "As" select name="status" { option { "completed" } option selected[sent.chose("status", "failed", false)] { "failed" } } }
                        label { "Result (JSON; null if empty)" input name="result" value=[sent.value("result", None)]; }
                        label { "Reason" input name="reason" maxlength="500" value=[sent.value("reason", None)]; }
                        button data-confirm="Let this task count as done?" { "Resolve" }
                    }
                }))
            }))
        }
    };
    Page::new(task.title(), body)
}

/// Returns one of its values as a file.
pub async fn data(
    State(app): State<Arc<App>>,
    Path((execution, task, what)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let found = find(&app.pool, number(&execution)?, number(&task)?).await?;
    let value = match what.as_str() {
        "input" => found.input,
        "result" => found.result,
        "error" => found.error,
        "progress" => found.progress,
        _ => None,
    };
    file(&app, value, &format!("{task}-{what}.json"))
}
