//! Processing of reports: accepts a batch, advances each execution once, and returns the next tasks.

use crate::engine::advance::{Advance, read_runs};
use crate::engine::pending_reports;
use crate::engine::report_rounds::{States, Taken, is_of, judge, report_round};
use crate::engine::settle::settle;
use crate::engine::task_report::{Answer, TaskReport, complete, find_rows};
use crate::error::Error;
use crate::limits::holds;
use crate::pg::id::{self, by_part};
use crate::pg::role;
use crate::pg::statements;
use crate::queue::asking::Asking;
use crate::store::claimed_tasks;
use crate::store::claimed_tasks::Place;
use crate::store::reporter::Reporter;
use crate::store::run::Run;
use crate::store::{Handed, Leases, sort};
use conductor::code::Code;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// Outcome of processing reports.
#[derive(Default)]
pub struct Finished {
    /// One answer per report, in the same order.
    pub answers: Vec<Answer>,
    /// Next tasks that were handed to the asking worker.
    pub handed: Vec<Handed>,
    /// Leases under which tasks were reported, with the tasks of each.
    pub leases: Leases,
}

/// Processes reports, advances their executions, and hands the next tasks to the asking worker. The caller still has to
/// write the leases.
pub fn finish(
    client: &SpiClient,
    mut outcomes: Vec<TaskReport>,
    now: TimestampWithTimeZone,
    reporter: Reporter,
    mut asking: Option<&mut Asking>,
) -> Result<Finished, Error> {
    let Loaded { runs, busy, pending } = load(client, now, &mut outcomes, reporter)?;
    let (answers, taken) = judge(&outcomes, &runs, &busy, reporter);
    // Time-driven work never waits, not even for a heartbeat, so it lets leases expire instead.
    let leases = if reporter.is_worker() {
        let is_left = |outcome: &&TaskReport| outcome.completed && is_of(outcome, &busy);
        leases(taken.values().flatten().map(|report| report.outcome).chain(outcomes.iter().filter(is_left)))
    } else {
        Leases::new()
    };
    if let Some(asking) = asking.as_deref_mut() {
        asking.kept_tokens = claimed_tasks::take_whole(&leases);
    }
    let (_, mut all) = judge(&pending, &runs, &busy, reporter);
    for (run, reports) in taken {
        all.entry(run).or_default().extend(reports);
    }
    let mut advance = Advance::new(client, now, runs);
    advance.reporter = reporter;
    let mut handed = Vec::new();
    let mut states = report(&mut advance, &all, asking.as_deref_mut(), &mut handed)?;
    if advance.has_withdrawn {
        correct(client, &mut states)?;
    }
    if let Reporter::Worker(role) = reporter {
        // Refused and repeated reports need nothing.
        let is_accepted = |place: &usize| answers[*place].is_none() || outcomes[*place].completed;
        let accepted = (0..outcomes.len())
            .filter(is_accepted)
            .filter_map(|place| outcomes[place].task.zip(outcomes[place].hold_for));
        holds::add(client, now, accepted, &role::name_of(role))?;
    }
    // Whoever was processing these executions may have finished by now.
    handed.extend(process_pending(client, now, busy.into_iter().collect(), asking)?.handed);
    let answers = answers.into_iter().zip(&outcomes).map(|(answer, outcome)| {
        answer.unwrap_or_else(|| outcome.answer(Ok(states.get(&outcome.task).cloned().unwrap_or_default())))
    });
    Ok(Finished { answers: answers.collect(), handed, leases })
}

/// Outcome of processing pending reports.
#[derive(Default)]
pub struct ProcessedPending {
    /// Number of reports.
    pub reports: usize,
    /// Next tasks that were handed to the asking worker.
    pub handed: Vec<Handed>,
}

/// Processes the pending reports of executions that nobody else has locked.
pub fn process_pending(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    runs: Vec<i64>,
    asking: Option<&mut Asking>,
) -> Result<ProcessedPending, Error> {
    if runs.is_empty() {
        return Ok(ProcessedPending::default());
    }
    let free = statements::run(client, include_str!("../../queries/try_lock_pending_runs.sql"), &[runs.into()])?;
    process_locked(client, now, read_runs(client, free)?, asking)
}

/// Processes pending reports of all executions in the given parts that nobody else has locked, up to a maximum number
/// of reports.
pub fn process_all_pending(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    max_runs: i32,
    parts: &Option<Vec<Option<i32>>>,
    asking: Option<&mut Asking>,
) -> Result<ProcessedPending, Error> {
    let (lowest, highest) = id::bounds(parts);
    let arguments = [max_runs.into(), parts.clone().into(), lowest.into(), highest.into()];
    let free = statements::run(client, include_str!("../../queries/find_pending_runs.sql"), &arguments)?;
    process_locked(client, now, read_runs(client, free)?, asking)
}

fn process_locked(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    runs: BTreeMap<i64, Run>,
    asking: Option<&mut Asking>,
) -> Result<ProcessedPending, Error> {
    let pending = pending_reports::take(client, runs.keys().copied().collect())?;
    let mut handed = Vec::new();
    if !pending.is_empty() {
        let (_, taken) = judge(&pending, &runs, &BTreeSet::new(), Reporter::Engine);
        report(&mut Advance::new(client, now, runs), &taken, asking, &mut handed)?;
    }
    Ok(ProcessedPending { reports: pending.len(), handed })
}

/// Corrects the state of tasks that were to be retried but were withdrawn by a later report.
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

/// What has been loaded for reported tasks.
struct Loaded {
    /// Their executions, which are locked.
    runs: BTreeMap<i64, Run>,
    /// Executions that someone else has locked, whose reports are left to whoever locks them next.
    busy: BTreeSet<i64>,
    /// Reports that others have left pending for the executions locked now.
    pending: Vec<TaskReport>,
}

/// Locks the executions of the reported tasks before reading the tasks, so that their rows cannot change afterwards.
/// The locks that may have to be waited for are taken first, part by part, callers before the executions that they
/// call. Tasks that a worker reports as completed are ended by the same statement that reads them.
fn load(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    outcomes: &mut [TaskReport],
    reporter: Reporter,
) -> Result<Loaded, Error> {
    let places = find_places(client, outcomes)?;
    let mut busy = BTreeSet::new();
    if reporter.is_worker() {
        busy = pending_reports::may_be_pending(outcomes, &places);
    }
    let waiting: BTreeSet<i64> =
        places.into_values().map(|place| place.run).filter(|run| !busy.contains(run)).collect();
    let mut locked = Locked::default();
    let one = include_str!("../../queries/lock_run.sql");
    locked.add(client, &waiting, one, include_str!("../../queries/lock_runs.sql"))?;
    let one = include_str!("../../queries/try_lock_reported_run.sql");
    locked.add(client, &busy, one, include_str!("../../queries/try_lock_reported_runs.sql"))?;
    busy.retain(|run| !locked.ids.contains(run));
    let Locked { runs, with_pending, .. } = locked;
    if let Reporter::Worker(role) = reporter {
        complete(client, now, outcomes)?;
        let is_known = |run: i64| runs.contains_key(&run) || busy.contains(&run);
        let run = |outcome: &TaskReport| outcome.row.as_ref().map(|row| row.workflow_execution);
        if outcomes.iter().any(|outcome| outcome.completed && run(outcome).is_none_or(|run| !is_known(run))) {
            return Err(Error::refused(
                Code::NOT_FOUND,
                "a task did not exist when the call began",
                "Resend the report.",
            ));
        }
        pending_reports::note(client, now, role, outcomes, &busy)?;
    }
    find_rows(client, now, outcomes)?;
    let pending = pending_reports::take(client, with_pending)?;
    Ok(Loaded { runs, busy, pending })
}

/// Executions locked in order to process their reports.
#[derive(Default)]
struct Locked {
    /// Ids of all of them.
    ids: BTreeSet<i64>,
    /// Those that the engine runs.
    runs: BTreeMap<i64, Run>,
    /// Those that have pending reports.
    with_pending: Vec<i64>,
}

impl Locked {
    /// Adds executions locked by one of the two statements: the one for a single execution, or the one for several.
    fn add(
        &mut self,
        client: &SpiClient,
        runs: &BTreeSet<i64>,
        one: &'static str,
        several: &'static str,
    ) -> Result<(), Error> {
        let runs: Vec<i64> = runs.iter().copied().collect();
        let mut rows = match runs[..] {
            [] => return Ok(()),
            [run] => statements::run(client, one, &[id::part(run).into(), run.into()])?,
            _ => statements::run(client, several, &[runs.into()])?,
        };
        while rows.next().is_some() {
            let Some(id) = rows.get::<i64>(1)? else { continue };
            self.ids.insert(id);
            let Some(run) = Run::read(client, &rows)? else { continue };
            self.runs.insert(id, run);
            if rows.get::<bool>(10)? == Some(true) {
                self.with_pending.push(id);
            }
        }
        Ok(())
    }
}

/// Finds where reported tasks belong: from the session's cache, or else from their rows.
fn find_places(client: &SpiClient, outcomes: &[TaskReport]) -> Result<BTreeMap<i64, Place>, Error> {
    let tasks: Vec<i64> = outcomes.iter().filter_map(|outcome| outcome.task).collect();
    if let Some(known) = claimed_tasks::take(&tasks) {
        return Ok(tasks.into_iter().zip(known).collect());
    }
    let mut places = BTreeMap::new();
    for (part, tasks) in by_part(tasks.into_iter()) {
        let mut rows =
            statements::run(client, include_str!("../../queries/find_places.sql"), &[part.into(), tasks.into()])?;
        while rows.next().is_some() {
            let run = rows.get::<i64>(2)?.unwrap_or_default();
            let place = Place { run, is_final: rows.get::<bool>(3)? == Some(true) };
            places.insert(rows.get::<i64>(1)?.unwrap_or_default(), place);
        }
    }
    Ok(places)
}

/// Passes reports to the conductor in as many rounds as necessary: tasks withdrawn because of one report are taken into
/// account before the next is processed. Returns the resulting state of each task.
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
        advance.unprocessed = open.values().copied().flatten().filter_map(|report| report.outcome.task).collect();
        // What is handed over has begun: nothing is while a later report may withdraw it.
        handed.extend(settle(advance, asking.as_deref_mut().filter(|_| open.is_empty()))?);
        if !open.is_empty() {
            advance.load(open.keys().copied().collect())?;
            note_withdrawn(advance, &open)?;
        }
    }
    Ok(states)
}

/// Marks reports whose tasks have been withdrawn. A task that waits for a signal can be withdrawn until its report is
/// processed; one that a worker holds cannot.
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

/// Returns the leases under which tasks were reported, with the tasks of each, in order.
fn leases<'o>(taken: impl Iterator<Item = &'o TaskReport>) -> Leases {
    let mut leases = Leases::new();
    for outcome in taken {
        if let (Some(lease), Some(task)) = (outcome.lease, outcome.task) {
            leases.entry((id::part(task), lease)).or_default().push(task);
        }
    }
    leases.values_mut().for_each(sort);
    leases
}
