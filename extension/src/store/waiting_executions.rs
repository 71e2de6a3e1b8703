//! Executions that wait to begin, and executions whose slots become free.

use super::Batch;
use crate::error::Error;
use crate::limits::{self, admit::free_slots, concurrency};
use crate::pg::rows::numbers;
use crate::pg::statements;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::BTreeSet;

impl Batch {
    /// Takes slots for executions that continue after their end, and keeps the tasks of executions that wait to begin
    /// from being claimed.
    pub(super) fn keep_first_tasks(&mut self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<(), Error> {
        if !self.entering_again.is_empty() {
            let runs = std::mem::take(&mut self.entering_again);
            self.waits.extend(concurrency::take_slots_again(client, now, runs)?);
        }
        if !self.waits.is_empty() {
            let waiting: BTreeSet<i64> = self.waits.iter().map(|wait| wait.run).collect();
            let tasks = self.withdrawn_tasks.iter_mut().chain(&mut self.tasks);
            tasks.filter(|task| waiting.contains(&task.run)).for_each(|task| task.paused = true);
        }
        Ok(())
    }

    /// Records which executions wait to begin, and frees the slots of those that have ended.
    pub(super) fn write_waits(&mut self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<(), Error> {
        if !self.waits.is_empty() {
            concurrency::note(client, now, &self.waits)?;
            let arguments = [self.waits.iter().map(|wait| wait.run).collect::<Vec<_>>().into(), now.into()];
            let kept = statements::run(client, include_str!("../../queries/hold_first_tasks.sql"), &arguments)?;
            let kept: BTreeSet<i64> = numbers(kept, 1)?.into_iter().collect();
            self.written.own.retain(|task| !kept.contains(task));
        }
        if !self.leaving.is_empty() {
            let arguments = [self.leaving.clone().into(), now.into()];
            statements::run(client, include_str!("../../queries/stop_waiting_to_begin.sql"), &arguments)?;
            let ended: Vec<i64> = self.leaving.iter().filter(|run| self.ends.contains(run)).map(|run| -run).collect();
            if !ended.is_empty() && limits::are_in_use() {
                free_slots(client, now, ended)?;
            }
        }
        Ok(())
    }
}
