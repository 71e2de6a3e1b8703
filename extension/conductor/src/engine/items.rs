//! `with_items`: one row per item, limited concurrency, and a single end for all of them.

use crate::engine::cause::Cause;
use crate::engine::commands::{ItemsRetry, Report, Row, Start, Withdrawn};
use crate::engine::conductor::{Advice, Conductor, EndedTask, Reported, Work};
use crate::engine::facts::{Item, Outcome};
use crate::engine::state::{Context, Progress, Status, TaskEnd, TaskKey};
use crate::expression::{Data, Rendering};
use crate::graph::{Items, Node};
use crate::language::definition::{MaxFailures, OnItemFailure};
use crate::language::finding::shorten;
use minijinja::value::ValueKind;

/// Number of characters of an invalid value shown in messages.
pub(crate) const SHOWN: usize = 100;

impl Conductor<'_> {
    pub(crate) fn prepare_items(
        &mut self,
        node: &Node,
        key: TaskKey,
        context: &Context,
        vars: Option<Data>,
        (delay, closing): (Option<f64>, bool),
    ) -> Result<(), Cause> {
        let Some(items) = &node.items else { return Ok(()) };
        let list = self.item_list(node, items, vars.clone())?;
        if list.is_empty() {
            let nothing = Some(Data::from(Vec::<Data>::new()));
            self.end_at_once(key, context, TaskEnd::Completed, nothing, closing);
            return Ok(());
        }
        let concurrency = self.count(node, "concurrency", &items.concurrency, vars.clone())?.unwrap_or(0);
        let total = list.len() as u32;
        let released = if concurrency == 0 { total } else { concurrency.min(total) };
        let mut tasks = Vec::with_capacity(list.len());
        for (index, item) in list.into_iter().enumerate() {
            let start = match delay {
                _ if index as u32 >= released => Start::Held,
                None => Start::Ready,
                Some(seconds) => Start::Delayed(seconds),
            };
            tasks.push(self.new_task(node, key, context, vars.clone(), Some(&item), (start, closing))?);
        }
        let max_retries = tasks.first().map_or(0, |task| task.max_retries as u32);
        self.changes.scheduled.extend(tasks);
        self.execution.state.items.push(Progress {
            key,
            context: context.clone(),
            total,
            released,
            ended: 0,
            failed: 0,
            cancelled: 0,
            withdrawn: 0,
            concurrency,
            tolerated: tolerated(items, total),
            retries: 0,
            max_retries,
            stopped: false,
            final_failure: false,
            closing,
            // If items wait for their turn, every end matters.
            uncounted: concurrency == 0 && total > 1,
        });
        Ok(())
    }

    fn item_list(&self, node: &Node, items: &Items, vars: Option<Data>) -> Result<Vec<Item>, Cause> {
        let list = self
            .render(&items.items, vars.clone(), None, None)
            .map_err(|error| Cause::evaluating("WF603", "items", Some(&node.name), &error))?;
        if !matches!(list.kind(), ValueKind::Seq | ValueKind::Iterable) {
            let message = format!("items of task {} must be a list, not a {}", node.name, list.kind());
            return Err(Cause::rule("WF603", Some(&node.name), message));
        }
        let length = list.len().unwrap_or(usize::MAX);
        if length > self.graph.limits.items {
            let most = self.graph.limits.items;
            let message = format!("task {} has {length} items, but at most {most} are allowed", node.name);
            return Err(Cause::rule("WF614", Some(&node.name), message));
        }
        let single: Vec<Data> = list.try_iter().into_iter().flatten().map(|item| named(&items.names, item)).collect();
        let size = self.count(node, "batch_size", &items.batch_size, vars)?;
        Ok(match size {
            None | Some(0) => (0..).zip(single).map(|(index, item)| Item { item, index, batch: None }).collect(),
            Some(size) => {
                let batches = single.chunks(size as usize).map(|batch| Data::from(batch.to_vec()));
                (0..).zip(batches).map(|(index, item)| Item { item, index, batch: Some(index) }).collect()
            }
        })
    }

    pub(crate) fn count(
        &self,
        node: &Node,
        what: &str,
        rendering: &Option<Rendering>,
        vars: Option<Data>,
    ) -> Result<Option<u32>, Cause> {
        let Some(rendering) = rendering else { return Ok(None) };
        let value = self
            .render(rendering, vars, None, None)
            .map_err(|error| Cause::evaluating("WF603", what, Some(&node.name), &error))?;
        match value.as_i64() {
            Some(count) if count >= 1 => Ok(Some(u32::try_from(count).unwrap_or(u32::MAX))),
            _ => {
                let value = value.to_string();
                let message =
                    format!("{what} of task {} must be a positive integer, not {}", node.name, shorten(&value, SHOWN));
                Err(Cause::rule("WF603", Some(&node.name), message))
            }
        }
    }

    /// Processes the report of an item.
    pub(crate) fn finish_item(&mut self, reported: &Reported) -> Report {
        let key = reported.key;
        let paused = self.execution.paused;
        let mut stop = None;
        if let Some(progress) = self.execution.state.progress(key) {
            progress.ended += 1;
            progress.failed += u32::from(reported.end.is_failure());
            progress.final_failure |= reported.advice == Advice::Never;
            progress.cancelled += u32::from(reported.end == TaskEnd::Cancelled);
            let failed = progress.tolerated.is_some_and(|tolerated| progress.failed > tolerated);
            if !progress.stopped && (failed || progress.cancelled > 0) {
                progress.stopped = true;
                stop = Some(progress.ended < progress.total);
            }
        }
        if reported.end == TaskEnd::Cancelled && !paused {
            self.stop(Status::Canceling);
        }
        if stop == Some(true) {
            self.changes.withdraw.items.push(key);
        }
        self.release_next(key);
        self.settle_items(key, reported);
        let going = if self.execution.status == Status::Canceling { "canceling" } else { "running" };
        let whole = self.changes.whole_ends.iter().rev().find(|(ended, _)| *ended == key).map(|(_, status)| *status);
        Report { row: Row::Ended(reported.end), task_status: whole.unwrap_or(going) }
    }

    /// Releases the next item after one has ended.
    fn release_next(&mut self, key: TaskKey) {
        let (status, forced) = (self.execution.status, self.execution.state.forced);
        if let Some(progress) = self.execution.state.progress(key)
            && !forced
            && (status == Status::Running || progress.closing)
            && !progress.stopped
            && progress.released < progress.total
        {
            progress.released += 1;
            self.wait_begins |= self.graph.node(key.node).signal.is_some();
            match self.changes.released.iter_mut().find(|(released, _)| *released == key) {
                Some((_, count)) => *count += 1,
                None => self.changes.released.push((key, 1)),
            }
        }
    }

    /// Ends the task once all items have ended.
    fn settle_items(&mut self, key: TaskKey, reported: &Reported) {
        let canceling = self.execution.status == Status::Canceling;
        let Some(progress) = self.execution.state.progress(key) else { return };
        if progress.ended < progress.total {
            return;
        }
        let progress = progress.clone();
        let failed = progress.failed > progress.tolerated.unwrap_or(0);
        let end = if progress.cancelled > 0 || (canceling && failed) {
            TaskEnd::Cancelled
        } else if failed {
            if reported.end.is_failure() { reported.end } else { TaskEnd::Failed }
        } else if progress.withdrawn > 0 {
            TaskEnd::Cancelled
        } else {
            TaskEnd::Completed
        };
        let whole = Reported {
            index: None,
            closing: progress.closing,
            context: &progress.context,
            retries: progress.retries,
            max_retries: progress.max_retries,
            end,
            result: self.facts.results.get(&key).cloned(),
            ..reported.clone()
        };
        let whole = if progress.final_failure { Reported { advice: Advice::Never, ..whole } } else { whole };
        let outcome = Outcome { status: end.name(), result: whole.result.clone(), error: whole.error.clone() };
        match self.retry(&whole, &outcome) {
            Ok(Some(delay)) if self.goes_on(progress.closing) => return self.retry_items(key, delay),
            Ok(_) => {}
            Err(cause) => self.fail(cause),
        }
        self.execution.state.items.retain(|other| other.key != key);
        self.changes.whole_ends.push((key, end.name()));
        if end == TaskEnd::Cancelled && progress.cancelled > 0 {
            self.stop(Status::Canceling);
        }
        let item = reported.index.filter(|_| reported.end.is_failure());
        let (context, closing) = (progress.context, progress.closing);
        self.work.push_back(Work::Ended(EndedTask { key, context, outcome, end, closing, refusal: None, item }));
    }

    fn retry_items(&mut self, key: TaskKey, delay: f64) {
        let Some(progress) = self.execution.state.progress(key) else { return };
        let released =
            if progress.concurrency == 0 { progress.total } else { progress.concurrency.min(progress.total) };
        progress.released = released;
        (progress.ended, progress.failed, progress.cancelled, progress.withdrawn) = (0, 0, 0, 0);
        progress.retries += 1;
        self.wait_begins |= self.graph.node(key.node).signal.is_some() && delay <= 0.0;
        (progress.stopped, progress.final_failure) = (false, false);
        progress.uncounted = progress.concurrency == 0 && progress.total > 1;
        self.changes.items_retried.push(ItemsRetry { key, delay, released });
        self.changes.whole_ends.push((key, "retrying"));
    }

    /// Processes the withdrawal of a task's waiting rows.
    pub(crate) fn withdrawn_task(&mut self, withdrawn: &Withdrawn) {
        let key = withdrawn.key;
        match self.execution.state.progress(key) {
            Some(progress) => {
                progress.ended += withdrawn.count;
                progress.withdrawn += withdrawn.count;
                let nothing = Reported::withdrawn(key);
                self.settle_items(key, &nothing);
            }
            None => {
                self.execution.state.failures.push(key);
                self.execution.state.live -= withdrawn.count;
            }
        }
    }
}

impl Reported<'static> {
    /// Stands for rows that ended without being reported.
    fn withdrawn(key: TaskKey) -> Reported<'static> {
        Reported {
            key,
            index: None,
            context: &[],
            retries: 0,
            max_retries: 0,
            elapsed: 0.0,
            end: TaskEnd::Cancelled,
            result: None,
            error: Some(Data::from(())),
            jitter: 0.5,
            advice: Default::default(),
            closing: false,
        }
    }
}

fn named(names: &[String], item: Data) -> Data {
    match names {
        [] => item,
        [name] => Data::from_pairs([(name.clone(), item)]),
        names => {
            let parts: Vec<Data> = item.try_iter().into_iter().flatten().collect();
            Data::from_pairs(names.iter().cloned().zip(parts))
        }
    }
}

/// Whether a task with this many failed items counts as completed.
pub fn tolerates(items: &Items, total: u32, failed: u32) -> bool {
    failed <= tolerated(items, total).unwrap_or(0)
}

/// Returns how many failed items a task tolerates; beyond that, no new item starts. None: all items run, and none may
/// fail.
pub(crate) fn tolerated(items: &Items, total: u32) -> Option<u32> {
    match (items.on_item_failure, items.max_failures) {
        (OnItemFailure::FailFast, _) => Some(0),
        (OnItemFailure::Continue, None) => None,
        (OnItemFailure::Continue, Some(MaxFailures::Count(count))) => Some(count),
        (OnItemFailure::Continue, Some(MaxFailures::Percent(percent))) => {
            Some((f64::from(total) * percent / 100.0).floor() as u32)
        }
    }
}
