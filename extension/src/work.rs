//! The work protocol's entry points: reports come in, answers and the next tasks go out.

use crate::advance::Advance;
use crate::claim::{Asking, missing};
use crate::error::Error;
use crate::finish::{Reporter, finish, report_own};
use crate::jsonb::Jsonb;
use crate::report::{Answer, Outcome};
use crate::write::Handed;
use crate::{clock, dispatch, plans};
use pgrx::datum::{AnyElement, Interval, TimestampWithTimeZone};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// So many reports a call takes.
const MOST_OUTCOMES: usize = 10_000;

/// Claims what there is still room for.
fn claim(client: &SpiClient, asking: &Asking) -> Result<Vec<Handed>, Error> {
    let arguments = [
        asking.worker.as_str().into(),
        (asking.wanted as i32).into(),
        asking.actions.clone().into(),
        asking.lease.into(),
        asking.parts.clone().into(),
    ];
    let mut rows = plans::run(client, include_str!("../queries/claim.sql"), &arguments)?;
    let mut claimed = Vec::with_capacity(rows.len());
    while rows.next().is_some() {
        claimed.push(Handed {
            task: rows.get::<i64>(1)?.unwrap_or_default(),
            lease: rows.get::<i64>(2)?.unwrap_or_default(),
            workflow_execution: rows.get::<i64>(3)?.unwrap_or_default(),
            task_name: rows.get::<String>(4)?.unwrap_or_default(),
            task_index: rows.get::<i32>(5)?,
            action: rows.get::<String>(6)?,
            input: rows.get::<Jsonb>(7)?,
            attempt: rows.get::<i32>(8)?.unwrap_or_default(),
        });
    }
    Ok(claimed)
}

/// The reports, if they are not too many for one call.
fn read(outcomes: Option<AnyElement>) -> Result<Vec<Outcome>, Error> {
    let outcomes = Outcome::read_all(outcomes.ok_or_else(|| missing("outcomes"))?)?;
    match outcomes.len() {
        0..=MOST_OUTCOMES => Ok(outcomes),
        more => Err(Error::refused("WF614", "too many outcomes", "report at most 10000 at once")
            .with_detail(format!("there are {more}"))),
    }
}

/// A row of an answer: what came of a report, or a task that was claimed.
type AnswerRow = (
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<i32>,
    Option<String>,
    Option<Jsonb>,
    Option<i32>,
    Option<TimestampWithTimeZone>,
);

fn answered(answer: Answer) -> AnswerRow {
    let (code, message) = answer.refusal.map(|refusal| (refusal.code.to_owned(), refusal.message)).unzip();
    (answer.task, answer.lease, answer.state, code, message, None, None, None, None, None, None, None)
}

fn claimed(task: Handed, until: TimestampWithTimeZone) -> AnswerRow {
    (
        Some(task.task),
        Some(task.lease),
        Some("claimed".to_owned()),
        None,
        None,
        Some(task.workflow_execution),
        Some(task.task_name),
        task.task_index,
        task.action,
        task.input,
        Some(task.attempt),
        Some(until),
    )
}

/// `workflow.finish` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_finish(
    outcomes: Option<AnyElement>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(task, Option<i64>),
            name!(lease_token, Option<i64>),
            name!(state, Option<String>),
            name!(code, Option<String>),
            name!(message, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let (outcomes, now) = (read(outcomes)?, clock::now()?);
    let (answers, _) = Spi::connect(|client| finish(client, outcomes, now, Reporter::Worker, None))?;
    let rows = answers.into_iter().map(|answer| {
        let (task, lease, state, code, message, ..) = answered(answer);
        (task, lease, state, code, message)
    });
    Ok(TableIterator::new(rows))
}

/// `workflow.finish_and_claim` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_finish_and_claim(
    worker: Option<String>,
    outcomes: Option<AnyElement>,
    max_tasks: Option<i32>,
    actions: Option<Vec<Option<String>>>,
    lease: Option<Interval>,
    parts: Option<Vec<Option<i32>>>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(task, Option<i64>),
            name!(lease_token, Option<i64>),
            name!(state, Option<String>),
            name!(code, Option<String>),
            name!(message, Option<String>),
            name!(workflow_execution, Option<i64>),
            name!(task_name, Option<String>),
            name!(task_index, Option<i32>),
            name!(action, Option<String>),
            name!(input, Option<Jsonb>),
            name!(attempt, Option<i32>),
            name!(lease_until, Option<TimestampWithTimeZone>),
        ),
    >,
    ErrorReport,
> {
    let mut asking = Asking::check(worker, max_tasks, actions, lease, parts)?;
    let (outcomes, now) = (read(outcomes)?, clock::now()?);
    let most = asking.wanted;
    let (answers, handed) = Spi::connect(|client| {
        let (answers, mut handed) = match outcomes.is_empty() {
            true => (Vec::new(), Vec::new()),
            false => finish(client, outcomes, now, Reporter::Worker, Some(&mut asking))?,
        };
        asking.wanted = most - handed.len();
        if asking.wanted > 0 {
            handed.extend(claim(client, &asking)?);
        }
        Ok::<_, Error>((answers, handed))
    })?;
    let until = asking.until(now);
    let answers = answers.into_iter().map(answered);
    Ok(TableIterator::new(answers.chain(handed.into_iter().map(move |task| claimed(task, until)))))
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
