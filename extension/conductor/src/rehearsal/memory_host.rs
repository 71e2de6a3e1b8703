//! An execution in memory: the rows that the extension keeps in tables, for tests and for tools without a database. Its
//! clock stands still until [`Ledger::wait`] advances it.

use crate::engine::cause::Cause;
use crate::engine::commands::{Changes, Hold, NewTask, NewUndo, Report, Rest, Row, Start, Withdraw, Withdrawn};
use crate::engine::conductor::Conductor;
use crate::engine::needless::not_needed;
use crate::engine::outcome::{RowEnd, TaskOutcome, Times};
use crate::engine::published::{KnownChanges, NewEntry};
use crate::engine::reported::{Advice, Reported};
use crate::engine::rerun::Rerun;
use crate::engine::state::{Execution, TaskKey};
use crate::engine::status::{Reach, Status, TaskEnd};
use crate::engine::variables;
use crate::expression::Data;
use crate::graph::{Graph, NodeId};
use crate::view::task_lists::TaskLists;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod check;
mod facts;
mod known_lists;
mod own_tasks;
mod task_row;
mod workers;

pub use task_row::{RowStatus, TaskRow};

/// The report of a row.
#[derive(Debug, Clone)]
pub struct ReportedRow {
    /// The row.
    pub row: usize,
    /// How it ended.
    pub end: TaskEnd,
    /// The result.
    pub result: Option<Data>,
    /// The error.
    pub error: Option<Data>,
}

/// A signal sent from outside to tasks that wait for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The name that tasks wait for.
    pub name: String,
    /// Deduplication key: another signal with the same name and key is the same one.
    pub key: Option<String>,
    /// The result of the task that takes it.
    pub payload: Option<Data>,
    /// The row that took it; `None` if the signal is kept.
    pub taken_by: Option<usize>,
}

/// An execution and its rows.
#[derive(Clone)]
pub struct Ledger {
    graph: Arc<Graph>,
    parameters: Data,
    /// The conductor's state.
    pub execution: Execution,
    /// All rows that ever existed.
    pub rows: Vec<TaskRow>,
    /// All signals that were ever sent, oldest first.
    pub signals: Vec<Signal>,
    /// The variables, with all branches merged.
    pub variables: Data,
    /// The variables to which `changes` apply.
    base: Data,
    /// What branches have published.
    changes: Arc<KnownChanges>,
    /// Why it failed, and what else went wrong while it closed, with the time of each.
    pub errors: Vec<(f64, Cause)>,
    /// The output, once it has ended.
    pub output: Option<Data>,
    /// Whether it has ended.
    pub over: bool,
    /// Its tasks by standing at its end, if the conductor knew them.
    pub known_lists: Option<TaskLists>,
    /// Seconds since the start.
    pub now: f64,
    /// Transitions that have fired, each by its task and its place in the task's list.
    pub fired: BTreeSet<(NodeId, u32)>,
    /// When the workflow times out, in seconds since the start.
    due: Option<f64>,
    /// What remains of that time during a pause.
    due_in: Option<f64>,
    /// Running rows that are no longer needed.
    rest: Vec<Rest>,
    /// Whether more reports of the same batch are still to be processed.
    more_reports_follow: bool,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Ledger {
    /// Starts an execution. The parameters must have been validated.
    pub fn start(graph: Arc<Graph>, parameters: Data) -> Ledger {
        let mut ledger = Ledger {
            now: 0.0,
            due: graph.timeout.map(|seconds| seconds as f64),
            due_in: None,
            graph,
            parameters,
            execution: Execution::new(),
            rows: Vec::new(),
            signals: Vec::new(),
            variables: variables::empty(),
            base: variables::empty(),
            changes: Arc::new(KnownChanges::all()),
            errors: Vec::new(),
            output: None,
            over: false,
            known_lists: None,
            fired: BTreeSet::new(),
            rest: Vec::new(),
            more_reports_follow: false,
        };
        ledger.control(|conductor| conductor.start(None, 0.0));
        ledger
    }

    /// Returns the status of the workflow.
    pub fn status(&self) -> Status {
        self.execution.status
    }

    /// Returns why it failed: the first of its errors.
    pub fn error_message(&self) -> Option<&str> {
        self.errors.first().map(|(_, cause)| cause.message.as_str())
    }

    /// Returns the rows that can be claimed now or after a delay, by task, route and item.
    pub fn ready(&self) -> Vec<&TaskRow> {
        if self.execution.paused {
            return Vec::new();
        }
        let claimable = |row: &&TaskRow| matches!(row.status, RowStatus::Ready | RowStatus::Delayed);
        let mut ready: Vec<&TaskRow> = self.rows.iter().filter(claimable).collect();
        ready.sort_by_key(|row| (&self.graph.node(row.key.node).name, row.key.route, row.index));
        ready
    }

    /// Returns the newest row of a task, by the task's name.
    pub fn find(&self, task: &str, route: u32, index: Option<u32>) -> Option<usize> {
        let node = self.graph.find(task)?;
        let wanted = |row: &TaskRow| row.key.node == node && row.key.route == route && row.index == index;
        (0..self.rows.len()).rev().find(|row| wanted(&self.rows[*row]))
    }

    /// Claims a row. Claiming a running row changes nothing.
    pub fn claim(&mut self, row: usize) -> Result<(), Refused> {
        match self.rows[row].status {
            RowStatus::Running => Ok(()),
            RowStatus::Ready if self.rows[row].is_claimable() && !self.execution.paused => {
                let due = self.rows[row].timeout.map(|seconds| self.now + f64::from(seconds));
                (self.rows[row].status, self.rows[row].due) = (RowStatus::Running, due);
                self.rows[row].started = Some(self.now);
                self.rows[row].attempts += 1;
                Ok(())
            }
            other => Err(Refused(format!("the task cannot be claimed: it is {other:?}"))),
        }
    }

    /// Reports a row. Returns how it ended, or `retrying`.
    pub fn report(&mut self, row: usize, end: TaskEnd, result: Option<Data>) -> Result<&'static str, Refused> {
        let answers = self.report_all(&[ReportedRow { row, end, result, error: None }])?;
        Ok(answers.first().copied().unwrap_or(end.name()))
    }

    /// Reports rows together, in order. If one of them is not running, none is reported.
    pub fn report_all(&mut self, outcomes: &[ReportedRow]) -> Result<Vec<&'static str>, Refused> {
        if let Some(outcome) = outcomes.iter().find(|outcome| self.rows[outcome.row].status != RowStatus::Running) {
            let status = self.rows[outcome.row].status;
            return Err(Refused(format!("the task is not running: it is {status:?}")));
        }
        let mut answers = Vec::with_capacity(outcomes.len());
        while answers.len() < outcomes.len() {
            answers.extend(self.report_some(&outcomes[answers.len()..]));
            self.more_reports_follow = answers.len() < outcomes.len();
            self.advance_own_tasks();
        }
        Ok(answers)
    }

    /// Reports running rows that are no longer needed as cancelled. Rows that are reported in the same batch are not
    /// cancelled.
    fn cancel_rest(&mut self) {
        if self.more_reports_follow {
            return;
        }
        for rest in std::mem::take(&mut self.rest) {
            for row in 0..self.rows.len() {
                let TaskRow { key, status, undo, lost_leases, .. } = &self.rows[row];
                if *status != RowStatus::Running || !rest.contains(*key) {
                    continue;
                }
                if !rest.running || undo.is_some() {
                    // It may finish, but is not taken over.
                    self.rows[row].max_lost_leases = Some(lost_leases + 1);
                } else {
                    let error = Some(not_needed());
                    let _ = self.report_all(&[ReportedRow { row, end: TaskEnd::Cancelled, result: None, error }]);
                }
            }
        }
    }

    /// Reports the first of these rows, and those after it until the changes must be settled.
    fn report_some(&mut self, outcomes: &[ReportedRow]) -> Vec<&'static str> {
        let rows: Vec<TaskRow> = outcomes.iter().map(|outcome| self.rows[outcome.row].clone()).collect();
        for outcome in outcomes {
            let row = &mut self.rows[outcome.row];
            (row.result, row.error) = (outcome.result.clone(), outcome.error.clone());
        }
        let now = self.now;
        let nothing = Some(Data::from(()));
        let ends = outcomes.iter().map(|outcome| (outcome.row, outcome.end)).collect();
        let times: Vec<Times> =
            rows.iter().map(|row| Times { completed: Some(self.moment(now)), ..self.times(row) }).collect();
        let mut answers = Vec::new();
        self.conduct(&ends, |conductor| {
            let mut reports = Vec::new();
            for ((row, times), outcome) in rows.iter().zip(&times).zip(outcomes) {
                let reported = Reported {
                    key: row.key,
                    index: row.index,
                    context: &row.context,
                    retries: row.retries,
                    max_retries: row.max_retries,
                    repetitions: row.repetitions,
                    elapsed: now - row.created,
                    end: outcome.end,
                    result: outcome.result.clone().or(nothing.clone()),
                    error: outcome.error.clone().or(nothing.clone()),
                    jitter: 0.5,
                    advice: row.advice,
                    closing: row.closing,
                    times: *times,
                    input: row.input.clone().or(nothing.clone()),
                    undo: row.undo.clone(),
                    undoable: None,
                    order: outcome.row as i64,
                };
                reports.push((outcome.row, conductor.finish(&reported)));
                if conductor.must_settle() {
                    break;
                }
            }
            answers = reports.iter().map(|(_, report)| report.state).collect();
            reports
        });
        answers
    }

    /// Returns the status of a task with all its items, as the engine sees it while they run and once they have ended.
    pub fn task_status(&self, key: TaskKey) -> &'static str {
        let places = || (0..self.rows.len()).filter(|row| self.rows[*row].key == key);
        let rows: Vec<RowEnd> = places().map(|row| self.row_end(row, &BTreeMap::new())).collect();
        let is_active = |row: usize| {
            let row = &self.rows[row];
            row.status == RowStatus::Running || row.is_pending() && row.retries == 0 && !row.awaits_retry
        };
        if rows.iter().all(|row| row.end.is_some()) {
            let items = self.graph.node(key.node).items.as_ref();
            return TaskOutcome::of_rows(items, &rows, self.execution.state.canceling_since).end.name();
        }
        match self.status() {
            Status::Canceling => Status::Canceling.name(),
            _ if places().any(is_active) => Status::Running.name(),
            _ => "retrying",
        }
    }

    /// Stops new claims.
    pub fn pause(&mut self) {
        self.control(|conductor| conductor.pause());
    }

    /// Allows claims again.
    pub fn resume(&mut self) {
        self.control(|conductor| conductor.resume());
    }

    /// Lets nothing new start, except what closes the execution.
    pub fn cancel(&mut self) {
        self.control(|conductor| conductor.cancel());
    }

    /// Ends it at once.
    pub fn force_cancel(&mut self) {
        self.control(|conductor| conductor.force_cancel());
    }

    /// Reruns tasks: those given by name and route, or all that failed; with `reset_items`, also successful items.
    pub fn rerun(&mut self, tasks: &[(String, u32)], reset_items: bool) -> Result<(), Refused> {
        if !self.over || self.status() == Status::Completed {
            return Err(Refused("only an execution that ended without success can be rerun".to_owned()));
        }
        let chosen: Vec<TaskKey> = match tasks {
            [] => {
                let resumes_undo = self.execution.resumes_undo();
                let is_next = |key: &&TaskKey| !resumes_undo || self.graph.node(key.node).undoes.is_some();
                self.execution.state.failures.iter().filter(is_next).copied().collect()
            }
            tasks => {
                let found = tasks.iter().map(|(name, route)| {
                    let node = self.graph.find(name).ok_or_else(|| Refused(format!("there is no task {name}")))?;
                    let newest = self.rows.iter().rev().find(|row| row.key.node == node && row.key.route == *route);
                    newest.map(|row| row.key).ok_or_else(|| Refused(format!("task {name} has not run")))
                });
                found.collect::<Result<_, _>>()?
            }
        };
        let reruns: Vec<Rerun> = chosen.iter().map(|key| self.rerun_of(*key, reset_items)).collect();
        if let Some(kept) = reruns.iter().find(|rerun| rerun.runs_undoable()) {
            return Err(Refused(format!("task {} has completed and has an undo", self.name(kept.key.node))));
        }
        let mut answer = Ok(());
        self.over = false;
        self.conduct(&BTreeMap::new(), |conductor| {
            answer = conductor.rerun(&reruns).map_err(Refused);
            Vec::new()
        });
        self.over |= answer.is_err();
        self.advance_own_tasks();
        answer
    }

    fn rerun_of(&self, key: TaskKey, reset_items: bool) -> Rerun {
        let rows: Vec<&TaskRow> = self.rows.iter().filter(|row| row.key == key).collect();
        let items = rows.first().is_some_and(|row| row.index.is_some()).then(|| {
            let kept = rows.iter().filter(|row| row.status == RowStatus::Ended(TaskEnd::Completed)).count();
            (rows.len() as u32, kept as u32)
        });
        let context = rows.first().map(|row| row.context.clone()).unwrap_or_default();
        let ended_at_once = rows.first().is_some_and(|row| row.action.is_none() && row.signal.is_none());
        let closing = rows.first().is_some_and(|row| row.closing);
        let order = self.rows.iter().rposition(|row| row.key == key).unwrap_or_default() as i64;
        let undoable =
            rows.iter().any(|row| row.undo_number.is_some() && row.status == RowStatus::Ended(TaskEnd::Completed));
        Rerun { key, context, items, reset_items, first: None, ended_at_once, closing, undoable, order }
    }

    /// Applies an event that reads nothing but the execution, along with its consequences.
    fn control(&mut self, event: impl Fn(&mut Conductor)) {
        self.conduct(&BTreeMap::new(), |conductor| {
            event(conductor);
            Vec::new()
        });
        self.advance_own_tasks();
    }

    /// Applies events and their consequences. Rows that are being reported end as reported.
    fn conduct(
        &mut self,
        reported: &BTreeMap<usize, TaskEnd>,
        mut event: impl FnMut(&mut Conductor) -> Vec<(usize, Report)>,
    ) {
        let graph = self.graph.clone();
        let facts = self.facts(reported);
        let mut conductor = Conductor::new(&graph, &facts, self.execution.clone());
        let reports = event(&mut conductor);
        let mut void = Reach::Nothing;
        let mut done = conductor.done();
        for (row, report) in reports {
            let now = self.now;
            let end = reported.get(&row);
            let row = &mut self.rows[row];
            match report.row {
                Row::Ended(end) => row.end(end, now),
                Row::Again(again) => {
                    row.await_again(now, again);
                    row.unknown =
                        row.undo.is_some() && end.is_some_and(|end| end.is_failure() && *end != TaskEnd::Failed);
                }
            }
            row.error = report.error.or(row.error.take());
        }
        while let Some((execution, changes)) = done.take() {
            self.execution = execution;
            self.due = self.due.filter(|_| self.execution.status == Status::Running);
            void = void.max(changes.void);
            let withdraw = changes.withdraw.clone();
            self.rest.extend(&changes.rest);
            self.update(&changes);
            let mut scheduled = changes.scheduled;
            let others = scheduled.split_off(changes.scheduled_before);
            self.insert(scheduled);
            let withdrawn = self.withdraw(&withdraw, &changes.rest);
            self.insert(others);
            if !withdraw.is_nothing() || !changes.rest.is_empty() {
                let facts = self.facts(&BTreeMap::new());
                let mut conductor = Conductor::new(&graph, &facts, self.execution.clone());
                conductor.withdrawn(&withdrawn);
                done = conductor.done();
            }
        }
        for row in 0..self.rows.len() {
            let closing = self.rows[row].closing || self.rows[row].undo.is_some();
            if self.rows[row].status == RowStatus::Running && void.reaches(closing) {
                let _ = self.report(row, TaskEnd::Cancelled, None);
            }
        }
    }

    fn update(&mut self, changes: &Changes) {
        self.fired.extend(&changes.fired);
        for (key, count) in &changes.released {
            let held = self.rows.iter_mut().filter(|row| row.key == *key && row.status == RowStatus::Held);
            held.take(*count as usize).for_each(|row| row.status = RowStatus::Ready);
        }
        for rerun in &changes.rerun_tasks {
            let mut open = rerun.released.unwrap_or(1);
            for row in self.rows.iter_mut().filter(|row| row.key == rerun.key) {
                if rerun.reset_items || row.status != RowStatus::Ended(TaskEnd::Completed) || rerun.released.is_none() {
                    (row.retries, row.repetitions) = (0, 0);
                    (row.started, row.completed, row.begun) = (None, None, false);
                    (row.result, row.undo_number, row.unknown) = (None, None, false);
                    row.status = if open > 0 { RowStatus::Ready } else { RowStatus::Held };
                    open = open.saturating_sub(1);
                }
            }
        }
        // `ready` knows that nothing can be claimed during a pause; only the remaining time of waits must be kept.
        let now = self.now;
        let waits = self.rows.iter_mut().filter(|row| row.begun && row.status == RowStatus::Ready);
        match changes.hold {
            Hold::Nothing => {}
            Hold::Pause => {
                waits.for_each(|row| row.due_in = row.due.take().map(|due| (due - now).max(0.0)));
                self.due_in = self.due.take().map(|due| (due - now).max(0.0));
            }
            Hold::Resume => {
                waits.for_each(|row| row.due = row.due.take().or(row.due_in.take().map(|left| now + left)));
                self.due = self.due.take().or(self.due_in.take().map(|left| now + left));
            }
        }
        if changes.rerun {
            self.errors.clear();
        }
        if changes.rerun || changes.reopened {
            (self.output, self.known_lists) = (None, None);
        }
        for NewUndo { row, number, call } in &changes.undos {
            let row = &mut self.rows[*row as usize];
            (row.undo, row.undo_number) = (Some(call.clone()), Some(*number));
        }
        self.update_variables(changes);
        self.errors.extend(changes.causes.iter().map(|cause| (self.now, cause.clone())));
        if let Some(end) = &changes.end {
            (self.output, self.known_lists) = (end.output.clone(), end.lists.clone());
            self.over = true;
        }
    }

    fn update_variables(&mut self, changes: &Changes) {
        if let Some(variables) = &changes.variables {
            self.base = variables.clone();
        }
        let known = Arc::make_mut(&mut self.changes);
        if changes.folded {
            *known = KnownChanges::all();
        }
        changes.replaced.iter().for_each(|(change, place)| known.remove(*change, *place));
        for NewEntry { change, place, entry } in &changes.published {
            known.add(*change, *place, entry.clone());
        }
        self.variables = variables::overlaid(&self.base, &known.published());
    }

    fn withdraw(&mut self, withdraw: &Withdraw, rest: &[Rest]) -> Vec<Withdrawn> {
        let mut withdrawn: BTreeMap<TaskKey, (u32, usize)> = BTreeMap::new();
        let now = self.now;
        for (place, row) in self.rows.iter_mut().enumerate().filter(|(_, row)| row.is_pending()) {
            let stays = row.unknown && withdraw.tasks != Reach::Everything;
            let is_rest = rest.iter().any(|rest| rest.contains(row.key));
            if (withdraw.reaches(row.key, row.closing) || is_rest) && !stays {
                row.end(TaskEnd::Cancelled, now);
                row.started = None;
                row.error = is_rest.then(not_needed).or(row.error.take());
                let (count, order) = withdrawn.entry(row.key).or_default();
                (*count, *order) = (*count + 1, place);
            }
        }
        let order = |place: usize| place as i64;
        withdrawn.into_iter().map(|(key, (count, place))| Withdrawn { key, count, order: order(place) }).collect()
    }

    fn insert(&mut self, tasks: Vec<NewTask>) {
        for task in tasks {
            let (status, due, result) = match task.start {
                Start::Ready => (RowStatus::Ready, None, None),
                Start::Delayed(seconds) => (RowStatus::Delayed, Some(self.now + seconds), None),
                Start::Held => (RowStatus::Held, None, None),
                Start::Ended(end, result) => (RowStatus::Ended(end), None, result),
            };
            self.rows.push(TaskRow {
                key: task.key,
                index: task.index,
                status,
                action: task.action,
                limits: task.limits,
                signal: task.signal,
                begun: false,
                input: task.input,
                context: task.context,
                due,
                due_in: None,
                timeout: task.timeout,
                created: self.now,
                awaits_retry: false,
                retries: 0,
                max_retries: task.max_retries as u32,
                closing: task.closing,
                repetitions: 0,
                started: None,
                completed: matches!(status, RowStatus::Ended(_)).then_some(self.now),
                attempts: 0,
                advice: Advice::None,
                lost_leases: 0,
                max_lost_leases: None,
                result,
                error: task.error,
                undo: task.undo,
                undo_number: None,
                unknown: false,
                undoes: task.undoes.map(|row| row as usize),
            });
        }
    }

    /// Returns the graph that it runs on.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns the name of a task.
    pub fn name(&self, node: NodeId) -> &str {
        &self.graph.node(node).name
    }
}
