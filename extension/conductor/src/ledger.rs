//! An execution in memory: the rows that the extension keeps in tables, for tests and tools without a database.

use crate::changes::{Changes, Hold, Report, Row, Start, Withdraw, Withdrawn};
use crate::conductor::{Advice, Conductor, Reported};
use crate::control::Rerun;
use crate::expression::Data;
use crate::graph::{Graph, NodeId};
use crate::scope::Facts;
use crate::state::{Context, Execution, Status, TaskEnd, TaskKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a row stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowStatus {
    /// Waits for its turn among the items.
    Held,
    /// Claimable, in so many seconds.
    Ready(f64),
    /// Claimed.
    Running,
    /// Over.
    Ended(TaskEnd),
}

/// A row of `workflow_task_execution`.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// Which task.
    pub key: TaskKey,
    /// Which item.
    pub index: Option<u32>,
    /// How it stands.
    pub status: RowStatus,
    /// What a worker must do.
    pub action: Option<String>,
    /// The signal that it waits for.
    pub signal: Option<String>,
    /// The action's input.
    pub input: Option<Data>,
    /// What it sees.
    pub context: Context,
    /// Retries dispatched.
    pub retries: u32,
    /// Retries allowed.
    pub max_retries: u32,
    /// It ended without having begun.
    pub withdrawn: bool,
    /// What was reported.
    pub result: Option<Data>,
    /// What was reported of a failure.
    pub error: Option<Data>,
}

impl TaskRow {
    fn is_waiting(&self) -> bool {
        matches!(self.status, RowStatus::Held | RowStatus::Ready(_))
    }
}

/// An execution and its rows.
pub struct Ledger {
    graph: Arc<Graph>,
    parameters: Data,
    /// What the conductor remembers.
    pub execution: Execution,
    /// Every row there ever was.
    pub rows: Vec<TaskRow>,
    /// The variables, all branches merged.
    pub variables: Data,
    /// Why it failed.
    pub error_message: Option<String>,
    /// The output, once it is over.
    pub output: Option<Data>,
    /// It is over.
    pub over: bool,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Ledger {
    /// Starts an execution. The parameters have been checked.
    pub fn start(graph: Arc<Graph>, parameters: Data) -> Ledger {
        let mut ledger = Ledger {
            graph,
            parameters,
            execution: Execution::new(),
            rows: Vec::new(),
            variables: crate::context::empty(),
            error_message: None,
            output: None,
            over: false,
        };
        ledger.conduct(|conductor| conductor.start(0.0));
        ledger
    }

    /// Where the workflow stands.
    pub fn status(&self) -> Status {
        self.execution.status
    }

    /// The rows that can be claimed, now or in so many seconds, by task, route and item.
    pub fn ready(&self) -> Vec<&TaskRow> {
        if self.execution.paused {
            return Vec::new();
        }
        let mut ready: Vec<&TaskRow> =
            self.rows.iter().filter(|row| matches!(row.status, RowStatus::Ready(_))).collect();
        ready.sort_by_key(|row| (&self.graph.node(row.key.node).name, row.key.route, row.index));
        ready
    }

    /// The newest row of a task, by its name.
    pub fn find(&self, task: &str, route: u32, index: Option<u32>) -> Option<usize> {
        let node = self.graph.find(task)?;
        let wanted = |row: &TaskRow| row.key.node == node && row.key.route == route && row.index == index;
        (0..self.rows.len()).rev().find(|row| wanted(&self.rows[*row]))
    }

    /// Claims a row. Claiming what runs changes nothing.
    pub fn claim(&mut self, row: usize) -> Result<(), Refused> {
        match self.rows[row].status {
            RowStatus::Running => Ok(()),
            RowStatus::Ready(_) if !self.execution.paused => {
                self.rows[row].status = RowStatus::Running;
                Ok(())
            }
            other => Err(Refused(format!("the task cannot be claimed: it is {other:?}"))),
        }
    }

    /// Reports a row. The answer says how the task as a whole stands then.
    pub fn report(&mut self, row: usize, end: TaskEnd, result: Option<Data>) -> Result<&'static str, Refused> {
        if self.rows[row].status != RowStatus::Running {
            return Err(Refused(format!("the task is not running: it is {:?}", self.rows[row].status)));
        }
        let reported = self.rows[row].clone();
        self.rows[row].result = result.clone();
        let nothing = Data::from(());
        let mut report = None;
        let mut status = self.conduct_from(Some(row), |conductor| {
            report = Some(conductor.finish(&Reported {
                key: reported.key,
                index: reported.index,
                context: &reported.context,
                retries: reported.retries,
                max_retries: reported.max_retries,
                elapsed: 0.0,
                end,
                result: Some(result.clone().unwrap_or_else(|| nothing.clone())),
                error: Some(nothing.clone()),
                jitter: 0.5,
                advice: Advice::None,
            }));
            report.clone()
        });
        status.reverse();
        let whole = status.into_iter().find(|(key, _)| *key == reported.key).map(|(_, status)| status);
        Ok(whole.or(report.map(|report| report.task_status)).unwrap_or(end.name()))
    }

    /// No new claims.
    pub fn pause(&mut self) {
        self.conduct(|conductor| conductor.pause());
    }

    /// Claims again.
    pub fn resume(&mut self) {
        self.conduct(|conductor| conductor.resume());
    }

    /// Nothing new starts.
    pub fn cancel(&mut self) {
        self.conduct(|conductor| conductor.cancel());
    }

    /// Runs failed tasks again: those named with their route and whether all items begin anew, or all that failed.
    pub fn rerun(&mut self, tasks: &[(String, u32, bool)]) -> Result<(), Refused> {
        if !self.over || self.status() == Status::Completed {
            return Err(Refused("only an execution that ended without success can be rerun".to_owned()));
        }
        let chosen: Vec<(TaskKey, bool)> = match tasks {
            [] => self.execution.state.failures.iter().map(|key| (*key, false)).collect(),
            tasks => {
                let found = tasks.iter().map(|(name, route, reset)| {
                    let node = self.graph.find(name).ok_or_else(|| Refused(format!("there is no task {name}")))?;
                    let newest = self.rows.iter().rev().find(|row| row.key.node == node && row.key.route == *route);
                    newest.map(|row| (row.key, *reset)).ok_or_else(|| Refused(format!("task {name} has not run")))
                });
                found.collect::<Result<_, _>>()?
            }
        };
        let reruns: Vec<Rerun> = chosen.iter().map(|(key, reset)| self.rerun_of(*key, *reset)).collect();
        let mut answer = Ok(());
        self.over = false;
        self.conduct(|conductor| {
            answer = conductor.rerun(&reruns).map_err(Refused);
        });
        self.over |= answer.is_err();
        answer
    }

    fn rerun_of(&self, key: TaskKey, reset_items: bool) -> Rerun {
        let rows: Vec<&TaskRow> = self.rows.iter().filter(|row| row.key == key).collect();
        let items = rows.first().is_some_and(|row| row.index.is_some()).then(|| {
            let kept = rows.iter().filter(|row| row.status == RowStatus::Ended(TaskEnd::Completed)).count();
            (rows.len() as u32, kept as u32)
        });
        let context = rows.first().map(|row| row.context.clone()).unwrap_or_default();
        Rerun { key, context, items, reset_items }
    }

    fn conduct(&mut self, mut event: impl FnMut(&mut Conductor)) {
        self.conduct_from(None, |conductor| {
            event(conductor);
            None
        });
    }

    /// Lets events happen, and what they lead to; gives the ends of tasks with items.
    fn conduct_from(
        &mut self,
        row: Option<usize>,
        mut event: impl FnMut(&mut Conductor) -> Option<Report>,
    ) -> Vec<(TaskKey, &'static str)> {
        let graph = self.graph.clone();
        let facts = self.facts();
        let mut conductor = Conductor::new(&graph, &facts, self.execution.clone());
        let report = event(&mut conductor);
        let mut ends = Vec::new();
        let mut void = false;
        let mut done = conductor.done();
        if let (Some(row), Some(report)) = (row, report) {
            self.rows[row].status = match report.row {
                Row::Ended(end) => RowStatus::Ended(end),
                Row::Retry(delay) => {
                    self.rows[row].retries += 1;
                    RowStatus::Ready(delay)
                }
            };
        }
        while let Some((execution, changes)) = done.take() {
            self.execution = execution;
            ends.extend(changes.whole_ends.iter().copied());
            void |= changes.void;
            let withdraw = changes.withdraw.clone();
            self.update(&changes);
            let withdrawn = self.withdraw(&withdraw);
            self.insert(changes);
            if withdraw != Withdraw::Nothing {
                let facts = self.facts();
                let mut conductor = Conductor::new(&graph, &facts, self.execution.clone());
                conductor.withdrawn(&withdrawn);
                done = conductor.done();
            }
        }
        for row in 0..self.rows.len() {
            if void && self.rows[row].status == RowStatus::Running {
                let _ = self.report(row, TaskEnd::Cancelled, None);
            }
        }
        ends
    }

    fn facts(&self) -> Facts {
        let mut tasks = BTreeMap::new();
        let mut lists: BTreeMap<TaskKey, Vec<Data>> = BTreeMap::new();
        for row in &self.rows {
            let result = row.result.clone().unwrap_or(Data::from(()));
            if row.index.is_some() && !row.withdrawn {
                lists.entry(row.key).or_default().push(result.clone());
            }
            if let RowStatus::Ended(end) = row.status {
                let result = lists.get(&row.key).map_or(result, |list| Data::from(list.clone()));
                let error = row.error.clone().unwrap_or(Data::from(()));
                let view = [("status", Data::from(end.name())), ("result", result), ("error", error)];
                tasks.insert(self.graph.node(row.key.node).name.clone(), Data::from_pairs(view));
            }
        }
        Facts {
            parameters: Some(self.parameters.clone()),
            variables: Some(self.variables.clone()),
            tasks: Arc::new(tasks),
            all_tasks: true,
            results: lists.into_iter().map(|(key, list)| (key, Data::from(list))).collect(),
            system: Data::from_pairs([("workflow_ref", self.graph.reference.as_str())]),
        }
    }

    fn update(&mut self, changes: &Changes) {
        for (key, count) in &changes.released {
            let held = self.rows.iter_mut().filter(|row| row.key == *key && row.status == RowStatus::Held);
            held.take(*count as usize).for_each(|row| row.status = RowStatus::Ready(0.0));
        }
        for retry in &changes.items_retried {
            let mut open = retry.released;
            for row in self.rows.iter_mut().filter(|row| row.key == retry.key) {
                row.retries += 1;
                row.status = if open > 0 { RowStatus::Ready(retry.delay) } else { RowStatus::Held };
                open = open.saturating_sub(1);
            }
        }
        for rerun in &changes.rerun_tasks {
            let mut open = rerun.released.unwrap_or(1);
            for row in self.rows.iter_mut().filter(|row| row.key == rerun.key) {
                if rerun.reset_items || row.status != RowStatus::Ended(TaskEnd::Completed) || rerun.released.is_none() {
                    row.retries = 0;
                    row.withdrawn = false;
                    row.result = None;
                    row.status = if open > 0 { RowStatus::Ready(0.0) } else { RowStatus::Held };
                    open = open.saturating_sub(1);
                }
            }
        }
        // Pausing shows in `ready`: the ledger's rows need no mark.
        debug_assert!(matches!(changes.hold, Hold::Nothing | Hold::Pause | Hold::Resume));
        if changes.rerun {
            self.error_message = None;
            self.output = None;
        }
        if let Some(variables) = &changes.variables {
            self.variables = variables.clone();
        }
        if let Some(message) = &changes.error_message {
            self.error_message = Some(message.clone());
        }
        if let Some(end) = &changes.end {
            self.output = end.output.clone();
            self.over = true;
        }
    }

    fn withdraw(&mut self, withdraw: &Withdraw) -> Vec<Withdrawn> {
        let mut withdrawn: BTreeMap<TaskKey, u32> = BTreeMap::new();
        for row in self.rows.iter_mut().filter(|row| row.is_waiting()) {
            let meant = match withdraw {
                Withdraw::Nothing => false,
                Withdraw::Items(keys) => keys.contains(&row.key),
                Withdraw::Everything => true,
            };
            if meant {
                row.status = RowStatus::Ended(TaskEnd::Cancelled);
                row.withdrawn = true;
                *withdrawn.entry(row.key).or_default() += 1;
            }
        }
        withdrawn.into_iter().map(|(key, count)| Withdrawn { key, count }).collect()
    }

    fn insert(&mut self, changes: Changes) {
        for task in changes.scheduled {
            let (status, result) = match task.start {
                Start::Ready => (RowStatus::Ready(0.0), None),
                Start::Delayed(seconds) => (RowStatus::Ready(seconds), None),
                Start::Held => (RowStatus::Held, None),
                Start::Ended(end, result) => (RowStatus::Ended(end), result),
            };
            self.rows.push(TaskRow {
                key: task.key,
                index: task.index,
                status,
                action: task.action,
                signal: task.signal,
                input: task.input,
                context: task.context,
                retries: 0,
                max_retries: task.max_retries as u32,
                withdrawn: false,
                result,
                error: None,
            });
        }
    }

    /// Broken invariants; none when all is well.
    pub fn check(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let live_rows = self.rows.iter().filter(|row| !matches!(row.status, RowStatus::Ended(_))).count();
        if self.over && live_rows > 0 {
            broken.push(format!("the execution is over and {live_rows} of its tasks live"));
        }
        let mut live: Vec<(TaskKey, Option<u32>)> = self
            .rows
            .iter()
            .filter(|row| !matches!(row.status, RowStatus::Ended(_)))
            .map(|row| (row.key, row.index))
            .collect();
        live.sort_unstable();
        let rows = live.len();
        live.dedup();
        if live.len() < rows {
            broken.push("a task lives twice at once".to_owned());
        }
        live.dedup_by_key(|(key, _)| *key);
        if !self.over && live.len() as u32 != self.execution.state.live {
            broken.push(format!("{} tasks live, the state says {}", live.len(), self.execution.state.live));
        }
        for progress in &self.execution.state.items {
            let of_task = self.rows.iter().filter(|row| row.key == progress.key);
            let active = of_task.filter(|row| matches!(row.status, RowStatus::Ready(_) | RowStatus::Running)).count();
            if progress.concurrency > 0 && active as u32 > progress.concurrency {
                broken.push(format!("{active} items of a task are active, {} may be", progress.concurrency));
            }
        }
        broken
    }

    /// The graph it runs on.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The name of a task.
    pub fn name(&self, node: NodeId) -> &str {
        &self.graph.node(node).name
    }
}
