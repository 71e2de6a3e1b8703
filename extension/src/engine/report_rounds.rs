//! Passing reports to the conductor: they are judged by the rows of their tasks, and passed on in rounds.

use crate::engine::advance::Advance;
use crate::engine::branch_changes;
use crate::engine::own_report::OwnReport;
use crate::engine::pending_reports;
use crate::engine::run::{ReportedItem, Reports, load_facts};
use crate::engine::task_report::{Answer, TaskReport, find_rows};
use crate::error::{Error, Refusal};
use crate::pg::id::by_part;
use crate::pg::jsonb::{Jsonb, as_data};
use crate::pg::random;
use crate::pg::statements;
use crate::store::reporter::Reporter;
use crate::store::run::Run;
use crate::store::{EndedRow, RetriedRow};
use conductor::code::Code;
use conductor::engine::commands::Row;
use conductor::engine::outcome::Times;
use conductor::engine::reported::Reported;
use conductor::engine::state::TaskKey;
use conductor::engine::status::TaskEnd;
use conductor::expression::Data;
use conductor::graph::needs::Needs;
use pgrx::spi::SpiClient;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Statuses of tasks on which the engine itself can report.
const OPEN: [&str; 2] = ["running", "scheduled"];

/// A report to be passed to the conductor.
pub struct Taken<'o> {
    /// The outcome reported.
    pub outcome: &'o TaskReport,
    /// Final status of the task.
    pub end: TaskEnd,
    /// The task.
    pub key: TaskKey,
    /// Result and error, if the estimate says that something reads them.
    pub read: Option<(Data, Data)>,
    /// Whether the task has ended in the meantime, withdrawn as a consequence of an earlier report.
    pub withdrawn: Cell<bool>,
}

/// Ends tasks of locked executions. Reports that must wait for withdrawals by others are processed once those are
/// written.
pub fn report_own(advance: &mut Advance, mut reports: Vec<OwnReport>) -> Result<(), Error> {
    if reports.is_empty() {
        return Ok(());
    }
    let mut outcomes: Vec<TaskReport> = reports.iter().map(TaskReport::own).collect();
    find_rows(advance.client, advance.now, &mut outcomes)?;
    let runs: BTreeSet<i64> =
        outcomes.iter().filter_map(|outcome| Some(outcome.row.as_ref()?.workflow_execution)).collect();
    advance.load(runs.into_iter().collect())?;
    let (_, taken) = judge(&outcomes, &advance.runs, &BTreeSet::new(), Reporter::Engine);
    let is_withdrawn =
        |outcome: &&TaskReport| outcome.row.as_ref().is_some_and(|row| !OPEN.contains(&row.status.as_str()));
    advance.batch.leave_slots(outcomes.iter().filter(is_withdrawn).filter_map(|outcome| outcome.task));
    let open = taken.iter().map(|(id, reports)| (*id, reports.as_slice())).collect();
    let left = report_round(advance, &open, &mut States::new())?;
    let left: BTreeSet<Option<i64>> = left.values().copied().flatten().map(|report| report.outcome.task).collect();
    reports.retain(|report| left.contains(&Some(report.task)));
    advance.deferred_reports = reports;
    Ok(())
}

/// Separates the reports that can be accepted, grouped by execution, from those that are answered immediately.
pub fn judge<'o>(
    outcomes: &'o [TaskReport],
    runs: &BTreeMap<i64, Run>,
    busy: &BTreeSet<i64>,
    reporter: Reporter,
) -> (Vec<Option<Answer>>, BTreeMap<i64, Vec<Taken<'o>>>) {
    let mut taken: BTreeMap<i64, Vec<Taken>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut answers = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        if is_of(outcome, busy) {
            answers.push(Some(pending_reports::answer(outcome)));
            continue;
        }
        let run = outcome.row.as_ref().and_then(|row| runs.get(&row.workflow_execution));
        let node = outcome.row.as_ref().zip(run).and_then(|(row, run)| run.graph.find(&row.task_name));
        let outside = || {
            let message = format!("task {} is driven from outside", outcome.task.unwrap_or_default());
            Some(outcome.answer(Err(Refusal { code: Code::NOT_OWNER, message })))
        };
        let judged = match reporter {
            _ if outcome.is_pending => Ok(TaskEnd::Completed),
            Reporter::Worker(_) => outcome.judge(),
            Reporter::Engine => outcome.judge_own(&OPEN).ok_or(Ok(String::new())),
            Reporter::Operator => outcome.judge_own(&["requested", "scheduled"]).ok_or(Ok(String::new())),
        };
        answers.push(match (judged, &outcome.row, run, node) {
            (_, Some(_), None, _) => outside(),
            (Err(answer), ..) => Some(outcome.answer(answer)),
            (Ok(end), Some(row), Some(run), Some(node)) => {
                let key = TaskKey { node, route: row.route, visit: row.visit };
                match take(run, outcome, end, key) {
                    // If a batch contains the same task twice, the second is a repeated report; the first counts.
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

/// Whether this is a report on a task of one of these executions.
pub fn is_of(outcome: &TaskReport, runs: &BTreeSet<i64>) -> bool {
    outcome.row.as_ref().is_some_and(|row| runs.contains(&row.workflow_execution))
}

fn take<'o>(run: &Run, outcome: &'o TaskReport, end: TaskEnd, key: TaskKey) -> Result<Taken<'o>, Refusal> {
    let is_read = needs_of(run, key, end).result;
    // A completed task is known to have no error.
    if is_read
        && !outcome.completed
        && let Some(obstacle) = outcome.obstacle()
    {
        let message = format!("the report of task {} cannot be used: {obstacle}", outcome.task.unwrap_or_default());
        return Err(Refusal { code: Code::LIMIT_EXCEEDED, message });
    }
    let usable = |value: Option<Jsonb>| value.map_or_else(|| Data::from(()), Jsonb::usable_data);
    let read = is_read.then(|| (usable(outcome.result), usable(outcome.error)));
    Ok(Taken { outcome, end, key, read, withdrawn: Cell::new(false) })
}

/// States of tasks after their reports.
pub type States = BTreeMap<Option<i64>, String>;

/// Passes to the conductor of each execution what it can process now; returns the rest.
pub fn report_round<'t, 'o>(
    advance: &mut Advance,
    open: &BTreeMap<i64, &'t [Taken<'o>]>,
    states: &mut States,
) -> Result<BTreeMap<i64, &'t [Taken<'o>]>, Error> {
    let wanted: Vec<(&Run, Needs)> =
        open.iter().filter_map(|(id, reports)| advance.runs.get(id).map(|run| (run, needs(run, reports)))).collect();
    let tasks = open.values().copied().flatten().filter_map(|report| report.outcome.task);
    let unprocessed = tasks.chain(advance.unprocessed.iter().copied()).collect();
    let mut current = Reports { tasks: unprocessed, ..Reports::default() };
    let facts = load_facts(advance.client, &advance.now, &wanted, &current.tasks)?;
    let contexts = |run: &Run| {
        let reports = open.get(&run.id).copied().unwrap_or_default();
        reports.iter().filter_map(|report| Some(report.outcome.row.as_ref()?.context.as_slice())).collect()
    };
    let changed = wanted.iter().map(|(run, needs)| (*run, needs, contexts(run)));
    let mut changes = branch_changes::load(advance.client, changed)?;
    let inputs = undo_inputs(advance, open)?;
    let mut rest = BTreeMap::new();
    for ((id, reports), mut facts) in open.iter().zip(facts) {
        facts.changes = Arc::new(changes.remove(id).unwrap_or_default());
        current.items = item_ends(reports);
        let answers = advance.conduct(*id, facts, &current, |conductor| {
            let all = conductor.knows_all();
            let mut answers = Vec::with_capacity(reports.len());
            for report in *reports {
                answers.push((!report.withdrawn.get()).then(|| conductor.finish(&reported(report, all, &inputs))));
                if conductor.must_settle() {
                    break;
                }
            }
            answers
        })?;
        let answers = answers.unwrap_or_default();
        let paused = advance.execution(*id).is_some_and(|execution| execution.paused);
        let (processed, left) = reports.split_at(answers.len());
        for (report, answer) in processed.iter().zip(answers) {
            let Some(answer) = answer else { continue };
            let outcome = report.outcome;
            let task = outcome.task.unwrap_or_default();
            match answer.row {
                Row::Ended(end) => {
                    let written = outcome.completed && end == TaskEnd::Completed;
                    advance.batch.end_task(EndedRow {
                        id: task,
                        end,
                        result: outcome.result,
                        error: answer.error.as_ref().and_then(Jsonb::new).or(outcome.error),
                        progress: outcome.progress,
                        role: outcome.role.clone(),
                        written,
                    });
                }
                Row::Again(again) => advance.batch.retry_task(RetriedRow {
                    id: task,
                    again,
                    paused,
                    result: outcome.result,
                    error: outcome.error,
                    progress: outcome.progress,
                    unknown: matches!(report.end, TaskEnd::Timeout | TaskEnd::Abandoned),
                }),
            }
            states.insert(outcome.task, answer.state.to_owned());
        }
        if !processed.is_empty() && !left.is_empty() {
            rest.insert(*id, left);
        }
    }
    Ok(rest)
}

/// Inputs for rendering undos: the task's input, and the data stored when the task was created.
type UndoInputs = BTreeMap<i64, (Data, Data)>;

/// Reads the inputs for rendering the undos of reported tasks.
fn undo_inputs(advance: &Advance, open: &BTreeMap<i64, &[Taken]>) -> Result<UndoInputs, Error> {
    let mut tasks = Vec::new();
    for (id, reports) in open {
        let Some(run) = advance.runs.get(id) else { continue };
        let reads = |report: &&Taken| {
            let undo = run.graph.node(report.key.node).undo.as_ref().and_then(|undo| undo.call.as_ref());
            undo.is_some_and(|call| call.reads_input || call.reads_item)
        };
        tasks.extend(reports.iter().filter(reads).filter_map(|report| report.outcome.task));
    }
    load_undo_inputs(advance.client, tasks)
}

/// Reads the inputs for rendering the undos of tasks.
pub fn load_undo_inputs(client: &SpiClient, tasks: Vec<i64>) -> Result<UndoInputs, Error> {
    let mut inputs = UndoInputs::new();
    for (part, tasks) in by_part(tasks.into_iter()) {
        let arguments = [part.into(), tasks.into()];
        let mut rows = statements::run(client, include_str!("../../queries/load_undo_inputs.sql"), &arguments)?;
        while rows.next().is_some() {
            let value = |ordinal| Ok::<_, Error>(as_data(rows.get::<Jsonb>(ordinal)?));
            inputs.insert(rows.get::<i64>(1)?.unwrap_or_default(), (value(2)?, value(3)?));
        }
    }
    Ok(inputs)
}

/// Returns how the items among the reported tasks end.
fn item_ends(reports: &[Taken]) -> BTreeMap<(TaskKey, u32), ReportedItem> {
    let items = reports.iter().filter_map(|report| {
        let (row, outcome) = (report.outcome.row.as_ref()?, report.outcome);
        let item = ReportedItem { end: report.end, result: outcome.result, error: outcome.error, times: row.times };
        Some(((report.key, row.task_index?), item))
    });
    items.collect()
}

/// Returns what the reports of one execution may need. An item whose task continues needs nothing: what follows the
/// task is read when its last item ends, not at each item.
fn needs(run: &Run, reports: &[Taken]) -> Needs {
    let mut items: BTreeMap<TaskKey, u32> = BTreeMap::new();
    for report in reports {
        *items.entry(report.key).or_default() += 1;
    }
    let has_open_items = |key: &TaskKey, ended: u32| {
        let progress = run.before.state.items.iter().find(|progress| progress.key == *key);
        progress.is_some_and(|progress| progress.ended + ended < progress.total)
    };
    items.retain(|key, ended| !has_open_items(key, *ended));
    let mut needs = Needs::default();
    // Whether an item runs again is decided when that item is reported.
    let may_run_again = |report: &Taken| {
        let node = run.graph.node(report.key.node);
        if report.end == TaskEnd::Completed { node.may_run_again_after_success() } else { node.retry.is_some() }
    };
    let telling = reports.iter().filter(|report| items.contains_key(&report.key) || may_run_again(report));
    telling.for_each(|report| needs.merge(needs_of(run, report.key, report.end)));
    needs
}

fn needs_of(run: &Run, key: TaskKey, end: TaskEnd) -> &Needs {
    let node = run.graph.node(key.node);
    if end == TaskEnd::Completed { &node.success_needs } else { &node.failure_needs }
}

/// Converts a report to the conductor's form. `everything` is set if the estimate turned out to be wrong, so that all
/// of it is read.
fn reported<'r>(report: &'r Taken, everything: bool, inputs: &UndoInputs) -> Reported<'r> {
    let outcome = report.outcome;
    let read = match (&report.read, everything) {
        (Some(read), _) => Some(read.clone()),
        (None, true) => Some((as_data(outcome.result), as_data(outcome.error))),
        (None, false) => None,
    };
    let (result, error) = read.unzip();
    let row = outcome.row.as_ref();
    let (input, undo) = outcome.task.and_then(|task| inputs.get(&task).cloned()).unzip();
    Reported {
        key: report.key,
        index: row.and_then(|row| row.task_index),
        context: row.map_or(&[], |row| &row.context),
        retries: row.map_or(0, |row| row.retries),
        max_retries: row.map_or(0, |row| row.max_retries),
        repetitions: row.map_or(0, |row| row.repetitions),
        times: row.map_or_else(Times::default, |row| row.times),
        order: outcome.task.unwrap_or_default(),
        elapsed: row.map_or(0.0, |row| row.elapsed),
        end: report.end,
        result,
        error,
        jitter: random::fraction(),
        advice: outcome.advice,
        closing: row.is_some_and(|row| row.closing),
        input,
        undo,
        undoable: outcome.undoable,
    }
}
