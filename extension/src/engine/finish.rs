//! Reports of tasks: a batch in, every execution advanced once, the next tasks out.

use crate::cache::claimed_tasks;
use crate::cache::claimed_tasks::Place;
use crate::engine::advance::{Advance, Reports, read_some_runs};
use crate::engine::item_completion;
use crate::engine::item_completion::Done;
use crate::engine::report::{Answer, Outcome, Refusal, complete, find_rows};
use crate::engine::run::{Run, as_data, load_facts};
use crate::error::Error;
use crate::pg::id::{self, by_part};
use crate::pg::jsonb::Jsonb;
use crate::pg::random;
use crate::pg::statements;
use crate::queue::claim::Asking;
use crate::store::{EndedRow, Handed, Leases, sort};
use conductor::changes::Row;
use conductor::conductor::Reported;
use conductor::expression::Data;
use conductor::needs::Needs;
use conductor::state::{TaskEnd, TaskKey};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// A report that the conductor is to hear of.
struct Taken<'o> {
    outcome: &'o Outcome,
    end: TaskEnd,
    key: TaskKey,
    /// What was reported, where the estimate says that somebody reads it.
    read: Option<(Data, Data)>,
    /// Its task has ended by now: what was reported before it has withdrawn it.
    withdrawn: Cell<bool>,
}

/// A task that the engine itself ends: its signal came, its child ended, its time is over.
pub struct OwnReport {
    /// Its id.
    pub task: i64,
    /// How it ends.
    pub end: TaskEnd,
    /// JSON.
    pub result: Option<String>,
    /// JSON.
    pub error: Option<String>,
}

/// Who reports.
#[derive(Clone, Copy, PartialEq)]
pub enum Reporter {
    /// A worker, who must have the lease; the role that it calls as.
    Worker(pg_sys::Oid),
    /// The engine.
    Engine,
}

impl Reporter {
    fn is_worker(self) -> bool {
        matches!(self, Reporter::Worker(_))
    }
}

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
    for (id, key, status) in &advance.whole_ends {
        for report in taken.get(id).into_iter().flatten().filter(|report| report.key == *key) {
            states.insert(report.outcome.task, (*status).to_owned());
        }
    }
    let answers = answers.into_iter().zip(&outcomes).map(|(answer, outcome)| {
        answer.unwrap_or_else(|| outcome.answer(Ok(states.get(&outcome.task).cloned().unwrap_or_default())))
    });
    Ok(Finished { answers: answers.collect(), handed, leases })
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
            return Err(Error::refused("WF616", "a task was not there when the call began", "report it again"));
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

/// Ends tasks of executions that are locked; what must wait for what others have withdrawn, when that is written.
pub fn report_own(advance: &mut Advance, mut reports: Vec<OwnReport>) -> Result<(), Error> {
    if reports.is_empty() {
        return Ok(());
    }
    let mut outcomes: Vec<Outcome> = reports.iter().map(Outcome::own).collect();
    find_rows(advance.client, advance.now, &mut outcomes)?;
    let runs: BTreeSet<i64> =
        outcomes.iter().filter_map(|outcome| Some(outcome.row.as_ref()?.workflow_execution)).collect();
    advance.load(runs.into_iter().collect())?;
    let (_, taken) = judge(&outcomes, &advance.runs, &BTreeSet::new(), Reporter::Engine);
    let open = taken.iter().map(|(id, reports)| (*id, reports.as_slice())).collect();
    let left = report_round(advance, &open, &mut States::new())?;
    let left: BTreeSet<Option<i64>> = left.values().copied().flatten().map(|report| report.outcome.task).collect();
    reports.retain(|report| left.contains(&Some(report.task)));
    advance.unheard = reports;
    Ok(())
}

/// Tells the reports that can be taken, by execution, from those that are answered at once.
fn judge<'o>(
    outcomes: &'o [Outcome],
    runs: &BTreeMap<i64, Run>,
    left: &BTreeSet<i64>,
    reporter: Reporter,
) -> (Vec<Option<Answer>>, BTreeMap<i64, Vec<Taken<'o>>>) {
    let mut taken: BTreeMap<i64, Vec<Taken>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut answers = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        if is_of(outcome, left) {
            answers.push(Some(item_completion::answer(outcome)));
            continue;
        }
        let run = outcome.row.as_ref().and_then(|row| runs.get(&row.workflow_execution));
        let node = outcome.row.as_ref().zip(run).and_then(|(row, run)| run.graph.find(&row.task_name));
        let outside = || {
            let message = format!("task {} is driven from outside", outcome.task.unwrap_or_default());
            Some(outcome.answer(Err(Refusal { code: "WF618", message })))
        };
        let judged = match reporter {
            Reporter::Worker(_) => outcome.judge(),
            Reporter::Engine => outcome.judge_own().ok_or(Ok(String::new())),
        };
        answers.push(match (judged, &outcome.row, run, node) {
            (_, Some(_), None, _) => outside(),
            (Err(answer), ..) => Some(outcome.answer(answer)),
            (Ok(end), Some(row), Some(run), Some(node)) => {
                let key = TaskKey { node, route: row.route, visit: row.visit };
                match take(run, outcome, end, key) {
                    // The same task twice in one batch is a repeated report: the first counts.
                    Ok(report) if seen.insert(outcome.task) => {
                        taken.entry(run.id).or_default().push(report);
                        None
                    }
                    Ok(_) => None,
                    Err(refusal) => Some(outcome.answer(Err(refusal))),
                }
            }
            (Ok(_), ..) => outside(),
        });
    }
    (answers, taken)
}

/// Is it the report of a task of one of these executions?
fn is_of(outcome: &Outcome, runs: &BTreeSet<i64>) -> bool {
    outcome.row.as_ref().is_some_and(|row| runs.contains(&row.workflow_execution))
}

fn take<'o>(run: &Run, outcome: &'o Outcome, end: TaskEnd, key: TaskKey) -> Result<Taken<'o>, Refusal> {
    let is_read = needs_of(run, key, end).result;
    // Of what is completed it is known that there is none.
    if is_read
        && !outcome.completed
        && let Some(obstacle) = outcome.obstacle()
    {
        let message = format!("the result of task {} cannot be used: {obstacle}", outcome.task.unwrap_or_default());
        return Err(Refusal { code: "WF614", message });
    }
    let usable = |value: Option<Jsonb>| value.map_or_else(|| Data::from(()), Jsonb::usable_data);
    let read = is_read.then(|| (usable(outcome.result), usable(outcome.error)));
    Ok(Taken { outcome, end, key, read, withdrawn: Cell::new(false) })
}

/// How tasks stand after their reports.
type States = BTreeMap<Option<i64>, String>;

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
        handed.extend(advance.settle(asking.as_deref_mut())?);
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

/// Tells the conductor of each execution what it can hear now; gives the rest.
fn report_round<'t, 'o>(
    advance: &mut Advance,
    open: &BTreeMap<i64, &'t [Taken<'o>]>,
    states: &mut States,
) -> Result<BTreeMap<i64, &'t [Taken<'o>]>, Error> {
    let wanted: Vec<(&Run, Needs)> =
        open.iter().filter_map(|(id, reports)| advance.runs.get(id).map(|run| (run, needs(run, reports)))).collect();
    let unheard = open.values().copied().flatten().filter_map(|report| report.outcome.task).collect();
    let mut current = Reports { tasks: unheard, ..Reports::default() };
    let facts = load_facts(advance.client, &advance.now, &wanted, &current.tasks)?;
    let mut rest = BTreeMap::new();
    for ((id, reports), facts) in open.iter().zip(facts) {
        current.items = item_results(reports);
        let answers = advance.conduct(*id, facts, &current, |conductor| {
            let all = conductor.knows_all();
            let mut answers = Vec::with_capacity(reports.len());
            for report in *reports {
                answers.push((!report.withdrawn.get()).then(|| conductor.finish(&reported(report, all))));
                if conductor.must_settle() {
                    break;
                }
            }
            answers
        })?;
        let answers = answers.unwrap_or_default();
        let paused = advance.execution(*id).is_some_and(|execution| execution.paused);
        let (heard, left) = reports.split_at(answers.len());
        for (report, answer) in heard.iter().zip(answers) {
            let Some(answer) = answer else { continue };
            let outcome = report.outcome;
            let task = outcome.task.unwrap_or_default();
            if let (TaskEnd::Timeout, Some(child)) = (report.end, outcome.row.as_ref().and_then(|row| row.child)) {
                advance.batch.leave_child(child);
            }
            match answer.row {
                Row::Ended(end) => {
                    let written = outcome.completed && end == TaskEnd::Completed;
                    advance.batch.end_task(EndedRow {
                        id: task,
                        end,
                        result: outcome.result,
                        error: outcome.error,
                        written,
                    });
                }
                Row::Retry(delay) => advance.batch.retry_task(task, delay, paused, outcome.result, outcome.error),
            }
            states.insert(outcome.task, answer.task_status.to_owned());
        }
        if !heard.is_empty() && !left.is_empty() {
            rest.insert(*id, left);
        }
    }
    Ok(rest)
}

fn item_results(reports: &[Taken]) -> BTreeMap<(TaskKey, u32), Option<Jsonb>> {
    let items = reports.iter().filter_map(|report| {
        let index = report.outcome.row.as_ref()?.task_index?;
        Some(((report.key, index), report.outcome.result))
    });
    items.collect()
}

/// What the reports of one execution may need. An item whose task goes on needs nothing: what follows the task is read
/// when its last item ends, not at each.
fn needs(run: &Run, reports: &[Taken]) -> Needs {
    let mut items: BTreeMap<TaskKey, u32> = BTreeMap::new();
    for report in reports {
        *items.entry(report.key).or_default() += 1;
    }
    let goes_on = |key: &TaskKey, ended: u32| {
        let progress = run.before.state.items.iter().find(|progress| progress.key == *key);
        progress.is_some_and(|progress| progress.ended + ended < progress.total)
    };
    items.retain(|key, ended| !goes_on(key, *ended));
    let mut needs = Needs::default();
    let telling = reports.iter().filter(|report| items.contains_key(&report.key));
    telling.for_each(|report| needs.merge(needs_of(run, report.key, report.end)));
    needs
}

fn needs_of(run: &Run, key: TaskKey, end: TaskEnd) -> &Needs {
    let node = run.graph.node(key.node);
    if end == TaskEnd::Completed { &node.success_needs } else { &node.failure_needs }
}

/// A report as the conductor takes it; with everything read where the estimate has failed.
fn reported<'r>(report: &'r Taken, everything: bool) -> Reported<'r> {
    let outcome = report.outcome;
    let read = match (&report.read, everything) {
        (Some(read), _) => Some(read.clone()),
        (None, true) => Some((as_data(outcome.result), as_data(outcome.error))),
        (None, false) => None,
    };
    let (result, error) = read.unzip();
    let row = outcome.row.as_ref();
    Reported {
        key: report.key,
        index: row.and_then(|row| row.task_index),
        context: row.map_or(&[], |row| &row.context),
        retries: row.map_or(0, |row| row.retries),
        max_retries: row.map_or(0, |row| row.max_retries),
        elapsed: row.map_or(0.0, |row| row.elapsed),
        end: report.end,
        result,
        error,
        jitter: random::fraction(),
        advice: outcome.advice,
    }
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
