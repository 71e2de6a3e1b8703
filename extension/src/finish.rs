//! Reports of tasks: a batch in, every execution advanced once, the next tasks out.

use crate::advance::{Advance, ItemReports, read_runs};
use crate::error::Error;
use crate::jsonb::Jsonb;
use crate::report::{Answer, Outcome, Refusal};
use crate::run::{Run, as_data, load_facts, readable};
use crate::write::{Asking, Handed};
use crate::{dispatch, plans};
use conductor::changes::Row;
use conductor::conductor::Reported;
use conductor::expression::Data;
use conductor::needs::Needs;
use conductor::state::{TaskEnd, TaskKey};
use pgrx::datum::{AnyElement, DatumWithOid, TimestampWithTimeZone};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiTupleTable};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
enum Reporter {
    /// A worker, who must have the lease.
    Worker,
    /// The engine.
    Engine,
}

/// Takes reports, advances their executions, and hands the asking worker what follows.
fn finish(
    client: &SpiClient,
    outcomes: AnyElement,
    now: TimestampWithTimeZone,
    reporter: Reporter,
    asking: Option<&mut Asking>,
) -> Result<(Vec<Answer>, Vec<Handed>), Error> {
    // First the lock, then the rows: what they say then stays true.
    let runs = read_runs(
        client,
        plans::run(client, include_str!("../queries/lock_reported.sql"), &[outcome_array(outcomes)])?,
    )?;
    let arguments = [outcome_array(outcomes), now.into()];
    let mut rows = plans::run(client, include_str!("../queries/load_reported.sql"), &arguments)?;
    let outcomes = read_outcomes(&mut rows)?;
    let (answers, taken) = judge(&outcomes, &runs, reporter);
    let mut advance = Advance::new(client, now, runs);
    let (mut states, handed) = report(&mut advance, &taken, asking)?;
    for (id, key, status) in &advance.whole_ends {
        for report in taken.get(id).into_iter().flatten().filter(|report| report.key == *key) {
            states.insert(report.outcome.task, (*status).to_owned());
        }
    }
    drop_leases(client, &taken)?;
    let answers = answers.into_iter().zip(&outcomes).map(|(answer, outcome)| {
        answer.unwrap_or_else(|| outcome.answer(Ok(states.get(&outcome.task).cloned().unwrap_or_default())))
    });
    Ok((answers.collect(), handed))
}

/// Ends tasks of executions that are locked; what must wait for what others have withdrawn, when that is written.
pub fn report_own(advance: &mut Advance, mut reports: Vec<OwnReport>) -> Result<(), Error> {
    if reports.is_empty() {
        return Ok(());
    }
    let arguments = [
        reports.iter().map(|report| report.task).collect::<Vec<_>>().into(),
        reports.iter().map(|report| report.end.name()).collect::<Vec<_>>().into(),
        reports.iter().map(|report| report.result.clone()).collect::<Vec<_>>().into(),
        reports.iter().map(|report| report.error.clone()).collect::<Vec<_>>().into(),
        advance.now.into(),
    ];
    let mut rows = plans::run(advance.client, include_str!("../queries/load_own_reports.sql"), &arguments)?;
    let outcomes = read_outcomes(&mut rows)?;
    let runs: BTreeSet<i64> =
        outcomes.iter().filter_map(|outcome| Some(outcome.row.as_ref()?.workflow_execution)).collect();
    advance.load(runs.into_iter().collect())?;
    let (_, taken) = judge(&outcomes, &advance.runs, Reporter::Engine);
    let open = taken.iter().map(|(id, reports)| (*id, reports.as_slice())).collect();
    let left = report_round(advance, &open, &mut States::new())?;
    let left: BTreeSet<Option<i64>> = left.values().copied().flatten().map(|report| report.outcome.task).collect();
    reports.retain(|report| left.contains(&Some(report.task)));
    advance.unheard = reports;
    Ok(())
}

fn read_outcomes(rows: &mut SpiTupleTable) -> Result<Vec<Outcome>, Error> {
    let mut outcomes = Vec::with_capacity(rows.len());
    while rows.next().is_some() {
        outcomes.push(Outcome::read(rows)?);
    }
    Ok(outcomes)
}

/// Tells the reports that can be taken, by execution, from those that are answered at once.
fn judge<'o>(
    outcomes: &'o [Outcome],
    runs: &BTreeMap<i64, Run>,
    reporter: Reporter,
) -> (Vec<Option<Answer>>, BTreeMap<i64, Vec<Taken<'o>>>) {
    let mut taken: BTreeMap<i64, Vec<Taken>> = BTreeMap::new();
    let mut seen = std::collections::HashSet::new();
    let mut answers = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        let run = outcome.row.as_ref().and_then(|row| runs.get(&row.workflow_execution));
        let node = outcome.row.as_ref().zip(run).and_then(|(row, run)| run.graph.find(&row.task_name));
        let outside = || {
            let message = format!("task {} is driven from outside", outcome.task.unwrap_or_default());
            Some(outcome.answer(Err(Refusal { code: "WF618", message })))
        };
        let judged = match reporter {
            Reporter::Worker => outcome.judge(),
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

fn take<'o>(run: &Run, outcome: &'o Outcome, end: TaskEnd, key: TaskKey) -> Result<Taken<'o>, Refusal> {
    let read = match needs_of(run, key, end).result {
        false => None,
        true => match (readable(outcome.result), readable(outcome.error)) {
            (Ok(result), Ok(error)) => Some((result, error)),
            _ => {
                let message = format!("the result of task {} is nested too deep", outcome.task.unwrap_or_default());
                return Err(Refusal { code: "WF614", message });
            }
        },
    };
    Ok(Taken { outcome, end, key, read, withdrawn: Cell::new(false) })
}

/// How tasks stand after their reports.
type States = HashMap<Option<i64>, String>;

/// Tells the conductor, in as many rounds as it takes: what one report has withdrawn counts before the next is heard. Gives
/// how each task stands then, and what was handed out.
fn report(
    advance: &mut Advance,
    taken: &BTreeMap<i64, Vec<Taken>>,
    mut asking: Option<&mut Asking>,
) -> Result<(States, Vec<Handed>), Error> {
    let mut states = States::new();
    let mut handed = Vec::new();
    let mut open: BTreeMap<i64, &[Taken]> = taken.iter().map(|(id, reports)| (*id, reports.as_slice())).collect();
    while !open.is_empty() {
        open = report_round(advance, &open, &mut states)?;
        handed.extend(advance.settle(asking.as_deref_mut())?);
        if !open.is_empty() {
            advance.load(open.keys().copied().collect())?;
            note_withdrawn(advance, &open)?;
        }
    }
    Ok((states, handed))
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
    let mut rows = plans::run(advance.client, include_str!("../queries/find_withdrawn.sql"), &arguments)?;
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
    let facts = load_facts(advance.client, &advance.now, &wanted)?;
    let mut rest = BTreeMap::new();
    for ((id, reports), facts) in open.iter().zip(facts) {
        let items = item_reports(reports);
        let answers = advance.conduct(*id, facts, &items, |conductor| {
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
                Row::Ended(end) => advance.batch.end_task(task, end, outcome.result, outcome.error),
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

fn item_reports(reports: &[Taken]) -> ItemReports {
    let items = reports.iter().filter_map(|report| {
        let index = report.outcome.row.as_ref()?.task_index?;
        Some(((report.key, index), report.outcome.result))
    });
    items.collect()
}

/// What the reports of one execution may need. An item whose task goes on needs nothing: what follows the task is read
/// when its last item ends, not at each.
fn needs(run: &Run, reports: &[Taken]) -> Needs {
    let mut items: HashMap<TaskKey, u32> = HashMap::new();
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
        jitter: jitter(),
        advice: outcome.advice,
    }
}

/// 0 to 1: chance comes in from outside the conductor.
#[allow(unsafe_code)]
fn jitter() -> f64 {
    // SAFETY: the generator is the backend's own, and is seeded when the backend starts.
    unsafe { pg_sys::pg_prng_double(&raw mut pg_sys::pg_global_prng_state) }
}

fn drop_leases(client: &SpiClient, taken: &BTreeMap<i64, Vec<Taken>>) -> Result<(), Error> {
    let reports = || taken.values().flatten().map(|report| report.outcome);
    let leases: BTreeSet<i64> = reports().filter_map(|outcome| outcome.lease).collect();
    if !leases.is_empty() {
        let leases: Vec<i64> = leases.into_iter().collect();
        let tasks: Vec<i64> = reports().filter_map(|outcome| outcome.task).collect();
        plans::run(client, include_str!("../queries/drop_leases.sql"), &[leases.into(), tasks.into()])?;
    }
    Ok(())
}

/// Reports, and what the worker is handed for them: `workflow.finish` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_finish(
    outcomes: AnyElement,
    now: TimestampWithTimeZone,
    worker: Option<String>,
    max_tasks: Option<i32>,
    actions: Option<Vec<Option<String>>>,
    until: Option<TimestampWithTimeZone>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(task, Option<i64>),
            name!(lease, Option<i64>),
            name!(state, Option<String>),
            name!(code, Option<String>),
            name!(message, Option<String>),
            name!(workflow_execution, Option<i64>),
            name!(task_name, Option<String>),
            name!(task_index, Option<i32>),
            name!(action, Option<String>),
            name!(input, Option<Jsonb>),
            name!(attempt, Option<i32>),
        ),
    >,
    ErrorReport,
> {
    let mut asking = match (worker, until) {
        (Some(worker), Some(until)) => {
            let actions = actions.map(|actions| actions.into_iter().flatten().collect());
            let wanted = max_tasks.unwrap_or(0).max(0) as usize;
            Some(Asking { worker, wanted, past_others: wanted / 2, actions, until })
        }
        _ => None,
    };
    let (answers, handed) = Spi::connect(|client| finish(client, outcomes, now, Reporter::Worker, asking.as_mut()))?;
    let answers = answers.into_iter().map(|answer| {
        let (code, message) = answer.refusal.map(|refusal| (refusal.code.to_owned(), refusal.message)).unzip();
        (answer.task, answer.lease, answer.state, code, message, None, None, None, None, None, None)
    });
    let handed = handed.into_iter().map(|task| {
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
        )
    });
    let rows: Vec<_> = answers.chain(handed).collect();
    Ok(TableIterator::new(rows))
}

/// What the engine itself reports: `workflow.end_tasks` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_end_tasks(outcomes: AnyElement, now: TimestampWithTimeZone) -> Result<(), ErrorReport> {
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

#[allow(unsafe_code)]
fn outcome_array(outcomes: AnyElement) -> DatumWithOid<'static> {
    // SAFETY: the datum and its type came in together and go back to SQL together, within this call.
    unsafe { DatumWithOid::new(outcomes.datum(), outcomes.oid()) }
}
