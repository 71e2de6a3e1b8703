//! Defining, starting and executing workflows. Each method calls one SQL function.

use crate::Result;
use crate::model::{Action, ExecutionStatus, WorkflowDefinition};
use crate::page::Page;
use crate::trace;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::postgres::types::PgInterval;
use sqlx::types::Json;
use sqlx::{FromRow, PgExecutor, Row, query, query_as, query_scalar};
use std::time::Duration;

mod attributes;
mod bulk;
mod by_key;
mod console;
mod control;
mod definition;
mod hook;
mod limit;
mod listing;
mod monitoring;
mod part;
mod privilege;
mod schedule;
mod search;
mod signal;
mod status;
mod ticker;
mod work;

pub use bulk::{BulkAnswer, BulkJob, BulkJobStatus, BulkOperation};
pub use by_key::ExecutionKey;
pub use console::{DefinitionVersion, ExecutionRate, TaskCount, TaskFilter, TaskOverview};
pub use control::{Archive, RerunInput};
pub use definition::{Finding, GraphFormat, RegisterActionInput, Severity, StartInput, StartManyInput, TestResult};
pub use listing::{ExecutionFilter, ExecutionSummary, TaskDetail};
pub use monitoring::{
    ActionSummary, ClaimDetail, ExecutionCount, OverdueSummary, QueueSummary, WorkerSummary, WorkflowSummary,
};
pub use part::{Arriving, PartPlace};
pub use privilege::Level;
pub use search::{FoundExecution, SearchFilter};
pub use signal::{SignalInput, SignalState, Wait, WaitFilter};
pub use status::{BrokenInvariant, Reason, TreeRow, WorkflowStatus};
pub use work::{Answer, ClaimInput, ClaimedTask, Heartbeat, LeaseState, Outcome, Refused, ReportedState};

/// Lists the columns of a definition by name, so that a column added by an extension upgrade causes no trouble.
const DEFINE: &str = "SELECT id, ref, pack, pack_ref, label, description, version, param_schema, out_schema, definition, \
     tags, enabled, current_version, created, updated FROM pg_catalog.workflow_define(source => $1)";

const REGISTER_ACTION: &str = "SELECT id, ref, pack, pack_ref, label, description, entrypoint, runtime, param_schema, \
     out_schema, is_workflow, workflow_def, limits, created, updated \
     FROM pg_catalog.workflow_register_action(ref => $1, label => $2, description => $3, entrypoint => $4, \
     runtime => $5, param_schema => $6, out_schema => $7, limits => $8)";

const CLAIM: &str = "SELECT task, lease_token, execution, task_name, task_index, action, input, attempt, \
     lease_until, deadline, last_error, progress, traceparent FROM pg_catalog.workflow_claim(worker => $1, max_tasks => $2, actions => $3, lease => $4, parts => $5)";

/// Builds the outcomes from nine parallel arrays, $1 to $9. A single array of the composite type would need its OID.
macro_rules! outcomes {
    () => {
        "outcomes => coalesce((SELECT array_agg(ROW(o.task, o.lease_token, o.status::workflow.execution_status, \
         o.result, o.error, o.may_retry, o.retry_in, o.hold_for, o.progress)::workflow.outcome ORDER BY o.place) \
         FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::jsonb[], $5::jsonb[], $6::boolean[], $7::interval[], \
         $8::jsonb[], $9::interval[]) \
         WITH ORDINALITY AS o (task, lease_token, status, result, error, may_retry, retry_in, progress, hold_for, place)), '{}')"
    };
}

const FINISH: &str =
    concat!("SELECT task, lease_token, state, code, message FROM pg_catalog.workflow_finish(", outcomes!(), ")");

const FINISH_AND_CLAIM: &str = concat!(
    "SELECT task, lease_token, state, code, message, execution, task_name, task_index, action, input, attempt, \
     lease_until, deadline, last_error, progress, traceparent FROM pg_catalog.workflow_finish_and_claim(worker => $10, ",
    outcomes!(),
    ", max_tasks => $11, actions => $12, lease => $13, parts => $14)"
);

/// Namespace for the engine's functions. Like a repository, it holds no data.
pub struct Engine;

impl Engine {
    /// Returns all findings for a definition (YAML or JSON text), in source order.
    pub async fn validate<'e>(executor: impl PgExecutor<'e>, source: &str) -> Result<Vec<Finding>> {
        Ok(query_as(
            "SELECT code, severity, category, message, hint, path, task, expression, line, \"column\" \
             FROM pg_catalog.workflow_validate(source => $1)",
        )
        .bind(source)
        .fetch_all(executor)
        .await?)
    }

    /// Runs a definition in memory, with the answers of a test script in place of workers, and compares the outcome
    /// with the script's expectations. An invalid definition or script is refused with the code of its first error.
    pub async fn test<'e>(executor: impl PgExecutor<'e>, source: &str, script: &Value) -> Result<Vec<TestResult>> {
        Ok(query_as(
            "SELECT test, passed, differences, extract(epoch FROM took)::float8 AS took \
             FROM pg_catalog.workflow_test(source => $1, script => $2)",
        )
        .bind(source)
        .bind(Json(script))
        .fetch_all(executor)
        .await?)
    }

    /// Stores a definition as the new version of its workflow. An invalid definition is refused with the code of its
    /// first error, and the detail holds all findings as JSON.
    pub async fn define<'e>(executor: impl PgExecutor<'e>, source: &str) -> Result<WorkflowDefinition> {
        Ok(query_as(DEFINE).bind(source).fetch_one(executor).await?)
    }

    /// Registers an action that workers can execute. If the ref exists, all its properties are replaced.
    pub async fn register_action<'e>(executor: impl PgExecutor<'e>, input: RegisterActionInput) -> Result<Action> {
        Ok(query_as(REGISTER_ACTION)
            .bind(input.r#ref)
            .bind(input.label)
            .bind(input.description)
            .bind(input.entrypoint)
            .bind(input.runtime)
            .bind(input.param_schema)
            .bind(input.out_schema)
            .bind(input.limits)
            .fetch_one(executor)
            .await?)
    }

    /// Starts one execution of a workflow and returns its id. The same idempotency key returns the same execution.
    /// Returns `None` if the start was skipped because the maximum number of executions allowed by the workflow's
    /// `concurrency` are already running.
    ///
    /// With the feature `opentelemetry`, the start has a span of its own, which becomes the execution's parent, unless
    /// the input has a traceparent.
    pub async fn start<'e>(executor: impl PgExecutor<'e>, input: StartInput) -> Result<Option<i64>> {
        if input.traceparent.is_some() {
            return start(executor, input).await;
        }
        let workflow = input.r#ref.clone();
        let call = async move |traceparent| start(executor, StartInput { traceparent, ..input }).await;
        trace::send(&workflow, 1, call).await
    }

    /// Starts up to 10,000 executions of one workflow at once and returns their ids in order, with `None` for each one
    /// that was skipped. If any parameters are invalid, none is started. Traced like [`Engine::start`], with one span
    /// for all.
    pub async fn start_many<'e>(executor: impl PgExecutor<'e>, input: StartManyInput) -> Result<Vec<Option<i64>>> {
        if input.traceparents.is_some() {
            return start_many(executor, input).await;
        }
        let (workflow, count) = (input.r#ref.clone(), input.parameters.len());
        let call = async move |traceparent: Option<String>| {
            let traceparents = traceparent.map(|one| vec![Some(one); count]);
            start_many(executor, StartManyInput { traceparents, ..input }).await
        };
        trace::send(&workflow, count, call).await
    }

    /// Claims tasks that are ready, each with a lease.
    pub async fn claim<'e>(executor: impl PgExecutor<'e>, input: &ClaimInput) -> Result<Vec<ClaimedTask>> {
        Ok(query_as(CLAIM)
            .bind(&input.worker)
            .bind(input.max_tasks)
            .bind(&input.actions)
            .bind(interval(input.lease))
            .bind(&input.parts)
            .fetch_all(executor)
            .await?)
    }

    /// Reports that a task has completed.
    pub async fn complete<'e>(
        executor: impl PgExecutor<'e>,
        task: i64,
        lease_token: i64,
        result: Option<&Value>,
    ) -> Result<ReportedState> {
        Ok(query_scalar("SELECT pg_catalog.workflow_complete(task => $1, lease_token => $2, result => $3)")
            .bind(task)
            .bind(lease_token)
            .bind(result.map(Json))
            .fetch_one(executor)
            .await?)
    }

    /// Reports that a task has failed, or ended in the other unsuccessful status that the outcome gives.
    pub async fn fail<'e>(executor: impl PgExecutor<'e>, outcome: &Outcome) -> Result<ReportedState> {
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_fail(task => $1, lease_token => $2, error => $3, status => $4, result => $5, \
             may_retry => $6, retry_in => $7, progress => $8, hold_for => $9)",
        )
        .bind(outcome.task)
        .bind(outcome.lease_token)
        .bind(outcome.error.as_ref().map(Json))
        .bind(outcome.status.as_str())
        .bind(outcome.result.as_ref().map(Json))
        .bind(outcome.may_retry)
        .bind(outcome.retry_in.map(interval))
        .bind(outcome.progress.as_ref().map(Json))
        .bind(outcome.hold_for.map(interval))
        .fetch_one(executor)
        .await?)
    }

    /// Reports up to 10,000 outcomes and returns one answer per outcome, in the same order. A refused report does not
    /// affect the others.
    pub async fn finish<'e>(executor: impl PgExecutor<'e>, outcomes: &[Outcome]) -> Result<Vec<Answer>> {
        let columns = Columns::of(outcomes);
        Ok(query_as(FINISH)
            .bind(columns.tasks)
            .bind(columns.lease_tokens)
            .bind(columns.statuses)
            .bind(columns.results)
            .bind(columns.errors)
            .bind(columns.may_retry)
            .bind(columns.retry_in)
            .bind(columns.progress)
            .bind(columns.hold_for)
            .fetch_all(executor)
            .await?)
    }

    /// Combines `finish` and `claim` in one round trip and one commit. Tasks that follow from the reports are handed
    /// over immediately.
    pub async fn finish_and_claim<'e>(
        executor: impl PgExecutor<'e>,
        outcomes: &[Outcome],
        input: &ClaimInput,
    ) -> Result<(Vec<Answer>, Vec<ClaimedTask>)> {
        let columns = Columns::of(outcomes);
        let rows = query(FINISH_AND_CLAIM)
            .bind(columns.tasks)
            .bind(columns.lease_tokens)
            .bind(columns.statuses)
            .bind(columns.results)
            .bind(columns.errors)
            .bind(columns.may_retry)
            .bind(columns.retry_in)
            .bind(columns.progress)
            .bind(columns.hold_for)
            .bind(&input.worker)
            .bind(input.max_tasks)
            .bind(&input.actions)
            .bind(interval(input.lease))
            .bind(&input.parts)
            .fetch_all(executor)
            .await?;
        let (mut answers, mut claimed) = (Vec::new(), Vec::new());
        for row in &rows {
            match row.try_get::<Option<&str>, _>("state")? {
                Some("claimed") => claimed.push(ClaimedTask::from_row(row)?),
                _ => answers.push(Answer::from_row(row)?),
            }
        }
        Ok((answers, claimed))
    }

    /// Extends the leases of tasks, each given with its lease token, and returns, in the same order, which are still
    /// held.
    pub async fn heartbeat<'e>(
        executor: impl PgExecutor<'e>,
        leases: &[(i64, i64)],
        lease: Duration,
    ) -> Result<Vec<Heartbeat>> {
        let (tasks, tokens): (Vec<i64>, Vec<i64>) = leases.iter().copied().unzip();
        Ok(query_as(
            "SELECT task, state FROM pg_catalog.workflow_heartbeat(tasks => $1, lease_tokens => $2, lease => $3)",
        )
        .bind(tasks)
        .bind(tokens)
        .bind(interval(lease))
        .fetch_all(executor)
        .await?)
    }

    /// Extends leases like [`Engine::heartbeat`], and stores the progress of each task; `None` leaves it unchanged.
    pub async fn heartbeat_with_progress<'e>(
        executor: impl PgExecutor<'e>,
        leases: &[(i64, i64)],
        progress: &[Option<Value>],
        lease: Duration,
    ) -> Result<Vec<Heartbeat>> {
        let (tasks, tokens): (Vec<i64>, Vec<i64>) = leases.iter().copied().unzip();
        let progress: Vec<Option<Json<&Value>>> = progress.iter().map(|value| value.as_ref().map(Json)).collect();
        Ok(query_as(
            "SELECT task, state FROM pg_catalog.workflow_heartbeat(tasks => $1, lease_tokens => $2, lease => $3, \
             progress => $4)",
        )
        .bind(tasks)
        .bind(tokens)
        .bind(interval(lease))
        .bind(progress)
        .fetch_all(executor)
        .await?)
    }

    /// Announces, on a listener's connection, that its worker is idle, so that sessions that queue tasks of these
    /// actions notify the channel `pg_workflow`. `None` means all actions; an empty list ends the announcement. Returns
    /// when to look for tasks held back by the rate or the hold of a limit, which are not announced, or `None` if there
    /// are none.
    pub async fn announce_idle<'e>(
        executor: impl PgExecutor<'e>,
        actions: Option<&[&str]>,
    ) -> Result<Option<Duration>> {
        let seconds: Option<f64> =
            query_scalar("SELECT extract(epoch FROM pg_catalog.workflow_announce_idle(actions => $1))::float8")
                .bind(actions)
                .fetch_one(executor)
                .await?;
        Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
    }

    /// Processes work that has become due, up to `max_rows` (1 to 10,000) of each kind, in these parts or everywhere.
    /// Returns how much was done; call it again while that is not 0.
    pub async fn tick<'e>(executor: impl PgExecutor<'e>, max_rows: i32, parts: Option<&[i32]>) -> Result<i32> {
        Ok(query_scalar("SELECT pg_catalog.workflow_tick(max_rows => $1, parts => $2)")
            .bind(max_rows)
            .bind(parts)
            .fetch_one(executor)
            .await?)
    }

    /// Returns an execution and those that it has called, up to `max_rows`, in call order.
    pub async fn tree<'e>(executor: impl PgExecutor<'e>, execution_id: i64, max_rows: i32) -> Result<Vec<TreeRow>> {
        Ok(query_as(
            "SELECT execution, parent, depth, tree, workflow_ref, task_name, task_index, status, paused, created, \
             updated FROM pg_catalog.workflow_tree(execution_id => $1, max_rows => $2)",
        )
        .bind(execution_id)
        .bind(max_rows)
        .fetch_all(executor)
        .await?)
    }

    /// Sends a signal to an execution. The task waiting for it completes, with the payload as its result.
    pub async fn signal<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        input: SignalInput,
    ) -> Result<SignalState> {
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_signal(execution_id => $1, name => $2, payload => $3, key => $4, error => $5)",
        )
        .bind(execution_id)
        .bind(input.name)
        .bind(input.payload.map(Json))
        .bind(input.key)
        .bind(input.error.map(Json))
        .fetch_one(executor)
        .await?)
    }

    /// Sends a signal to the execution of a workflow that was started with an idempotency key in part 0.
    pub async fn signal_by_key<'e>(
        executor: impl PgExecutor<'e>,
        r#ref: &str,
        idempotency_key: &str,
        input: SignalInput,
    ) -> Result<SignalState> {
        Ok(query_scalar(
            "SELECT pg_catalog.workflow_signal_by_key(ref => $1, idempotency_key => $2, name => $3, payload => $4, \
             key => $5, error => $6)",
        )
        .bind(r#ref)
        .bind(idempotency_key)
        .bind(input.name)
        .bind(input.payload.map(Json))
        .bind(input.key)
        .bind(input.error.map(Json))
        .fetch_one(executor)
        .await?)
    }

    /// Extends the waits of an execution for a signal by their heartbeat. Returns when the first of them times out, or
    /// `None` if its clock is stopped by a pause.
    pub async fn extend_wait<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        signal: &str,
    ) -> Result<Option<DateTime<Utc>>> {
        Ok(query_scalar("SELECT pg_catalog.workflow_extend_wait(execution_id => $1, signal => $2)")
            .bind(execution_id)
            .bind(signal)
            .fetch_one(executor)
            .await?)
    }

    /// Returns tasks that are waiting for signals, ordered by id.
    pub async fn list_waits<'e>(executor: impl PgExecutor<'e>, filter: &WaitFilter, page: Page) -> Result<Vec<Wait>> {
        Ok(query_as(
            "SELECT task, execution, workflow_ref, task_name, task_index, signal_name, input, schema, since, until \
             FROM pg_catalog.workflow_list_waits(signal => $1, execution_id => $2, max_rows => $3, after => $4)",
        )
        .bind(&filter.signal)
        .bind(filter.execution_id)
        .bind(page.max_rows)
        .bind(page.after)
        .fetch_all(executor)
        .await?)
    }

    /// Settles a task that waits, or that has failed while its execution closes, by counting it as completed or failed.
    pub async fn resolve<'e>(
        executor: impl PgExecutor<'e>,
        task: i64,
        status: ExecutionStatus,
        result: Option<&Value>,
        reason: Option<&str>,
    ) -> Result<()> {
        query("SELECT pg_catalog.workflow_resolve(task => $1, status => $2, result => $3, reason => $4)")
            .bind(task)
            .bind(status.as_str())
            .bind(result.map(Json))
            .bind(reason)
            .execute(executor)
            .await?;
        Ok(())
    }

    /// Returns the current version of a workflow as a diagram.
    pub async fn graph<'e>(executor: impl PgExecutor<'e>, r#ref: &str, format: GraphFormat) -> Result<String> {
        Ok(query_scalar("SELECT pg_catalog.workflow_graph(ref => $1, format => $2)")
            .bind(r#ref)
            .bind(format.as_str())
            .fetch_one(executor)
            .await?)
    }

    /// Returns the graph that an execution runs as a diagram, with tasks colored by status.
    pub async fn execution_graph<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        format: GraphFormat,
    ) -> Result<String> {
        Ok(query_scalar("SELECT pg_catalog.workflow_graph(execution_id => $1, format => $2)")
            .bind(execution_id)
            .bind(format.as_str())
            .fetch_one(executor)
            .await?)
    }

    /// Returns up to `max_rows` broken invariants; none if all is well. Reads all data.
    pub async fn check<'e>(executor: impl PgExecutor<'e>, max_rows: i32) -> Result<Vec<BrokenInvariant>> {
        Ok(query_as("SELECT invariant, subject, id, detail FROM pg_catalog.workflow_check(max_rows => $1)")
            .bind(max_rows)
            .fetch_all(executor)
            .await?)
    }
}

async fn start<'e>(executor: impl PgExecutor<'e>, input: StartInput) -> Result<Option<i64>> {
    Ok(query_scalar(
        "SELECT pg_catalog.workflow_start(ref => $1, parameters => $2, idempotency_key => $3, priority => $4, \
         run_at => $5, part => $6, attributes => $7, traceparent => $8)",
    )
    .bind(input.r#ref)
    .bind(Json(input.parameters))
    .bind(input.idempotency_key)
    .bind(input.priority)
    .bind(input.run_at)
    .bind(input.part)
    .bind(input.attributes.map(Json))
    .bind(input.traceparent)
    .fetch_one(executor)
    .await?)
}

async fn start_many<'e>(executor: impl PgExecutor<'e>, input: StartManyInput) -> Result<Vec<Option<i64>>> {
    Ok(query_scalar(
        "SELECT started.id FROM pg_catalog.workflow_start_many(ref => $1, parameters => $2, \
         idempotency_keys => $3, priority => $4, run_at => $5, part => $6, attributes => $7, traceparents => $8) \
         WITH ORDINALITY AS started (id, place) ORDER BY started.place",
    )
    .bind(input.r#ref)
    .bind(input.parameters.into_iter().map(Json).collect::<Vec<_>>())
    .bind(input.idempotency_keys)
    .bind(input.priority)
    .bind(input.run_at)
    .bind(input.part)
    .bind(input.attributes.map(|all| all.into_iter().map(|given| given.map(Json)).collect::<Vec<_>>()))
    .bind(input.traceparents)
    .fetch_all(executor)
    .await?)
}

/// Outcomes in columnar form.
#[derive(Default)]
struct Columns<'o> {
    tasks: Vec<i64>,
    lease_tokens: Vec<i64>,
    statuses: Vec<&'static str>,
    results: Vec<Option<Json<&'o Value>>>,
    errors: Vec<Option<Json<&'o Value>>>,
    may_retry: Vec<Option<bool>>,
    retry_in: Vec<Option<PgInterval>>,
    progress: Vec<Option<Json<&'o Value>>>,
    hold_for: Vec<Option<PgInterval>>,
}

impl<'o> Columns<'o> {
    fn of(outcomes: &'o [Outcome]) -> Columns<'o> {
        let mut columns = Columns::default();
        for outcome in outcomes {
            columns.tasks.push(outcome.task);
            columns.lease_tokens.push(outcome.lease_token);
            columns.statuses.push(outcome.status.as_str());
            columns.results.push(outcome.result.as_ref().map(Json));
            columns.errors.push(outcome.error.as_ref().map(Json));
            columns.may_retry.push(outcome.may_retry);
            columns.retry_in.push(outcome.retry_in.map(interval));
            columns.progress.push(outcome.progress.as_ref().map(Json));
            columns.hold_for.push(outcome.hold_for.map(interval));
        }
        columns
    }
}

/// Converts a duration to a PostgreSQL interval. A duration that does not fit becomes the longest interval, which the
/// server refuses.
fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}

/// Decoded by hand, because one column determines the meaning of the others.
impl FromRow<'_, PgRow> for Answer {
    fn from_row(row: &PgRow) -> sqlx::Result<Answer> {
        let state = match row.try_get::<Option<String>, _>("code")? {
            Some(code) => Err(Refused { code, message: row.try_get("message")? }),
            None => Ok(row.try_get("state")?),
        };
        Ok(Answer { task: row.try_get("task")?, lease_token: row.try_get("lease_token")?, state })
    }
}
