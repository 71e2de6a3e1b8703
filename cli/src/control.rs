//! `pg-workflow start, signal, pause, resume, cancel, rerun`: changes executions.

use crate::connect::{Connection, wait_for};
use crate::exit_status::{Ending, Failure};
use crate::explore;
use crate::inspect;
use crate::output;
use crate::progress::Progress;
use chrono::{DateTime, Utc};
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{BulkAnswer, Engine, RerunInput, SignalInput, SignalState, StartInput};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use std::io::Read;

/// Number of executions per call: few enough not to hold locks for long.
const AT_ONCE: usize = 200;

/// Start an execution of a workflow, and print its id
#[derive(clap::Args)]
pub struct Start {
    /// The workflow
    #[arg(value_name = "REF")]
    workflow: String,
    /// The parameters, as YAML or JSON or the name of a file; - is standard input
    #[arg(long, value_name = "MAP|FILE")]
    parameters: Option<String>,
    /// One parameter; the value is JSON if possible, otherwise text; repeatable
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE", value_parser = parameter)]
    single: Vec<(String, Value)>,
    /// Idempotency key: the same key returns the same execution instead of starting another one
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// -1000 to 1000; higher goes first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// When its first tasks may begin, such as 2030-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<DateTime<Utc>>,
    /// The part that its rows belong to; by default, its key determines it, or the server chooses
    #[arg(long, value_name = "N")]
    part: Option<i32>,
    /// One attribute to find it by; the value is JSON if possible, otherwise text; repeatable
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = parameter)]
    attributes: Vec<(String, Value)>,
    /// Wait until it has ended, and print its output; exit status 1 if it did not complete
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Reads `name=value`.
pub fn parameter(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    if name.trim().is_empty() {
        return Err("there is no name before the =: write it as name=value".to_owned());
    }
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// Reads a time.
pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| "write it with its time zone, such as 2030-01-31T08:00:00Z".to_owned())
}

/// Starts an execution.
pub fn start(arguments: Start) -> crate::Ended {
    let mut parameters = match &arguments.parameters {
        None => Value::Object(Map::new()),
        Some(given) => explore::map(given, "the parameters")?,
    };
    match &mut parameters {
        Value::Object(parameters) => parameters.extend(arguments.single.clone()),
        _ => return Err(Failure::unusable("the parameters must be a map")),
    }
    let input = StartInput {
        r#ref: arguments.workflow.clone(),
        parameters,
        idempotency_key: arguments.key.clone(),
        priority: arguments.priority,
        run_at: arguments.at,
        part: arguments.part,
        attributes: (!arguments.attributes.is_empty()).then(|| arguments.attributes.iter().cloned().collect()),
        traceparent: std::env::var("TRACEPARENT").ok(),
    };
    wait_for(async {
        let mut session = arguments.connection.open().await?;
        let Some(execution) = Engine::start(&mut session, input).await? else {
            output::print("skipped: the workflow's maximum number of executions is already running\n");
            return Ok(Ending::Good);
        };
        output::print(&format!("{execution}\n"));
        if !arguments.wait {
            return Ok(Ending::Good);
        }
        let status = inspect::wait_until_ended(&mut session, execution).await?;
        if status.status == ExecutionStatus::Completed {
            output::print(&format!("{}\n", status.output.unwrap_or_default()));
            return Ok(Ending::Good);
        }
        let why = status.error_message.map(|why| format!(": {why}")).unwrap_or_default();
        Err(Failure::refused(format!("execution {execution} ended {}{why}", status.status)))
    })?
}

/// Send a signal to an execution
#[derive(clap::Args)]
pub struct Signal {
    /// The execution
    #[arg(value_name = "ID", value_parser = crate::inspect::execution_id)]
    execution: i64,
    /// The name that a task waits for
    name: String,
    /// The payload, as YAML or JSON or the name of a file; - is standard input
    #[arg(long, value_name = "MAP|FILE", conflicts_with = "error")]
    payload: Option<String>,
    /// Make the waiting task fail with this error instead, as YAML or JSON or the name of a file; - is standard input
    #[arg(long, value_name = "MAP|FILE")]
    error: Option<String>,
    /// Signals with the same name and key count once
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Sends a signal.
pub fn signal(arguments: Signal) -> crate::Ended {
    let read = |given: &Option<String>, what: &str| given.as_deref().map(|given| any(given, what)).transpose();
    let input = SignalInput {
        name: arguments.name.clone(),
        payload: read(&arguments.payload, "the payload")?,
        key: arguments.key.clone(),
        error: read(&arguments.error, "the error")?,
    };
    wait_for(async {
        let mut session = arguments.connection.open().await?;
        let state = Engine::signal(&mut session, arguments.execution, input).await?;
        output::line(match state {
            SignalState::Delivered => "delivered",
            SignalState::Kept => "kept for the next task that waits for it",
        });
        Ok(Ending::Good)
    })?
}

/// Reads any value: JSON if it can be parsed as such, otherwise a map or the name of a file.
pub fn any(given: &str, what: &str) -> Result<Value, Failure> {
    serde_json::from_str(given).or_else(|_| explore::map(given, what))
}

/// Executions, and the reason for an action on them.
#[derive(clap::Args)]
pub struct Executions {
    /// The executions; - reads their ids from standard input
    #[arg(value_name = "ID", required = true)]
    executions: Vec<String>,
    /// The reason, which is stored with the event
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Executions {
    fn ids(&self) -> Result<Vec<i64>, Failure> {
        let mut words: Vec<String> = Vec::new();
        for given in &self.executions {
            match given.as_str() {
                "-" => {
                    let mut text = String::new();
                    std::io::stdin().read_to_string(&mut text).map_err(Failure::unusable)?;
                    words.extend(text.split_whitespace().map(str::to_owned));
                }
                id => words.push(id.to_owned()),
            }
        }
        let number =
            |word: String| word.parse().map_err(|_| Failure::unusable(format!("{word} is not the id of an execution")));
        words.into_iter().map(number).collect()
    }
}

/// Pause executions: none of their tasks can be claimed until they are resumed
#[derive(clap::Args)]
pub struct Pause {
    #[command(flatten)]
    on: Executions,
}

/// Resume paused executions
#[derive(clap::Args)]
pub struct Resume {
    #[command(flatten)]
    on: Executions,
}

/// Cancel executions: nothing new starts
#[derive(clap::Args)]
pub struct Cancel {
    /// End them immediately, without handlers, undo and finally
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    on: Executions,
}

/// Continue executions that ended unsuccessfully from where they stopped
#[derive(clap::Args)]
pub struct Rerun {
    /// Only this task; repeatable
    #[arg(long, value_name = "NAME")]
    task: Vec<String>,
    /// Also rerun the successful items of tasks
    #[arg(long)]
    reset_items: bool,
    #[command(flatten)]
    on: Executions,
}

/// Pauses executions.
pub fn pause(arguments: Pause) -> crate::Ended {
    each(
        &arguments.on,
        async |session, id, reason| Engine::pause(session, id, reason).await,
        async |session, ids, reason| Engine::pause_many(session, ids, reason).await,
    )
}

/// Resumes executions.
pub fn resume(arguments: Resume) -> crate::Ended {
    each(
        &arguments.on,
        async |session, id, reason| Engine::resume(session, id, reason).await,
        async |session, ids, reason| Engine::resume_many(session, ids, reason).await,
    )
}

/// Cancels executions.
pub fn cancel(arguments: Cancel) -> crate::Ended {
    each(
        &arguments.on,
        async |session, id, reason| match arguments.force {
            true => Engine::force_cancel(session, id, reason).await,
            false => Engine::cancel(session, id, reason).await,
        },
        async |session, ids, reason| Engine::cancel_many(session, ids, reason, arguments.force).await,
    )
}

/// Reruns executions.
pub fn rerun(arguments: Rerun) -> crate::Ended {
    let tasks = Some(arguments.task).filter(|tasks| !tasks.is_empty());
    let reset_items = arguments.reset_items;
    each(
        &arguments.on,
        async |session, id, reason| {
            let (tasks, reason) = (tasks.clone(), reason.map(str::to_owned));
            Engine::rerun(session, id, RerunInput { tasks, reset_items, routes: None, reason }).await
        },
        async |session, ids, reason| Engine::rerun_many(session, ids, tasks.as_deref(), reset_items, reason).await,
    )
}

/// Performs an action on executions: on a single one by itself, so that a refusal comes with detail and hint, or on
/// many per call. If it is refused for one, the others are not affected.
fn each(
    on: &Executions,
    one: impl AsyncFn(&mut PgConnection, i64, Option<&str>) -> pg_workflow_client::Result<ExecutionStatus>,
    many: impl AsyncFn(&mut PgConnection, &[i64], Option<&str>) -> pg_workflow_client::Result<Vec<BulkAnswer>>,
) -> crate::Ended {
    let ids = on.ids()?;
    let reason = on.reason.as_deref();
    wait_for(async {
        let mut session = on.connection.open().await?;
        if let [id] = ids[..] {
            let status = one(&mut session, id, reason).await;
            let status = status.map_err(|error| Failure::from(error).about(format!("execution {id}")))?;
            tell(id, status.as_str());
            return Ok(Ending::Good);
        }
        let mut ending = Ending::Good;
        let mut progress = Progress::of("executions", ids.len());
        for ids in ids.chunks(AT_ONCE) {
            for BulkAnswer { execution, answer, message, .. } in many(&mut session, ids, reason).await? {
                let id = execution.unwrap_or_default();
                progress.aside(|| match &answer {
                    Some(status) => tell(id, status),
                    None => output::error(&format!("execution {id}: {}", message.unwrap_or_default())),
                });
                ending = if answer.is_some() { ending } else { Ending::Bad };
                progress.one();
            }
        }
        Ok(ending)
    })?
}

fn tell(id: i64, status: &str) {
    // Without a reader, the other executions are still processed.
    output::print_if_read(&format!("{id} {}\n", output::styled(output::style_of(status), status)));
}
