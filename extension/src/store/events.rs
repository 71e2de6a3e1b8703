//! Events of a batch: failures, retries and timeouts always, every step if enabled.

use super::{Batch, column};
use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::pg::role;
use crate::pg::statements;
use crate::settings;
use crate::store::reporter::Reporter;
use conductor::engine::commands::Start;
use conductor::engine::state::{Phase, TaskKey};
use conductor::engine::status::{Status, TaskEnd};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;

/// An event to write. It concerns a task row given by its id, one that was just inserted, a task given by its name, or
/// a workflow execution.
#[derive(Default)]
struct Event {
    kind: &'static str,
    task: Option<i64>,
    run: Option<i64>,
    task_name: Option<String>,
    /// For a row just inserted: its route, visit and item.
    inserted: Option<(TaskKey, Option<u32>)>,
    message: Option<String>,
    error: Option<Jsonb>,
    /// Its worker, if no lease records it yet.
    worker: Option<String>,
    /// Role that reported it, if different from the role that is writing.
    role: Option<String>,
}

impl Batch {
    /// Writes the batch's events, if any, in one statement. `worker` is the worker that received the tasks handed over.
    pub(super) fn log(
        &self,
        client: &SpiClient,
        now: TimestampWithTimeZone,
        reporter: Reporter,
        worker: Option<String>,
    ) -> Result<(), Error> {
        let mut events = self.setbacks();
        if settings::log_transitions() {
            self.add_steps(&mut events, worker);
        }
        events.extend(self.verdicts(settings::log_transitions()));
        events.extend(self.undoing());
        if events.is_empty() {
            return Ok(());
        }
        let role = match reporter {
            Reporter::Worker(role) => Some(role),
            Reporter::Engine | Reporter::Operator => None,
        };
        let key = |event: &Event| event.inserted.map(|(key, _)| key);
        let arguments = [
            column(&events, |event| event.task),
            column(&events, |event| event.run),
            column(&events, |event| event.task_name.clone()),
            column(&events, |event| key(event).map(|key| key.route as i32)),
            column(&events, |event| key(event).map(|key| key.visit as i32)),
            column(&events, |event| event.inserted.and_then(|(_, index)| index).map(|index| index as i32)),
            column(&events, |event| event.kind),
            column(&events, |event| event.message.clone()),
            column(&events, |event| event.error),
            (i64::from(settings::node()) << 40).into(),
            now.into(),
            column(&events, |event| event.worker.clone()),
            role.map(role::name_of).into(),
            column(&events, |event| event.role.clone()),
        ];
        statements::run(client, include_str!("../../queries/log_events.sql"), &arguments)?;
        Ok(())
    }

    /// Returns events for rows that failed, for the resulting retries, and for tasks that could not begin.
    fn setbacks(&self) -> Vec<Event> {
        let failed = self.ended.iter().filter(|row| row.end.is_failure());
        let failed =
            failed.map(|row| Event { kind: row.end.name(), task: Some(row.id), error: row.error, ..Event::default() });
        let retried = self.retried.iter().filter(|row| !row.again.repeats);
        let retried =
            retried.map(|row| Event { kind: "retrying", task: Some(row.id), error: row.error, ..Event::default() });
        let unstarted = self.withdrawn_tasks.iter().chain(&self.tasks).filter(|task| task.is_unstarted());
        let unstarted = unstarted.map(|task| Event {
            kind: TaskEnd::Failed.name(),
            run: Some(task.run),
            task_name: Some(task.task_name.clone()),
            inserted: Some((task.task.key, task.task.index)),
            error: task.task.error.as_ref().and_then(Jsonb::new),
            ..Event::default()
        });
        failed.chain(retried).chain(unstarted).collect()
    }

    /// Adds all other events of tasks.
    fn add_steps(&self, events: &mut Vec<Event>, worker: Option<String>) {
        let ended = self.ended.iter().filter(|row| !row.end.is_failure());
        events.extend(ended.map(|row| Event {
            kind: row.end.name(),
            task: Some(row.id),
            role: row.role.clone(),
            ..Event::default()
        }));
        let repeated = self.retried.iter().filter(|row| row.again.repeats);
        events.extend(repeated.map(|row| Event { kind: "repeating", task: Some(row.id), ..Event::default() }));
        for (run, tasks) in &self.written.withdrawn {
            events.extend(tasks.iter().map(|rows| Event {
                kind: "cancelled",
                run: Some(*run),
                task_name: Some(rows.task_name.clone()),
                message: Some(format!("{} had not started", rows.count)),
                ..Event::default()
            }));
        }
        let tasks = self.withdrawn_tasks.iter().chain(&self.tasks);
        for task in tasks.filter(|task| !task.is_unstarted()) {
            let begun = match &task.task.start {
                Start::Ended(end, _) => end.name(),
                _ => "scheduled",
            };
            let started = (task.start == "leased").then_some("started");
            events.extend(std::iter::once(begun).chain(started).map(|kind| Event {
                kind,
                run: Some(task.run),
                task_name: Some(task.task_name.clone()),
                inserted: Some((task.task.key, task.task.index)),
                worker: worker.clone().filter(|_| kind == "started"),
                ..Event::default()
            }));
        }
    }

    /// Returns events for workflow executions that begin or finish undoing.
    fn undoing(&self) -> impl Iterator<Item = Event> {
        self.runs.iter().filter_map(|run| {
            let kind = match run.undoing? {
                Phase::Pending => return None,
                Phase::Running => "undoing",
                Phase::Done => "undone",
                Phase::Failed => "undo_failed",
                Phase::Stopped => "undo_stopped",
            };
            Some(Event { kind, run: Some(run.id), ..Event::default() })
        })
    }

    /// Returns events for workflow executions that failed or, if `all` is set, ended in any way.
    fn verdicts(&self, all: bool) -> impl Iterator<Item = Event> {
        let reported = self.runs.iter().filter(move |run| match run.status {
            Status::Failed | Status::Timeout => run.turned,
            Status::Completed | Status::Cancelled => all && run.ended,
            Status::Running | Status::Canceling => false,
        });
        reported.map(|run| Event {
            kind: run.status.name(),
            run: Some(run.id),
            message: run.causes.first().map(|cause| cause.message.clone()),
            ..Event::default()
        })
    }
}
