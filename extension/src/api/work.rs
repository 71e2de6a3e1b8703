//! Entry points of the work protocol: they take reports, and return answers and the next tasks.

use crate::caller::Caller;
use crate::engine::claim::claim;
use crate::engine::finish::{Finished, finish};
use crate::engine::refused_leases;
use crate::engine::task_report::{Answer, TaskReport, WorkerReport};
use crate::error::{Error, Refusal};
use crate::pg::clock;
use crate::pg::jsonb::Jsonb;
use crate::pg::list::List;
use crate::pg::result_set::{RowSet, column};
use crate::queue::asking::Asking;
use crate::store::claimed_tasks;
use crate::store::reporter::Reporter;
use crate::store::{Handed, Leases, reuse_leases};
use conductor::code::Code;
use pgrx::datum::{AnyElement, Interval, TimestampWithTimeZone};
use pgrx::pg_sys::Datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

/// Maximum number of reports per call.
const MAX_OUTCOMES: usize = 10_000;

/// Reads the reports, unless there are too many for one call.
fn read(outcomes: Option<AnyElement>) -> Result<Vec<TaskReport>, Error> {
    let outcomes = TaskReport::read_all(outcomes.ok_or_else(|| Error::missing("outcomes"))?)?;
    match outcomes.len() {
        0..=MAX_OUTCOMES => Ok(outcomes),
        more => {
            Err(Error::refused(Code::LIMIT_EXCEEDED, "too many outcomes", "Report at most 10000 outcomes per call.")
                .with_detail(format!("There are {more}.")))
        }
    }
}

/// Adds the answer to a report to rows that begin with the columns of `workflow_finish`.
fn answer<const N: usize>(rows: &mut RowSet, answer: Answer) {
    let (code, message) = answer.refusal.map(|refusal| (refusal.code.to_string(), refusal.message)).unzip();
    let columns = [column(answer.task), column(answer.lease), column(answer.state), column(code), column(message)];
    let mut row = [None; N];
    row[..columns.len()].copy_from_slice(&columns);
    rows.push(row);
}

/// Returns the columns that describe a task to a worker.
fn work(task: Handed, until: TimestampWithTimeZone) -> [Option<Datum>; 12] {
    [
        column(task.execution),
        column(task.task_name),
        column(task.task_index),
        column(task.action),
        column(task.input),
        column(task.attempt),
        column(until),
        column(task.deadline),
        column(task.last_error),
        column(task.progress),
        column(task.traceparent.as_deref()),
        column(task.workflow.as_deref()),
    ]
}

/// Processes the reports of a caller. Reports on tasks in parts that the caller is not bound to, or that are not on
/// this server, are refused without looking at the task, so that the answer does not reveal whether it exists.
fn finish_own(
    client: &SpiClient,
    caller: &Caller,
    outcomes: Vec<TaskReport>,
    now: TimestampWithTimeZone,
    asking: Option<&mut Asking>,
) -> Result<Finished, Error> {
    let mut foreign = Vec::new();
    let mut own = Vec::with_capacity(outcomes.len());
    for (place, outcome) in outcomes.into_iter().enumerate() {
        match outcome.task.and_then(|task| caller.refusal(task)) {
            None => own.push(outcome),
            Some(refusal) => foreign.push((place, outcome.answer(Err(refusal)))),
        }
    }
    let mut finished = match own.is_empty() {
        true => Finished::default(),
        false => finish(client, own, now, Reporter::Worker(caller.role()), asking)?,
    };
    // In order, so that each is already in its place when those after it are inserted.
    foreign.into_iter().for_each(|(place, answer)| finished.answers.insert(place, answer));
    Ok(finished)
}

/// Processes reports without claiming, and returns an answer to each.
fn finish_all(caller: &Caller, outcomes: Vec<TaskReport>) -> Result<Vec<Answer>, Error> {
    let now = clock::now()?;
    Spi::connect(|client| {
        let finished = finish_own(client, caller, outcomes, now, None)?;
        reuse_leases(client, now, finished.leases, &[], None)?;
        Ok(finished.answers)
    })
}

/// `workflow_finish` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_finish(outcomes: Option<AnyElement>, fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    let caller = Caller::of_call(fcinfo)?;
    let mut rows = RowSet::of_call(fcinfo);
    let answers = finish_all(&caller, read(outcomes)?)?;
    refused_leases::record_refusals(caller.role(), &answers, None)?;
    answers.into_iter().for_each(|one| answer::<5>(&mut rows, one));
    Ok(())
}

/// `workflow_claim` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_claim(
    worker: Option<String>,
    max_tasks: Option<i32>,
    actions: Option<List<String>>,
    lease: Option<Interval>,
    parts: Option<List<i32>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let caller = Caller::of_call(fcinfo)?;
    let mut rows = RowSet::of_call(fcinfo);
    let asking = Asking::check(&caller, worker, max_tasks, actions, lease, parts)?;
    let now = clock::now()?;
    Spi::connect(|client| {
        let claimed = claim(client, now, &asking, &mut Leases::new())?;
        claimed_tasks::note(&claimed);
        reuse_leases(client, now, Leases::new(), &claimed, Some(&asking))?;
        for task in claimed {
            let (id, lease) = (column(task.task), column(task.lease));
            let mut row = [None; 14];
            row[..2].copy_from_slice(&[id, lease]);
            row[2..].copy_from_slice(&work(task, asking.until(now)));
            rows.push(row);
        }
        Ok::<_, Error>(())
    })?;
    Ok(())
}

/// `workflow_finish_and_claim` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_finish_and_claim(
    worker: Option<String>,
    outcomes: Option<AnyElement>,
    max_tasks: Option<i32>,
    actions: Option<List<String>>,
    lease: Option<Interval>,
    parts: Option<List<i32>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let caller = Caller::of_call(fcinfo)?;
    let mut rows = RowSet::of_call(fcinfo);
    let mut asking = Asking::check(&caller, worker, max_tasks, actions, lease, parts)?;
    let (outcomes, now) = (read(outcomes)?, clock::now()?);
    let most = asking.wanted;
    Spi::connect(|client| {
        let Finished { answers, handed: mut tasks, mut leases } =
            finish_own(client, &caller, outcomes, now, Some(&mut asking))?;
        (asking.wanted, asking.is_served) = (most - tasks.len(), !tasks.is_empty());
        if asking.wanted > 0 {
            tasks.extend(claim(client, now, &asking, &mut leases)?);
        }
        claimed_tasks::note(&tasks);
        reuse_leases(client, now, leases, &tasks, Some(&asking))?;
        refused_leases::record_refusals(caller.role(), &answers, Some(&asking.worker))?;
        answers.into_iter().for_each(|one| answer::<17>(&mut rows, one));
        for task in tasks {
            let mut row = [None; 17];
            row[..3].copy_from_slice(&[column(task.task), column(task.lease), column("claimed")]);
            row[5..].copy_from_slice(&work(task, asking.until(now)));
            rows.push(row);
        }
        Ok::<_, Error>(())
    })?;
    Ok(())
}

/// Processes one report; a refusal is returned as an error.
fn finish_one(caller: &Caller, report: WorkerReport) -> Result<Option<String>, Error> {
    let task = report.task.ok_or_else(|| Error::missing("task"))?;
    report.lease.ok_or_else(|| Error::missing("lease_token"))?;
    let answer = finish_all(caller, vec![TaskReport::of_worker(report)])?.into_iter().next();
    match answer.map(|answer| (answer.state, answer.refusal)) {
        Some((_, Some(Refusal { code, message }))) => {
            if code == Code::STALE_LEASE {
                refused_leases::log(caller.role(), &[task]);
            }
            let hint = match code {
                Code::STALE_LEASE => "Stop working on it: it has been given to another worker, or has ended.",
                Code::NOT_FOUND => "Pass the id and the lease token that workflow_claim returned.",
                Code::NOT_OWNER => "Use workflow_update_task_execution.",
                Code::PART_NOT_GRANTED => "Report only tasks in parts to which workflow_grant has bound the role.",
                Code::FOREIGN_PART => "Report it to the server that now has the part.",
                _ => "Fix the report and resend it.",
            };
            Err(Error::refused(code, message, hint))
        }
        answer => Ok(answer.and_then(|(state, _)| state)),
    }
}

/// `workflow_complete` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_complete(
    task: Option<i64>,
    lease_token: Option<i64>,
    result: Option<Jsonb>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Option<String>, ErrorReport> {
    let caller = Caller::of_call(fcinfo)?;
    let status = Some("completed".to_owned());
    let report = WorkerReport { task, lease: lease_token, status, result, ..WorkerReport::default() };
    Ok(finish_one(&caller, report)?)
}

/// `workflow_fail` in `sql/work.sql`.
#[pg_extern(sql = false)]
#[expect(clippy::too_many_arguments, reason = "they are those of the SQL function")]
fn workflow_fail(
    task: Option<i64>,
    lease_token: Option<i64>,
    error: Option<Jsonb>,
    status: Option<String>,
    result: Option<Jsonb>,
    may_retry: Option<bool>,
    retry_in: Option<Interval>,
    progress: Option<Jsonb>,
    hold_for: Option<Interval>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Option<String>, ErrorReport> {
    let caller = Caller::of_call(fcinfo)?;
    if !matches!(status.as_deref(), Some("failed" | "timeout" | "abandoned" | "cancelled")) {
        let given: String = status.as_deref().unwrap_or("null").chars().take(100).collect();
        let hint = "Use failed, timeout, abandoned or cancelled.";
        Err(Error::out_of_range("a failed task cannot have this status", format!("status is {given}."), hint))?;
    }
    let held = WorkerReport { task, lease: lease_token, ..WorkerReport::default() };
    Ok(finish_one(&caller, WorkerReport { status, result, error, may_retry, retry_in, hold_for, progress, ..held })?)
}
