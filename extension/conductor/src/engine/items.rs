//! `with_items`: one row per item, limited concurrency, and a single end for all of them.

use crate::code::Code;
use crate::engine::cause::Cause;
use crate::engine::commands::{Again, Report, Row, Start, Withdrawn};
use crate::engine::conductor::Conductor;
use crate::engine::facts::Item;
use crate::engine::outcome::{ItemOutcomes, RowEnd, TaskOutcome};
use crate::engine::reported::Reported;

use crate::engine::state::{Context, Progress, TaskKey};
use crate::engine::status::{Status, TaskEnd};
use crate::expression::{Data, Rendering};
use crate::finding::shorten;
use crate::graph::node::{Items, Node};
use minijinja::value::ValueKind;

/// Maximum number of characters of an invalid value shown in messages.
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
        let total = list.len() as u32;
        let needed = items.needed(total);
        if let Some(needed) = needed.filter(|needed| *needed > total) {
            let message = format!("min_successes of task {} is {needed}, but it has only {total} items", node.name);
            return Err(Cause::rule(Code::ITEMS_NOT_RENDERED, Some(&node.name), message));
        }
        if list.is_empty() {
            let nothing = Some(Data::from(Vec::<Data>::new()));
            self.end_at_once(key, context, TaskEnd::Completed, nothing, closing);
            return Ok(());
        }
        let concurrency = self.count(node, "concurrency", &items.concurrency, vars.clone())?.unwrap_or(0);
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
            tolerated: items.tolerated(total),
            retries: 0,
            needed,
            stopped: false,
            closing,
        });
        Ok(())
    }

    fn item_list(&self, node: &Node, items: &Items, vars: Option<Data>) -> Result<Vec<Item>, Cause> {
        let list = self
            .render(&items.items, vars.clone(), None, None)
            .map_err(|error| Cause::evaluating(Code::ITEMS_NOT_RENDERED, "items", Some(&node.name), &error))?;
        if !matches!(list.kind(), ValueKind::Seq | ValueKind::Iterable) {
            let message = format!("items of task {} must be a list, not a {}", node.name, list.kind());
            return Err(Cause::rule(Code::ITEMS_NOT_RENDERED, Some(&node.name), message));
        }
        let length = list.len().unwrap_or(usize::MAX);
        if length > self.graph.bounds.items {
            let most = self.graph.bounds.items;
            let message = format!("task {} has {length} items, but at most {most} are allowed", node.name);
            return Err(Cause::rule(Code::LIMIT_EXCEEDED, Some(&node.name), message));
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
            .map_err(|error| Cause::evaluating(Code::ITEMS_NOT_RENDERED, what, Some(&node.name), &error))?;
        match value.as_i64() {
            Some(count) if count >= 1 => Ok(Some(u32::try_from(count).unwrap_or(u32::MAX))),
            _ => {
                let value = value.to_string();
                let message =
                    format!("{what} of task {} must be a positive integer, not {}", node.name, shorten(&value, SHOWN));
                Err(Cause::rule(Code::ITEMS_NOT_RENDERED, Some(&node.name), message))
            }
        }
    }

    /// Processes the report of an item. Whether it runs again is decided for each item separately, and before anything
    /// else: a failure that would be tolerated is retried, too.
    pub(crate) fn finish_item(&mut self, reported: &Reported) -> Report {
        let key = reported.key;
        let mut outcome = reported.outcome(ItemOutcomes::None);
        if let Some(again) = self.item_again(reported, &mut outcome) {
            self.wait_begins |= self.graph.node(key.node).signal.is_some() && again.delay <= 0.0;
            return Report::again(again);
        }
        let done = reported.outcome(ItemOutcomes::None);
        self.note_undo(reported, if reported.end == TaskEnd::Completed { &done } else { &outcome });
        let end = outcome.end;
        let error = outcome.error.filter(|_| end != reported.end);
        if let (Some(index), Some(error)) = (reported.index, &error) {
            self.decided.insert((key, index), (end, error.clone()));
        }
        let (paused, is_needless) = (self.execution.paused, self.is_needless(key.node, key.route));
        let (mut is_enough, mut stops) = (false, false);
        if let Some(progress) = self.execution.state.progress(key) {
            progress.ended += 1;
            progress.failed += u32::from(end.is_failure());
            progress.cancelled += u32::from(end == TaskEnd::Cancelled);
            let failed = progress.tolerated.is_some_and(|tolerated| progress.failed > tolerated);
            is_enough = progress.has_enough();
            if !progress.stopped && (failed || progress.cancelled > 0 || is_enough) {
                progress.stopped = true;
                stops = progress.ended < progress.total;
            }
        }
        if reported.end == TaskEnd::Cancelled && !paused && !is_needless && !is_enough {
            self.stop(Status::Canceling);
        }
        match stops {
            true if is_enough => self.stop_items(key),
            true => self.changes.withdraw.items.push(key),
            false => {}
        }
        self.release_next(key);
        self.settle_items(key, reported.order);
        Report { row: Row::Ended(end), error: error.filter(|_| end.is_failure()), state: end.name() }
    }

    /// Returns how an item runs again, or `None` if it does not. Items of a task that has already failed do not.
    fn item_again(&mut self, reported: &Reported, outcome: &mut TaskOutcome) -> Option<Again> {
        let progress = self.execution.state.progress(reported.key)?;
        let (stopped, closing, so_far) = (progress.stopped, progress.closing, progress.retries);
        let together = self.graph.node(reported.key.node).retry.as_ref().is_some_and(|retry| retry.together);
        let counted = Reported { retries: if together { so_far } else { reported.retries }, ..reported.clone() };
        let again = match self.again(&counted, outcome) {
            Ok(again) => again?,
            Err(cause) => {
                if reported.end == TaskEnd::Completed {
                    (outcome.end, outcome.error) = (TaskEnd::Failed, Some(cause.as_error()));
                }
                self.fail(Cause { item: reported.index, ..cause });
                return None;
            }
        };
        let is_needless = self.is_needless(reported.key.node, reported.key.route);
        if stopped || is_needless || !self.may_start(closing) {
            if again.repeats {
                outcome.end = TaskEnd::Cancelled;
            }
            return None;
        }
        if let Some(progress) = self.execution.state.progress(reported.key).filter(|_| together && !again.repeats) {
            progress.retries += 1;
        }
        Some(again)
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
    fn settle_items(&mut self, key: TaskKey, order: i64) {
        let Some(progress) = self.execution.state.progress(key) else { return };
        if progress.ended < progress.total {
            return;
        }
        let progress = progress.clone();
        let outcome = match self.item_outcome(key) {
            Some(outcome) => outcome,
            None if progress.has_enough() => TaskOutcome::of_unread_items(TaskEnd::Completed),
            None if progress.failed > progress.tolerated.unwrap_or(0) => {
                // The task failed as its first failed item in order did.
                self.missing.note();
                TaskOutcome::of_unread_items(TaskEnd::Failed)
            }
            None if progress.cancelled + progress.withdrawn > 0 => TaskOutcome::of_unread_items(TaskEnd::Cancelled),
            None => TaskOutcome::of_unread_items(TaskEnd::Completed),
        };
        self.execution.state.items.retain(|other| other.key != key);
        if outcome.end == TaskEnd::Cancelled && progress.cancelled > 0 && !self.is_needless(key.node, key.route) {
            self.stop(Status::Canceling);
        }
        self.end_task(key, &progress.context, outcome, progress.closing, order);
    }

    /// Returns the outcome of a task whose items have all ended, or `None` if their rows were not loaded.
    pub(crate) fn item_outcome(&self, key: TaskKey) -> Option<TaskOutcome> {
        let items = self.graph.node(key.node).items.as_ref();
        let rows = self.facts.items.get(&key)?;
        let canceling = self.execution.state.canceling_since;
        if self.decided.is_empty() {
            return Some(TaskOutcome::of_rows(items, rows, canceling));
        }
        let decided = |row: &RowEnd| match row.index.and_then(|index| self.decided.get(&(key, index))) {
            Some((end, error)) => RowEnd { end: Some(*end), error: error.clone(), ..row.clone() },
            None => row.clone(),
        };
        Some(TaskOutcome::of_rows(items, &rows.iter().map(decided).collect::<Vec<_>>(), canceling))
    }

    /// Processes the withdrawal of a task's waiting rows.
    pub(crate) fn withdrawn_task(&mut self, withdrawn: &Withdrawn) {
        let key = withdrawn.key;
        match self.execution.state.progress(key) {
            Some(progress) => {
                progress.ended += withdrawn.count;
                progress.withdrawn += withdrawn.count;
                self.settle_items(key, withdrawn.order);
            }
            None => {
                if !self.is_needless(key.node, key.route) {
                    self.execution.state.failures.push(key);
                }
                self.execution.state.live -= withdrawn.count;
            }
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
