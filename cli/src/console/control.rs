//! Actions on one execution or task, on a workflow, or on the clock.

use super::app::{App, Visit};
use super::definitions;
use super::execution;
use super::form::{Fields, encoded, number};
use super::guard::tell;
use super::problem::Problem;
use super::tasks;
use super::viewer::Viewer;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{Engine, RerunInput, SignalInput, SignalState, StartInput};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Pauses, resumes, cancels or reruns an execution, or sends it a signal.
pub async fn execution(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
    Path((id, action)): Path<(String, String)>,
) -> Response {
    let own = format!("/executions/{id}");
    let back = fields.get("back").unwrap_or(&own);
    match act(&app, &viewer, &fields, &id, &action).await {
        // What somebody has typed is shown again.
        Err(problem) if fields.get("form").is_some() => {
            let visit = Visit::again(&viewer, &own, &fields, problem);
            execution::show(State(app), Path(id), visit).await.into_response()
        }
        done => tell(back, done),
    }
}

async fn act(app: &App, viewer: &Viewer, fields: &Fields, id: &str, action: &str) -> Result<String, Problem> {
    let id = number(id)?;
    let reason = fields.get("reason");
    let status = match action {
        "pause" => app.act(viewer, async |session| Engine::pause(session, id, reason).await).await?,
        "resume" => app.act(viewer, async |session| Engine::resume(session, id, reason).await).await?,
        "cancel" => app.act(viewer, async |session| Engine::cancel(session, id, reason).await).await?,
        "force-cancel" => app.act(viewer, async |session| Engine::force_cancel(session, id, reason).await).await?,
        "rerun" => {
            let tasks: Vec<String> = fields.all("task").map(str::to_owned).collect();
            let input = RerunInput {
                tasks: Some(tasks).filter(|tasks| !tasks.is_empty()),
                routes: None,
                reset_items: fields.get("reset_items").is_some(),
                reason: reason.map(str::to_owned),
            };
            app.act(viewer, async |session| Engine::rerun(session, id, input).await).await?
        }
        "signal" => return signal(app, viewer, fields, id).await,
        _ => return Err(Problem::invalid(format!("there is no action {action}"))),
    };
    Ok(done(action, id, status))
}

/// Says what was done. What the execution does next is shown by its page, which changes with it.
fn done(action: &str, id: i64, status: ExecutionStatus) -> String {
    match (action, status) {
        ("pause", _) => format!("execution {id} was paused: running tasks continue, and no other task begins"),
        ("resume", _) => format!("execution {id} was resumed"),
        ("cancel", ExecutionStatus::Cancelled) => format!("execution {id} was cancelled"),
        ("cancel", _) => format!("the cancellation of execution {id} was requested"),
        ("force-cancel", _) => format!("execution {id} was cancelled by force"),
        ("rerun", status) if status.is_end() => {
            format!("the rerun of execution {id} was requested: it continues once its caller can continue the call")
        }
        _ => format!("execution {id} was rerun: it continues where it stopped"),
    }
}

async fn signal(app: &App, viewer: &Viewer, fields: &Fields, id: i64) -> Result<String, Problem> {
    let name = fields.need("signal")?.to_owned();
    let input = SignalInput { name: name.clone(), payload: fields.json("payload")?, ..SignalInput::default() };
    Ok(match app.act(viewer, async |session| Engine::signal(session, id, input).await).await? {
        SignalState::Delivered => format!("signal {name} was delivered"),
        SignalState::Kept => format!("signal {name} was kept for the next task that waits for it"),
    })
}

/// Marks a task as done.
pub async fn resolve(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
    Path(task): Path<String>,
) -> Response {
    let resolve = async |task: &str| {
        let task = number(task)?;
        let status = match fields.need("status")? {
            "failed" => ExecutionStatus::Failed,
            _ => ExecutionStatus::Completed,
        };
        let result = fields.json("result")?;
        app.act(&viewer, async |session| {
            Engine::resolve(session, task, status, result.as_ref(), fields.get("reason")).await
        })
        .await?;
        Ok(format!("task {task} was resolved: it counts as {status}"))
    };
    match (resolve(&task).await, fields.get("execution")) {
        (Err(problem), Some(execution)) => {
            let address = format!("/executions/{}/tasks/{}", encoded(execution), encoded(&task));
            let visit = Visit::again(&viewer, &address, &fields, problem);
            tasks::show(State(app), Path((execution.to_owned(), task)), visit).await.into_response()
        }
        (done, _) => tell(fields.get("back").unwrap_or("/"), done),
    }
}

/// Processes what is due.
pub async fn tick(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let done = app.act(&viewer, async |session| Engine::tick(session, 1000, None).await).await;
    tell(fields.get("back").unwrap_or("/"), done.map(|rows| format!("tick: {rows} things were due")))
}

/// Starts an execution of a workflow, with the parameters of a form.
pub async fn start(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
    Path(name): Path<String>,
) -> Response {
    let started = async {
        let parameters = fields.json("parameters")?.unwrap_or(Value::Object(Map::new()));
        let input = StartInput {
            r#ref: name.clone(),
            parameters,
            idempotency_key: fields.get("key").map(str::to_owned),
            ..StartInput::default()
        };
        app.act(&viewer, async |session| Engine::start(session, input).await).await
    };
    let problem = match started.await {
        Ok(Some(id)) => return tell(&format!("/executions/{id}"), Ok(format!("execution {id} of {name} has started"))),
        Ok(None) => {
            let message = format!("no execution of {name} has started: its concurrency allows no more");
            Problem::new(StatusCode::CONFLICT, message)
        }
        Err(problem) => problem,
    };
    let visit = Visit::again(&viewer, &format!("/definitions/{}", encoded(&name)), &fields, problem);
    definitions::show(State(app), Path(name), visit).await.into_response()
}
