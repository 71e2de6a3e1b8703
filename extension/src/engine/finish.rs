//! Reports of tasks: a batch in, every execution advanced once, the next tasks out.

use crate::cache::claimed_tasks;
use crate::cache::claimed_tasks::Place;
use crate::engine::advance::{Advance, read_some_runs};
use crate::engine::item_completion::Done;
use crate::engine::own_report::Reporter;
use crate::engine::report::{Answer, Outcome, complete, find_rows};
use crate::engine::reports::{States, Taken, is_of, judge, report_round};
use crate::engine::run::Run;
use crate::engine::settle::settle;
use crate::error::Error;
use crate::pg::id::{self, by_part};
use crate::pg::statements;
use crate::queue::asking::Asking;
use crate::store::{Handed, Leases, sort};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// What comes of reports.
#[derive(Default)]
pub struct Finished {
    /// An answer to each, in its place.
    pub answers: Vec<Answer>,
    /// What follows and was handed to the worker that asks.
    pub handed: Vec<Handed>,
    /// The leases that were reported with, and the tasks of each.
    pub leases: Leases,
}

/// Takes reports, advances their executions, and hands the asking worker what follows. Leases are yet to be written.
pub fn finish(
    client: &SpiClient,
    mut outcomes: Vec<Outcome>,
    now: TimestampWithTimeZone,
    reporter: Reporter,
    mut asking: Option<&mut Asking>,
) -> Result<Finished, Error> {
    let Loaded { runs, left } = load(client, now, &mut outcomes, reporter)?;
    let (answers, taken) = judge(&outcomes, &runs, &left, reporter);
    // What time does never waits, not for a heartbeat either: it leaves leases to their end.
    let leases = if reporter.is_worker() {
        let is_left = |outcome: &&Outcome| outcome.completed && is_of(outcome, &left);
        leases(taken.values().flatten().map(|report| report.outcome).chain(outcomes.iter().filter(is_left)))
    } else {
        Leases::new()
    };
    if let Some(asking) = asking.as_deref_mut() {
        asking.kept_tokens = claimed_tasks::take_whole(&leases);
    }
    let mut advance = Advance::new(client, now, runs);
    advance.reporter = reporter;
    let mut handed = Vec::new();
    let mut states = report(&mut advance, &taken, asking, &mut handed)?;
    if advance.has_withdrawn {
        correct(client, &mut states)?;
    }
    let answers = answers.into_iter().zip(&outcomes).map(|(answer, outcome)| {
        answer.unwrap_or_else(|| outcome.answer(Ok(states.get(&outcome.task).cloned().unwrap_or_default())))
    });
    Ok(Finished { answers: answers.collect(), handed, leases })
}

/// What was to be retried may have been withdrawn by what was reported after it.
fn correct(client: &SpiClient, states: &mut States) -> Result<(), Error> {
    let waiting = states.iter().filter(|(_, state)| *state == "retrying");
    let waiting: Vec<i64> = waiting.filter_map(|(task, _)| *task).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let mut rows = statements::run(client, include_str!("../../queries/find_ended.sql"), &[waiting.into()])?;
    while rows.next().is_some() {
        states.insert(rows.get::<i64>(1)?, rows.get::<String>(2)?.unwrap_or_default());
    }
    Ok(())
}

/// What is known of reported tasks.
struct Loaded {
    /// Their executions, locked.
    runs: BTreeMap<i64, Run>,
    /// The executions of items of which nobody needs to hear.
    left: BTreeSet<i64>,
}

/// Locks the executions of the reported tasks, then finds these: what their rows say stays true. One part after the other,
/// in each from callers to called. What a worker has done is written by the statement that finds it.
fn load(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    outcomes: &mut [Outcome],
    reporter: Reporter,
) -> Result<Loaded, Error> {
    let places = find_places(client, outcomes)?;
    let done = if reporter.is_worker() { Done::of(outcomes, &places) } else { Done::default() };
    let (mut runs, mut left) = (BTreeMap::new(), done.hold(client)?);
    let ids: BTreeSet<i64> = places.into_values().map(|(run, _)| run).filter(|run| !left.contains(run)).collect();
    for (part, ids) in by_part(ids.into_iter()) {
        let locked = match ids[..] {
            [run] => statements::run(client, include_str!("../../queries/lock_run.sql"), &[part.into(), run.into()])?,
            _ => statements::run(client, include_str!("../../queries/lock_runs.sql"), &[part.into(), ids.into()])?,
        };
        runs.extend(read_some_runs(client, locked, |run| {
            let is_left = done.may_be_left(run);
            left.extend(is_left.then_some(run.id));
            !is_left
        })?);
    }
    if reporter.is_worker() {
        complete(client, now, outcomes)?;
        let is_known = |run: i64| runs.contains_key(&run) || left.contains(&run);
        let run = |outcome: &Outcome| outcome.row.as_ref().map(|row| row.workflow_execution);
        if outcomes.iter().any(|outcome| outcome.completed && run(outcome).is_none_or(|run| !is_known(run))) {
            return Err(Error::refused("WF616", "a task did not exist when the call began", "resend the report"));
        }
    }
    find_rows(client, now, outcomes)?;
    Ok(Loaded { runs, left })
}

/// Where reported tasks belong: as this session remembers, or as their rows say.
fn find_places(client: &SpiClient, outcomes: &[Outcome]) -> Result<BTreeMap<i64, Place>, Error> {
    let tasks: Vec<i64> = outcomes.iter().filter_map(|outcome| outcome.task).collect();
    if let Some(known) = claimed_tasks::take(&tasks) {
        return Ok(tasks.into_iter().zip(known).collect());
    }
    let mut places = BTreeMap::new();
    for (part, tasks) in by_part(tasks.into_iter()) {
        let mut rows =
            statements::run(client, include_str!("../../queries/find_places.sql"), &[part.into(), tasks.into()])?;
        while rows.next().is_some() {
            let index = rows.get::<i32>(3)?.map(|index| index as u32);
            places.insert(rows.get::<i64>(1)?.unwrap_or_default(), (rows.get::<i64>(2)?.unwrap_or_default(), index));
        }
    }
    Ok(places)
}

/// Tells the conductor, in as many rounds as it takes: what one report has withdrawn counts before the next is heard. Gives
/// how each task stands then.
fn report(
    advance: &mut Advance,
    taken: &BTreeMap<i64, Vec<Taken>>,
    mut asking: Option<&mut Asking>,
    handed: &mut Vec<Handed>,
) -> Result<States, Error> {
    let mut states = States::new();
    let mut open: BTreeMap<i64, &[Taken]> = taken.iter().map(|(id, reports)| (*id, reports.as_slice())).collect();
    while !open.is_empty() {
        open = report_round(advance, &open, &mut states)?;
        advance.hears_more = !open.is_empty();
        handed.extend(settle(advance, asking.as_deref_mut())?);
        if !open.is_empty() {
            advance.load(open.keys().copied().collect())?;
            note_withdrawn(advance, &open)?;
        }
    }
    Ok(states)
}

/// What waits for a signal can be withdrawn until it is heard of; what a worker has, cannot.
fn note_withdrawn(advance: &Advance, open: &BTreeMap<i64, &[Taken]>) -> Result<(), Error> {
    let waits = |report: &&Taken| report.outcome.row.as_ref().is_some_and(|row| row.status == "scheduled");
    let waiting: Vec<&Taken> = open.values().copied().flatten().filter(waits).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = waiting.iter().filter_map(|report| report.outcome.task).collect();
    let arguments = [ids.into(), advance.now.into()];
    let mut rows = statements::run(advance.client, include_str!("../../queries/find_withdrawn.sql"), &arguments)?;
    let mut gone = BTreeSet::new();
    while rows.next().is_some() {
        gone.insert(rows.get::<i64>(1)?);
    }
    waiting.iter().for_each(|report| report.withdrawn.set(gone.contains(&report.outcome.task)));
    Ok(())
}

/// The leases that were reported with, and the tasks of each, in order.
fn leases<'o>(taken: impl Iterator<Item = &'o Outcome>) -> Leases {
    let mut leases = Leases::new();
    for outcome in taken {
        if let (Some(lease), Some(task)) = (outcome.lease, outcome.task) {
            leases.entry((id::part(task), lease)).or_default().push(task);
        }
    }
    leases.values_mut().for_each(sort);
    leases
}
