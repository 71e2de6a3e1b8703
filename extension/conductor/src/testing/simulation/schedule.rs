//! What may happen to an execution: claims, reports in any order and number, the passage of time, and control by
//! people.

use super::Chance;
use crate::engine::status::TaskEnd;
use crate::expression::Data;
use crate::testing::memory_host::{Ledger, Refused, ReportedRow, RowStatus, TaskRow};

/// Number of tasks of a key that may run at once, by the name of the limit.
const SLOTS: [(&str, usize); 2] = [("one", 1), ("two", 2)];

/// One event. Rows are those of the ledger for which the step was drawn.
#[derive(Debug, Clone)]
pub enum Step {
    /// Rows are claimed.
    Claim(Vec<usize>),
    /// Running rows are reported together.
    Report(Vec<ReportedRow>),
    /// A row that is not running is reported: too early, too late or twice.
    Stale(ReportedRow),
    /// The worker of a running row dies.
    Lose(usize),
    /// This many seconds pass.
    Wait(f64),
    /// New claims are stopped.
    Pause,
    /// Claims are allowed again.
    Resume,
    /// The execution is told to stop.
    Cancel,
    /// The execution is stopped at once.
    ForceCancel,
    /// A signal is sent: its name, its key, its payload.
    Signal(String, Option<String>, Option<Data>),
    /// Tasks are rerun, given by name and route, or all that failed if empty. If true, successful items are rerun, too.
    Rerun(Vec<(String, u32)>, bool),
}

impl Step {
    /// Draws a step that may happen now, or `None` if the drawn kind does not apply.
    pub fn draw(chance: &mut Chance, ledger: &Ledger) -> Option<Step> {
        let running = rows(ledger, |row| row.status == RowStatus::Running);
        match chance.below(28) {
            27 => (!running.is_empty()).then(|| Step::Lose(*chance.pick(&running))),
            0 if !ledger.over => Some(Step::Pause),
            1 | 2 if ledger.execution.paused => Some(Step::Resume),
            3 if !ledger.over && chance.one_in(3) => Some(Step::Cancel),
            3 if !ledger.over && chance.one_in(8) => Some(Step::ForceCancel),
            4 if ledger.over => Some(Step::Rerun(chosen(chance, ledger), chance.one_in(2))),
            5 | 6 => Some(Step::Wait(*chance.pick(&[1.0, 3.0, 5.0, 10.0]))),
            7 => {
                let row = chance.below(ledger.rows.len());
                let stale = ledger.rows.get(row).is_some_and(|row| row.status != RowStatus::Running);
                stale.then(|| Step::Stale(outcome(chance, row)))
            }
            8..=14 => {
                let mut ready = rows(ledger, TaskRow::is_claimable);
                let claimed = admitted(ledger, draw_some(chance, &mut ready));
                (!claimed.is_empty() && !ledger.execution.paused).then_some(Step::Claim(claimed))
            }
            15..=17 => signal(chance, ledger),
            _ => {
                let reported = draw_some(chance, &mut running.clone());
                let outcomes: Vec<ReportedRow> = reported.into_iter().map(|row| outcome(chance, row)).collect();
                (!outcomes.is_empty()).then_some(Step::Report(outcomes))
            }
        }
    }

    /// Returns the next step towards a successful end, or `None` if the end has been reached.
    pub fn next_toward_end(ledger: &Ledger) -> Option<Step> {
        let running = rows(ledger, |row| row.status == RowStatus::Running);
        let ready = admitted(ledger, rows(ledger, TaskRow::is_claimable));
        let wanted = ledger.rows.iter().filter(|row| row.begun && row.status == RowStatus::Ready);
        let wanted = wanted.filter_map(|row| row.signal.clone()).next();
        let times = ledger.rows.iter().filter(|row| row.status == RowStatus::Delayed).filter_map(|row| row.due);
        let first = times.reduce(f64::min);
        let well = |row: usize| ReportedRow { row, end: TaskEnd::Completed, result: Some(Data::from(1)), error: None };
        match (running.is_empty(), ready.is_empty(), wanted, first) {
            _ if ledger.execution.paused => Some(Step::Resume),
            (false, ..) => Some(Step::Report(running.into_iter().map(well).collect())),
            (_, false, ..) => Some(Step::Claim(ready)),
            (_, _, Some(name), _) => Some(Step::Signal(name, None, Some(Data::from(1)))),
            (.., Some(due)) => Some(Step::Wait(due - ledger.now)),
            _ => None,
        }
    }

    /// Applies the step.
    pub fn take(&self, ledger: &mut Ledger) -> Result<(), Refused> {
        match self {
            Step::Claim(rows) => rows.iter().try_for_each(|row| ledger.claim(*row))?,
            Step::Report(outcomes) => drop(ledger.report_all(outcomes)?),
            Step::Stale(outcome) => drop(ledger.report_all(std::slice::from_ref(outcome))?),
            Step::Lose(row) => ledger.lose(*row)?,
            Step::Wait(seconds) => ledger.wait(*seconds),
            Step::Pause => ledger.pause(),
            Step::Resume => ledger.resume(),
            Step::Cancel => ledger.cancel(),
            Step::ForceCancel => ledger.force_cancel(),
            Step::Signal(name, key, payload) => ledger.signal(name, key.as_deref(), payload.clone())?,
            Step::Rerun(tasks, reset_items) => ledger.rerun(tasks, *reset_items)?,
        }
        Ok(())
    }
}

fn rows(ledger: &Ledger, wanted: impl Fn(&TaskRow) -> bool) -> Vec<usize> {
    (0..ledger.rows.len()).filter(|row| wanted(&ledger.rows[*row])).collect()
}

/// Returns those of the claimable rows that have free slots, in this order.
pub fn admitted(ledger: &Ledger, claimable: Vec<usize>) -> Vec<usize> {
    let mut taken: Vec<&(String, String)> = Vec::new();
    for row in ledger.rows.iter().filter(|row| row.status == RowStatus::Running) {
        taken.extend(&row.limits);
    }
    let mut has_slots = |row: &usize| {
        let wanted = &ledger.rows[*row].limits;
        let is_free = |limit: &(String, String)| {
            let most = SLOTS.iter().find(|(name, _)| *name == limit.0).map_or(0, |(_, most)| *most);
            taken.iter().filter(|other| **other == limit).count() < most
        };
        let all = wanted.iter().all(is_free);
        if all {
            taken.extend(wanted);
        }
        all
    };
    claimable.into_iter().filter(|row| has_slots(row)).collect()
}

/// Draws a signal: one that is waited for, one that may be too early or unwanted, or occasionally a duplicate.
fn signal(chance: &mut Chance, ledger: &Ledger) -> Option<Step> {
    let waits = ledger.graph().nodes.iter().any(|node| node.signal.is_some());
    let wanted: Vec<&String> =
        ledger.rows.iter().filter(|row| row.begun).filter_map(|row| row.signal.as_ref()).collect();
    let name = match wanted.is_empty() || chance.one_in(2) {
        true => (*chance.pick(&["go", "go 0", "go 1"])).to_owned(),
        false => (*chance.pick(&wanted)).clone(),
    };
    let key = chance.one_in(3).then(|| (*chance.pick(&["a", "b"])).to_owned());
    let payload = chance.one_in(2).then(|| Data::from(chance.below(3)));
    waits.then_some(Step::Signal(name, key, payload))
}

/// Draws one to four elements of a list, in any order.
fn draw_some(chance: &mut Chance, list: &mut Vec<usize>) -> Vec<usize> {
    let count = if chance.one_in(2) { 1 } else { 1 + chance.below(4) };
    (0..count.min(list.len())).map(|_| list.swap_remove(chance.below(list.len()))).collect()
}

fn outcome(chance: &mut Chance, row: usize) -> ReportedRow {
    let end = match chance.below(20) {
        0..=12 => TaskEnd::Completed,
        13..=16 => TaskEnd::Failed,
        17 => TaskEnd::Timeout,
        18 => TaskEnd::Abandoned,
        _ => TaskEnd::Cancelled,
    };
    let result = chance.one_in(2).then(|| Data::from(chance.below(3)));
    let error = end.is_failure().then(|| Data::from_pairs([("type", "chance")]));
    ReportedRow { row, end, result, error }
}

/// Mostly chooses all that failed, and occasionally some task that has run.
fn chosen(chance: &mut Chance, ledger: &Ledger) -> Vec<(String, u32)> {
    if ledger.rows.is_empty() || !chance.one_in(3) {
        return Vec::new();
    }
    let key = ledger.rows[chance.below(ledger.rows.len())].key;
    vec![(ledger.name(key.node).to_owned(), key.route)]
}
