//! What happens without a worker: time, routing tasks after a delay, and tasks that wait for a signal.

use super::{Ledger, Refused, ReportedRow, RowStatus, Signal, TaskRow};
use crate::engine::needless::not_needed;
use crate::engine::status::{Status, TaskEnd};
use crate::expression::{Data, Rendering, json};
use crate::graph::Node;
use std::cmp::Ordering;
use std::collections::VecDeque;

impl Ledger {
    /// Advances the time and processes what becomes due: delays, retries, and timeouts of tasks, waits and the
    /// workflow.
    pub fn wait(&mut self, seconds: f64) {
        self.now += seconds;
        let now = self.now;
        let mut due: Vec<usize> =
            (0..self.rows.len()).filter(|row| self.rows[*row].due.is_some_and(|due| due <= now)).collect();
        due.sort_by(|a, b| self.rows[*a].due.partial_cmp(&self.rows[*b].due).unwrap_or(Ordering::Equal));
        let late: Vec<usize> = due.iter().copied().filter(|row| self.is_late(*row)).collect();
        for row in due {
            let task = &mut self.rows[row];
            if task.status == RowStatus::Delayed {
                (task.status, task.due) = (RowStatus::Ready, None);
                task.retries += u32::from(std::mem::take(&mut task.awaits_retry));
            }
        }
        self.advance_own_tasks();
        for row in late {
            // Consequences of the other timeouts may have ended it or made it start over.
            if self.is_late(row) {
                self.time_out(row);
            }
        }
        if self.due.is_some_and(|due| due <= now) && !self.over {
            self.due = None;
            self.control(|conductor| conductor.time_out());
        }
    }

    /// Returns when something becomes due next, in seconds since the start.
    pub fn next_due(&self) -> Option<f64> {
        self.rows.iter().filter_map(|row| row.due).chain(self.due).reduce(f64::min)
    }

    /// Whether it has been running, or waiting for its signal, for too long.
    fn is_late(&self, row: usize) -> bool {
        let row = &self.rows[row];
        matches!(row.status, RowStatus::Running | RowStatus::Ready) && row.due.is_some_and(|due| due <= self.now)
    }

    /// Times out a row.
    fn time_out(&mut self, row: usize) {
        let task = &self.rows[row];
        let seconds = task.timeout.unwrap_or_default();
        let message = match &task.signal {
            None => format!("exceeded its timeout of {seconds} s"),
            Some(signal) => format!("timed out after {seconds} s waiting for signal `{signal}`"),
        };
        let error = Data::from_pairs([("type", Data::from("timeout")), ("message", Data::from(message))]);
        self.end(ReportedRow { row, end: TaskEnd::Timeout, result: None, error: Some(error) });
        self.advance_own_tasks();
    }

    /// Ends a row, regardless of who is working on it.
    fn end(&mut self, outcome: ReportedRow) {
        self.rows[outcome.row].status = RowStatus::Running;
        self.report_some(&[outcome]);
    }

    /// Advances tasks that need no worker and whose turn has come, until there are none. Tasks that wait for a signal
    /// begin to wait even while the execution is paused, and immediately take a signal that arrived earlier.
    pub(super) fn advance_own_tasks(&mut self) {
        let mut ended = VecDeque::new();
        loop {
            ended.extend(self.begin());
            let Some((row, result)) = ended.pop_front() else { return self.cancel_rest() };
            // The consequences of one may have ended another.
            if self.rows[row].status == RowStatus::Ready {
                self.end(ReportedRow { row, end: TaskEnd::Completed, result, error: None });
            }
        }
    }

    /// Begins the tasks whose turn has come. Returns those that end at once, with their results.
    fn begin(&mut self) -> Vec<(usize, Option<Data>)> {
        let paused = self.execution.paused;
        let begins = |row: &usize| {
            let row = &self.rows[*row];
            row.status == RowStatus::Ready && row.action.is_none() && !row.begun && !(paused && row.signal.is_none())
        };
        let own: Vec<usize> = (0..self.rows.len()).filter(begins).collect();
        let (waiting, routing): (Vec<usize>, Vec<usize>) =
            own.into_iter().partition(|row| self.rows[*row].signal.is_some());
        routing.iter().for_each(|row| self.rows[*row].begun = true);
        let waiting = waiting.into_iter().filter_map(|row| Some((row, self.begin_to_wait(row)?)));
        let waiting: Vec<_> = waiting.collect();
        routing.into_iter().map(|row| (row, None)).chain(waiting).collect()
    }

    /// Starts waiting for a signal. Returns the payload of the oldest one kept for it.
    fn begin_to_wait(&mut self, row: usize) -> Option<Option<Data>> {
        let task = &mut self.rows[row];
        (task.begun, task.started) = (true, Some(self.now));
        let limit = task.timeout.map(f64::from);
        match self.execution.paused {
            true => task.due_in = limit,
            false => task.due = limit.map(|seconds| self.now + seconds),
        }
        let name = task.signal.as_deref();
        let is_kept = |signal: &&mut Signal| Some(signal.name.as_str()) == name && signal.taken_by.is_none();
        let kept = self.signals.iter_mut().find(is_kept)?;
        kept.taken_by = Some(row);
        Some(kept.payload.clone())
    }

    /// Sends a signal: the row that has been waiting for it longest ends with its payload. If no row is waiting, the
    /// signal is kept. Sending it again with the same key changes nothing.
    pub fn signal(&mut self, name: &str, key: Option<&str>, payload: Option<Data>) -> Result<(), Refused> {
        let is_known = |signal: &Signal| signal.name == name && key.is_some() && signal.key.as_deref() == key;
        if self.signals.iter().any(is_known) {
            return Ok(());
        }
        let row = (0..self.rows.len()).find(|row| {
            let row = &self.rows[*row];
            row.status == RowStatus::Ready && row.begun && row.signal.as_deref() == Some(name)
        });
        if row.is_none() && self.status() != Status::Running {
            return Err(Refused("the execution does not accept signals".to_owned()));
        }
        if !self.graph.nodes.iter().any(|node| self.may_wait_for(node, name)) {
            return Err(Refused(format!("no task is waiting for signal {name}")));
        }
        let waited = self.rows.iter().enumerate().filter(|(_, row)| row.signal.as_deref() == Some(name));
        let newest = waited.filter_map(|(place, row)| Some((row.completed?, place, row)));
        let newest = newest.max_by(|a, b| (a.0, a.1).partial_cmp(&(b.0, b.1)).unwrap_or(Ordering::Equal));
        let is_late = |row: &TaskRow| match row.status {
            RowStatus::Ended(TaskEnd::Timeout) => true,
            RowStatus::Ended(TaskEnd::Cancelled) => row.error == Some(not_needed()),
            _ => false,
        };
        if row.is_none() && newest.is_some_and(|(_, _, row)| is_late(row)) {
            return Err(Refused(format!("signal {name} is too late")));
        }
        let schema = row.and_then(|row| self.graph.node(self.rows[row].key.node).signal_schema.as_ref());
        if let Some(schema) = schema
            && let Some(violation) = schema.violations(&payload.as_ref().map(json).unwrap_or_default()).list.first()
        {
            return Err(Refused(format!("the payload violates its schema: {}", violation.message)));
        }
        let (name, key) = (name.to_owned(), key.map(str::to_owned));
        self.signals.push(Signal { name, key, payload: payload.clone(), taken_by: row });
        if let Some(row) = row {
            self.end(ReportedRow { row, end: TaskEnd::Completed, result: payload, error: None });
            self.advance_own_tasks();
        }
        Ok(())
    }

    /// Whether a task may wait for the signal. The name in a template is known only when its task begins to wait.
    fn may_wait_for(&self, node: &Node, name: &str) -> bool {
        match &node.signal {
            None => false,
            Some(Rendering::Literal(signal)) => signal.as_str() == Some(name),
            Some(_) => true,
        }
    }
}
