//! `pg-workflow list, status, why, events, tasks, tree`: looks at executions.

mod drawing;
mod graph;
mod timeline;

pub use graph::{Graph, Layer, draw as graph, layers as graph_layers};
pub use timeline::{Timeline, show as timeline};

use crate::connect::{Connection, wait_for};
use crate::exit_status::{Ending, Failure};
use crate::output::{self, Style, styled, visible};
use crate::table::{self, cell, optional, table};
use futures::TryStreamExt;
use pg_workflow_client::model::{Event, ExecutionStatus};
use pg_workflow_client::{
    Engine, ExecutionFilter, ExecutionSummary, Page, Reason, Result, Row, TaskDetail, TreeRow, WorkflowStatus, walk,
};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use std::time::Duration;

/// Maximum number of rows that the server returns per call.
const PAGE: i32 = 1000;

/// Prints rows as JSON, or as a table.
pub fn print<T: Serialize>(
    json: bool,
    rows: &[T],
    head: &[&str],
    cells: impl Fn(&T) -> Vec<table::Cell>,
) -> crate::Ended {
    if json {
        let text = serde_json::to_string_pretty(rows).map_err(Failure::unusable)?;
        output::print(&format!("{text}\n"));
    } else {
        let rows: Vec<Vec<table::Cell>> = rows.iter().map(cells).collect();
        output::print(&table(head, &rows));
    }
    Ok(Ending::Good)
}

/// Returns up to this many rows, page by page.
pub async fn rows<T: Row>(
    most: usize,
    fetch: impl AsyncFnMut(Page) -> Result<Vec<T>>,
) -> std::result::Result<Vec<T>, Failure> {
    let page = Page::of(PAGE.min(i32::try_from(most).unwrap_or(PAGE)).max(1));
    let mut all = Vec::new();
    let mut stream = std::pin::pin!(walk(page, fetch));
    while all.len() < most {
        match stream.try_next().await? {
            Some(row) => all.push(row),
            None => break,
        }
    }
    Ok(all)
}

/// List executions, newest first
#[derive(clap::Args)]
pub struct List {
    /// Only those of this workflow
    #[arg(long, value_name = "REF")]
    workflow: Option<String>,
    /// Only those in this status; repeatable
    #[arg(long, value_name = "STATUS", value_parser = status_of)]
    status: Vec<ExecutionStatus>,
    /// Only those that are paused
    #[arg(long)]
    paused: bool,
    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print only ids, one on each line
    #[arg(long, conflicts_with = "json")]
    ids: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Reads a status.
pub fn status_of(text: &str) -> std::result::Result<ExecutionStatus, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = ExecutionStatus::ALL.iter().map(|status| status.as_str()).collect();
        format!("there is no such status; known ones are {}", known.join(", "))
    })
}

/// Lists executions.
pub fn list(arguments: List) -> crate::Ended {
    let filter = ExecutionFilter {
        workflow_ref: arguments.workflow.clone(),
        statuses: Some(arguments.status.clone()).filter(|statuses| !statuses.is_empty()),
        paused: arguments.paused.then_some(true),
    };
    let found: Vec<ExecutionSummary> = wait_for(async {
        let mut session = arguments.connection.open().await?;
        rows(arguments.limit, async |page| Engine::list_executions(&mut session, &filter, page).await).await
    })??;
    if arguments.ids {
        found.iter().for_each(|row| output::print(&format!("{}\n", row.execution)));
        return Ok(Ending::Good);
    }
    let head = ["ID", "WORKFLOW", "VERSION", "STATUS", "TASKS", "STARTED", "ERROR"];
    print(arguments.json, &found, &head, |row| {
        let done = row.completed_task_count + row.failed_task_count + row.skipped_task_count;
        vec![
            cell(row.execution),
            cell(&row.workflow_ref),
            cell(&row.workflow_version),
            table::status(if row.paused && !row.status.is_end() { "paused" } else { row.status.as_str() }),
            cell(format!("{done}/{}", done + row.current_task_count)),
            cell(table::time(row.created)),
            optional(row.error_message.as_ref()),
        ]
    })
}

/// Reads the id of an execution.
pub fn execution_id(text: &str) -> std::result::Result<i64, String> {
    text.parse().map_err(|_| "it is not the id of an execution".to_owned())
}

/// One execution, and how to print it.
#[derive(clap::Args)]
pub struct One {
    /// The execution
    #[arg(value_name = "ID", value_parser = execution_id)]
    execution: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// One execution, and how many rows to print of it.
#[derive(clap::Args)]
pub struct Many {
    /// How many rows at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1000)]
    limit: usize,
    #[command(flatten)]
    one: One,
}

/// Show the status of an execution
#[derive(clap::Args)]
pub struct Status {
    /// Wait until it has ended; exit status 1 if it did not complete
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    one: One,
}

/// Shows the status of an execution.
pub fn status(arguments: Status) -> crate::Ended {
    let One { execution, json, connection } = arguments.one;
    let status = wait_for(async {
        let mut session = connection.open().await?;
        match arguments.wait {
            true => wait_until_ended(&mut session, execution).await,
            false => Ok(Engine::status(&mut session, execution).await?),
        }
    })??;
    if json {
        let text = serde_json::to_string_pretty(&status).map_err(Failure::unusable)?;
        output::print(&format!("{text}\n"));
    } else {
        output::print(&describe(&status));
    }
    let failed = arguments.wait && status.status != ExecutionStatus::Completed;
    Ok(if failed { Ending::Bad } else { Ending::Good })
}

/// Waits for the end of an execution, however long it takes.
pub async fn wait_until_ended(
    session: &mut PgConnection,
    execution: i64,
) -> std::result::Result<WorkflowStatus, Failure> {
    loop {
        let status = Engine::wait(&mut *session, execution, Duration::from_secs(60)).await?;
        if status.ended {
            return Ok(status);
        }
    }
}

/// Returns the first line about an execution.
pub fn headline(status: &WorkflowStatus) -> String {
    let word = styled(output::style_of(status.status.as_str()), status.status.as_str());
    let paused = match (status.paused && !status.ended, &status.pause_reason) {
        (false, _) => String::new(),
        (true, None) => styled(Style::Yellow, " paused"),
        (true, Some(why)) => format!("{} ({})", styled(Style::Yellow, " paused"), visible(why)),
    };
    let name = styled(Style::Bold, &visible(&status.workflow_ref));
    let last = if status.ended { format!(", ended after {}", span(status)) } else { String::new() };
    format!("{name} {}: {word}{paused}, started {}{last}\n", status.execution, table::time(status.created))
}

fn span(status: &WorkflowStatus) -> String {
    let took = (status.updated - status.created).to_std().unwrap_or_default();
    match took.as_secs() {
        0..60 => format!("{:.1}s", took.as_secs_f64()),
        seconds => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

fn describe(status: &WorkflowStatus) -> String {
    let mut text = headline(status);
    let mut add = |name: &str, value: &str, style: Style| {
        if !value.is_empty() {
            text += &format!("  {name:<11}{}\n", styled(style, &visible(value)));
        }
    };
    add("running", &status.current_tasks.join(", "), Style::Blue);
    add("completed", &status.completed_tasks.join(", "), Style::Green);
    add("failed", &status.failed_tasks.join(", "), Style::Red);
    add("skipped", &status.skipped_tasks.join(", "), Style::Dim);
    add("closing", &status.closing_tasks.join(", "), Style::Yellow);
    add("undo", status.undo.as_deref().unwrap_or_default(), Style::Plain);
    let value = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
    add("parameters", &value(&status.parameters), Style::Plain);
    add("variables", &value(&Some(status.variables.clone())), Style::Plain);
    add("output", &value(&status.output), Style::Plain);
    add("key", status.idempotency_key.as_deref().unwrap_or_default(), Style::Plain);
    add("error", status.error_message.as_deref().unwrap_or_default(), Style::Red);
    text
}

/// Explain what an execution is waiting for, or how it ended
#[derive(clap::Args)]
pub struct Why {
    #[command(flatten)]
    one: One,
}

/// Explains what an execution is waiting for.
pub fn why(arguments: Why) -> crate::Ended {
    let One { execution, json, connection } = arguments.one;
    let reasons: Vec<Reason> = wait_for(async {
        let mut session = connection.open_local().await?;
        Ok::<_, Failure>(Engine::why(&mut session, execution, PAGE).await?)
    })??;
    if json {
        return print(true, &reasons, &[], |_| Vec::new());
    }
    for reason in &reasons {
        output::line(&reason.to_string());
        if let Some(hint) = &reason.hint {
            output::print(&format!("  {}: {}\n", styled(Style::Bold, "hint"), visible(hint)));
        }
    }
    Ok(Ending::Good)
}

/// List the events of an execution, oldest first
#[derive(clap::Args)]
pub struct Events {
    #[command(flatten)]
    many: Many,
}

/// Lists events.
pub fn events(arguments: Events) -> crate::Ended {
    let Many { one: One { execution, json, connection }, limit } = arguments.many;
    let events: Vec<Event> = wait_for(async {
        let mut session = connection.open().await?;
        rows(limit, async |page| Engine::list_events(&mut session, execution, page).await).await
    })??;
    print(json, &events, &["TIME", "EVENT", "TASK", "BY", "MESSAGE"], event_cells)
}

/// Returns the row of an event.
pub fn event_cells(event: &Event) -> Vec<table::Cell> {
    let index = event.task_index.map(|index| format!("[{index}]")).unwrap_or_default();
    let task = event.task_name.as_ref().map(|name| format!("{name}{index}"));
    vec![
        cell(table::time(event.created)),
        table::status(&event.kind),
        optional(task),
        optional(event.author.as_ref()),
        optional(event.message.as_ref()),
    ]
}

/// List the tasks of an execution, with their inputs, results and errors
#[derive(clap::Args)]
pub struct Tasks {
    #[command(flatten)]
    many: Many,
}

/// Lists tasks.
pub fn tasks(arguments: Tasks) -> crate::Ended {
    let Many { one: One { execution, json, connection }, limit } = arguments.many;
    let tasks: Vec<TaskDetail> = wait_for(async {
        let mut session = connection.open().await?;
        rows(limit, async |page| Engine::list_tasks(&mut session, execution, page).await).await
    })??;
    let head = ["ID", "TASK", "STATUS", "ACTION", "ATTEMPT", "WORKER", "INPUT", "RESULT"];
    print(json, &tasks, &head, |task| {
        let value = |value: &Option<Value>| value.as_ref().map(|value| table::shortened(&value.to_string(), 60));
        let result = value(&task.error.clone().or_else(|| task.result.clone()).or_else(|| task.progress.clone()));
        vec![
            cell(task.task),
            cell(task.title()),
            table::status(task.summary),
            optional(task.action.as_ref().or(task.signal.as_ref())),
            cell(task.attempt),
            optional(task.worker.as_ref()),
            optional(value(&task.input)),
            optional(result),
        ]
    })
}

/// List an execution and those that it has called
#[derive(clap::Args)]
pub struct Tree {
    #[command(flatten)]
    many: Many,
}

/// Lists the tree of calls.
pub fn tree(arguments: Tree) -> crate::Ended {
    let Many { one: One { execution, json, connection }, limit } = arguments.many;
    let tree: Vec<TreeRow> = wait_for(async {
        let mut session = connection.open().await?;
        let most = i32::try_from(limit).unwrap_or(10_000).clamp(1, 10_000);
        Ok::<_, Failure>(Engine::tree(&mut session, execution, most).await?)
    })??;
    print(json, &tree, &["ID", "WORKFLOW", "STATUS", "TASK", "STARTED"], |row| {
        let index = row.task_index.map(|index| format!("[{index}]")).unwrap_or_default();
        vec![
            cell(row.execution),
            cell(&row.tree),
            table::status(if row.paused && !row.status.is_end() { "paused" } else { row.status.as_str() }),
            optional(row.task_name.as_ref().map(|name| format!("{name}{index}"))),
            cell(table::time(row.created)),
        ]
    })
}
