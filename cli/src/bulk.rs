//! `pg-workflow bulk`: applies one operation to all executions that match a filter.

use crate::connect::{Connection, wait_for};
use crate::control::{any, parameter, time};
use crate::exit_status::{Ending, Failure};
use crate::inspect::status_of;
use crate::jobs;
use crate::output::{self, count};
use crate::progress::Progress;
use chrono::{DateTime, Utc};
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{BulkOperation, Engine, SearchFilter};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use sqlx::postgres::types::PgRange;
use std::ops::Bound;

/// How many executions one call of the search examines when only counting.
const PAGE: i32 = 10_000;

/// Apply one operation to all executions that match, however many there are
///
/// Creates a job and prints its id; each tick of the server processes a step of the job. `pg-workflow jobs` shows its
/// progress, stops it and resumes it. Executions that are started later are not affected.
#[derive(clap::Args)]
#[command(override_usage = "pg-workflow bulk [OPTIONS] <ACTION> <WHICH EXECUTIONS>…")]
pub struct Arguments {
    /// The operation
    #[arg(value_name = "ACTION")]
    action: Action,
    /// The reason, which is stored with the events
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// cancel: end them at once, without handlers, undo and finally
    #[arg(long)]
    force: bool,
    /// rerun: only this task; repeatable
    #[arg(long, value_name = "NAME")]
    task: Vec<String>,
    /// rerun: also rerun the successful items of tasks
    #[arg(long)]
    reset_items: bool,
    /// signal: the name that a task waits for
    #[arg(long, value_name = "NAME", required_if_eq("action", "signal"))]
    name: Option<String>,
    /// signal: the payload, as YAML or JSON or the name of a file
    #[arg(long, value_name = "MAP|FILE")]
    payload: Option<String>,
    /// Only print how many executions match
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until the job has ended; exit status 1 if it did not complete, or was refused for some executions
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
}

/// The operation of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    Pause,
    Resume,
    Cancel,
    Rerun,
    Signal,
    /// Delete those that have ended
    Prune,
}

/// Selects the executions that match every given filter.
#[derive(clap::Args)]
#[command(next_help_heading = "Which executions")]
#[group(required = true, multiple = true)]
struct Filter {
    /// Those of this workflow
    #[arg(long, value_name = "REF")]
    workflow: Option<String>,
    /// Those in this status; repeatable
    #[arg(long, value_name = "STATUS", value_parser = status_of)]
    status: Vec<ExecutionStatus>,
    /// Those with this attribute; the value is JSON, or else text; repeatable
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = parameter)]
    attributes: Vec<(String, Value)>,
    /// Those whose first error has this code or type
    #[arg(long, value_name = "CODE")]
    error_code: Option<String>,
    /// Those with this text in an error message
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Those with a failed task, whatever their status
    #[arg(long)]
    failed_task: bool,
    /// Those created at this time or later, such as 2030-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    created_after: Option<DateTime<Utc>>,
    /// Those created before
    #[arg(long, value_name = "TIME", value_parser = time)]
    created_before: Option<DateTime<Utc>>,
    /// Those that ended at this time or later
    #[arg(long, value_name = "TIME", value_parser = time)]
    ended_after: Option<DateTime<Utc>>,
    /// Those that ended before
    #[arg(long, value_name = "TIME", value_parser = time)]
    ended_before: Option<DateTime<Utc>>,
}

impl Filter {
    fn search(&self) -> SearchFilter {
        let range = |after: Option<DateTime<Utc>>, before: Option<DateTime<Utc>>| {
            let start = after.map_or(Bound::Unbounded, Bound::Included);
            let end = before.map_or(Bound::Unbounded, Bound::Excluded);
            (after.is_some() || before.is_some()).then_some(PgRange { start, end })
        };
        SearchFilter {
            workflow: self.workflow.clone(),
            statuses: (!self.status.is_empty()).then(|| self.status.clone()),
            attributes: (!self.attributes.is_empty()).then(|| self.attributes.iter().cloned().collect()),
            created: range(self.created_after, self.created_before),
            ended: range(self.ended_after, self.ended_before),
            error_code: self.error_code.clone(),
            text: self.text.clone(),
            has_failed_task: self.failed_task.then_some(true),
        }
    }

    /// Returns the filter as `workflow_apply` takes it.
    fn value(&self) -> Value {
        let range = |after: Option<DateTime<Utc>>, before: Option<DateTime<Utc>>| {
            let bound = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339()).unwrap_or_default();
            (after.is_some() || before.is_some()).then(|| format!("[{},{})", bound(after), bound(before)))
        };
        let attributes: Map<String, Value> = self.attributes.iter().cloned().collect();
        let statuses: Vec<&str> = self.status.iter().map(|status| status.as_str()).collect();
        let fields = [
            ("workflow", self.workflow.clone().map(Value::from)),
            ("statuses", (!statuses.is_empty()).then(|| json!(statuses))),
            ("attributes", (!attributes.is_empty()).then_some(Value::Object(attributes))),
            ("created", range(self.created_after, self.created_before).map(Value::from)),
            ("ended", range(self.ended_after, self.ended_before).map(Value::from)),
            ("error_code", self.error_code.clone().map(Value::from)),
            ("text", self.text.clone().map(Value::from)),
            ("has_failed_task", self.failed_task.then_some(Value::Bool(true))),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

impl Arguments {
    fn operation(&self) -> BulkOperation {
        match self.action {
            Action::Pause => BulkOperation::Pause,
            Action::Resume => BulkOperation::Resume,
            Action::Cancel => BulkOperation::Cancel,
            Action::Rerun => BulkOperation::Rerun,
            Action::Signal => BulkOperation::Signal,
            Action::Prune => BulkOperation::Prune,
        }
    }

    /// Returns the options given for the action. The server knows which of them it accepts.
    fn arguments(&self) -> Result<Value, Failure> {
        let payload = self.payload.as_deref().map(|given| any(given, "the payload")).transpose()?;
        let fields = [
            ("reason", self.reason.clone().map(Value::from)),
            ("force", self.force.then_some(Value::Bool(true))),
            ("tasks", (!self.task.is_empty()).then(|| json!(self.task))),
            ("reset_items", self.reset_items.then_some(Value::Bool(true))),
            ("name", self.name.clone().map(Value::from)),
            ("payload", payload),
        ];
        Ok(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    }
}

/// Creates a job, or only counts the executions that it would affect.
pub fn run(arguments: Arguments) -> crate::Ended {
    let given = arguments.arguments()?;
    wait_for(async {
        let mut session = arguments.connection.open().await?;
        if arguments.dry_run {
            let found = matching(&mut session, &arguments.filter.search()).await?;
            output::line(&format!("{} would be processed", count(found, "execution")));
            return Ok(Ending::Good);
        }
        let job = Engine::apply(&mut session, arguments.operation(), &arguments.filter.value(), &given).await?;
        if !arguments.wait {
            output::print(&format!("{job}\n"));
            return Ok(Ending::Good);
        }
        let ended = jobs::wait_until_ended(&mut session, job).await?;
        jobs::tell_end(&ended);
        Ok(jobs::ending(&ended))
    })?
}

/// Returns how many executions match.
async fn matching(session: &mut PgConnection, filter: &SearchFilter) -> Result<usize, Failure> {
    let mut progress = Progress::counting("counting executions");
    let (mut found, mut after) = (0, None);
    loop {
        let page = Engine::search(&mut *session, filter, PAGE, after.as_deref()).await?;
        found += page.iter().filter(|row| row.execution.is_some()).count();
        progress.set(found as u64);
        match page.into_iter().last() {
            Some(last) => after = Some(last.cursor),
            None => return Ok(found),
        }
    }
}
