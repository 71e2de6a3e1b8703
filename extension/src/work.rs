//! The work protocol's entry points: reports come in, answers and the next tasks go out.

use crate::advance::Advance;
use crate::claim::{Asking, claim};
use crate::error::Error;
use crate::finish::{Finished, Reporter, finish, report_own};
use crate::jsonb::Jsonb;
use crate::report::{Answer, Outcome, Refusal};
use crate::row_set::{RowSet, column};
use crate::write::{Handed, Leases, turn_leases};
use crate::{clock, dispatch, given, refused};
use pgrx::datum::{AnyElement, Interval, TimestampWithTimeZone};
use pgrx::pg_sys::Datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::collections::BTreeMap;

/// So many reports a call takes.
const MOST_OUTCOMES: usize = 10_000;

/// The reports, if they are not too many for one call.
fn read(outcomes: Option<AnyElement>) -> Result<Vec<Outcome>, Error> {
    let outcomes = Outcome::read_all(outcomes.ok_or_else(|| Error::missing("outcomes"))?)?;
    match outcomes.len() {
        0..=MOST_OUTCOMES => Ok(outcomes),
        more => Err(Error::refused("WF614", "too many outcomes", "report at most 10000 at once")
            .with_detail(format!("there are {more}"))),
    }
}

/// Adds what came of a report, to rows that begin with the columns of `workflow_finish`.
fn answer<const N: usize>(rows: &mut RowSet, answer: Answer) {
    let (code, message) = answer.refusal.map(|refusal| (refusal.code, refusal.message)).unzip();
    let columns = [column(answer.task), column(answer.lease), column(answer.state), column(code), column(message)];
    let mut row = [None; N];
    row[..columns.len()].copy_from_slice(&columns);
    rows.push(row);
}

/// What a worker is to do, as columns.
fn work(task: Handed) -> [Option<Datum>; 6] {
    [
        column(task.workflow_execution),
        column(task.task_name),
        column(task.task_index),
        column(task.action),
        column(task.input),
        column(task.attempt),
    ]
}

/// Takes reports, and nothing else; gives an answer to each.
fn finish_all(outcomes: Vec<Outcome>) -> Result<Vec<Answer>, Error> {
    let now = clock::now()?;
    Spi::connect(|client| {
        let finished = finish(client, outcomes, now, Reporter::Worker, None)?;
        turn_leases(client, now, finished.leases, &[], None)?;
        Ok(finished.answers)
    })
}

/// `workflow_finish` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_finish(outcomes: Option<AnyElement>, fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    let mut rows = RowSet::of_call(fcinfo);
    let answers = finish_all(read(outcomes)?)?;
    refused::tell_answers(&answers, None)?;
    answers.into_iter().for_each(|one| answer::<5>(&mut rows, one));
    Ok(())
}

/// `workflow_claim` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_claim(
    worker: Option<String>,
    max_tasks: Option<i32>,
    actions: Option<Vec<Option<String>>>,
    lease: Option<Interval>,
    parts: Option<Vec<Option<i32>>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let mut rows = RowSet::of_call(fcinfo);
    let asking = Asking::check(worker, max_tasks, actions, lease, parts)?;
    let now = clock::now()?;
    Spi::connect(|client| {
        let claimed = claim(client, now, &asking, &mut Leases::new())?;
        given::note(&claimed);
        turn_leases(client, now, Leases::new(), &claimed, Some(&asking))?;
        for task in claimed {
            let (id, lease) = (column(task.task), column(task.lease));
            let [run, name, index, action, input, attempt] = work(task);
            rows.push([id, lease, run, name, index, action, input, attempt, column(asking.until(now))]);
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
    actions: Option<Vec<Option<String>>>,
    lease: Option<Interval>,
    parts: Option<Vec<Option<i32>>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let mut rows = RowSet::of_call(fcinfo);
    let mut asking = Asking::check(worker, max_tasks, actions, lease, parts)?;
    let (outcomes, now) = (read(outcomes)?, clock::now()?);
    let most = asking.wanted;
    Spi::connect(|client| {
        let Finished { answers, handed: mut tasks, mut leases } = match outcomes.is_empty() {
            true => Finished::default(),
            false => finish(client, outcomes, now, Reporter::Worker, Some(&mut asking))?,
        };
        (asking.wanted, asking.is_served) = (most - tasks.len(), !tasks.is_empty());
        if asking.wanted > 0 {
            tasks.extend(claim(client, now, &asking, &mut leases)?);
        }
        given::note(&tasks);
        turn_leases(client, now, leases, &tasks, Some(&asking))?;
        refused::tell_answers(&answers, Some(&asking.worker))?;
        answers.into_iter().for_each(|one| answer::<12>(&mut rows, one));
        for task in tasks {
            let (id, lease, state) = (column(task.task), column(task.lease), column("claimed"));
            let [run, name, index, action, input, attempt] = work(task);
            let until = column(asking.until(now));
            rows.push([id, lease, state, None, None, run, name, index, action, input, attempt, until]);
        }
        Ok::<_, Error>(())
    })?;
    Ok(())
}

/// Takes one report; a refusal is an error.
fn finish_one(outcome: Outcome) -> Result<Option<String>, Error> {
    let task = outcome.task.ok_or_else(|| Error::missing("task"))?;
    outcome.lease.ok_or_else(|| Error::missing("lease_token"))?;
    let answer = finish_all(vec![outcome])?.into_iter().next();
    match answer.map(|answer| (answer.state, answer.refusal)) {
        Some((_, Some(Refusal { code, message }))) => {
            if code == refused::CODE {
                refused::log(&[task]);
            }
            let hint = match code {
                "WF615" => "stop working on it: it was given to another worker, or has ended",
                "WF616" => "give the id and the lease that workflow_claim gave",
                "WF618" => "use workflow_update_task_execution",
                _ => "mend the report and send it again",
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
) -> Result<Option<String>, ErrorReport> {
    let status = Some("completed".to_owned());
    Ok(finish_one(Outcome::of_worker((task, lease_token), status, result, None, (None, None)))?)
}

/// `workflow_fail` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_fail(
    task: Option<i64>,
    lease_token: Option<i64>,
    error: Option<Jsonb>,
    status: Option<String>,
    result: Option<Jsonb>,
    may_retry: Option<bool>,
    retry_in: Option<Interval>,
) -> Result<Option<String>, ErrorReport> {
    if !matches!(status.as_deref(), Some("failed" | "timeout" | "abandoned" | "cancelled")) {
        let given: String = status.as_deref().unwrap_or("null").chars().take(100).collect();
        let hint = "give failed, timeout, abandoned or cancelled";
        Err(Error::out_of_range("a failed task cannot end so", format!("status is {given}"), hint))?;
    }
    Ok(finish_one(Outcome::of_worker((task, lease_token), status, result, error, (may_retry, retry_in)))?)
}

/// What the engine itself reports: `workflow.end_tasks` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_end_tasks(outcomes: AnyElement, now: TimestampWithTimeZone) -> Result<(), ErrorReport> {
    let outcomes = Outcome::read_all(outcomes)?;
    Spi::connect(|client| finish(client, outcomes, now, Reporter::Engine, None))?;
    Ok(())
}

/// Goes on with tasks that no worker does: `workflow.dispatch` in `sql/work.sql`. Their executions are locked.
#[pg_extern(sql = false)]
fn workflow_dispatch(tasks: Vec<i64>, runs: Vec<i64>, now: TimestampWithTimeZone) -> Result<(), ErrorReport> {
    Spi::connect(|client| {
        let mut advance = Advance::new(client, now, BTreeMap::new());
        advance.load(runs)?;
        let reports = dispatch::begin(&mut advance, &tasks)?;
        report_own(&mut advance, reports)?;
        advance.settle(None)
    })?;
    Ok(())
}
