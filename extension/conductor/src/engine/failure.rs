//! Failures: what an unhandled one does to the workflow, and how it is described.

use crate::engine::cause::{self, Cause};
use crate::engine::commands::Start;
use crate::engine::conductor::Conductor;
use crate::engine::status::{Reach, Status};
use crate::engine::work::EndedTask;
use crate::expression::Data;

impl Conductor<'_> {
    /// Fails the workflow because of how a task ended.
    pub(crate) fn close(&mut self, ended: &EndedTask, fails_explicitly: bool, error: Option<Data>) {
        if ended.end.is_failure() {
            self.execution.state.failures.push(ended.key);
        }
        let cause = match &ended.refusal {
            Some(cause) => cause.clone(),
            None if let (true, Some(error)) = (fails_explicitly, &error) => self.explicit_cause(ended, error),
            None if fails_explicitly => self.cause_of(ended, "transitioned to fail"),
            None => self.cause_of(ended, &format!("ended as {} and no transition handles it", ended.end.name())),
        };
        self.fail(cause);
    }

    /// Describes a failure with the error that its transition specifies.
    fn explicit_cause(&self, ended: &EndedTask, error: &Data) -> Cause {
        let name = &self.graph.node(ended.key.node).name;
        let said = cause::saying(error).map(|said| format!(": {said}")).unwrap_or_default();
        let message = format!("task {name} transitioned to fail{said}");
        Cause { task: Some(name.clone()), message, error: Some(error.clone()), ..Cause::default() }
    }

    /// Describes a task's end as a cause, with what was reported.
    pub(crate) fn cause_of(&self, ended: &EndedTask, what: &str) -> Cause {
        let name = &self.graph.node(ended.key.node).name;
        if ended.outcome.error.is_none() {
            self.missing.note();
        }
        let error = ended.outcome.error.clone().filter(|_| ended.end.is_failure());
        let said = error.as_ref().and_then(cause::saying).map(|said| format!(": {said}")).unwrap_or_default();
        let failed = ended.outcome.first_failed_item();
        let item = failed.filter(|_| !said.is_empty()).map(|item| format!(": item {item}")).unwrap_or_default();
        let message = format!("task {name} {what}{item}{said}");
        Cause { task: Some(name.clone()), item: failed, message, error, ..Cause::default() }
    }

    /// Fails the workflow: running tasks may finish, tasks that close it still run, and nothing new starts on the
    /// forward paths. If the workflow has already stopped, this only adds a cause.
    pub(crate) fn fail(&mut self, cause: Cause) {
        self.changes.causes.push(cause);
        if let Some(verdict @ Status::Completed) = &mut self.execution.state.verdict {
            *verdict = Status::Failed;
        }
        self.stop(Status::Failed);
    }

    /// Lets nothing new start on the forward paths, and withdraws tasks that wait there.
    pub(crate) fn stop(&mut self, status: Status) {
        if self.execution.status != Status::Running {
            return;
        }
        self.execution.status = status;
        self.execution.state.canceling_since = (status == Status::Canceling).then_some(self.facts.now);
        // Tasks scheduled by an earlier event are withdrawn as if they had rows. Tasks scheduled by this event never
        // existed: they go back to where a rerun finds them.
        self.changes.scheduled_before = self.scheduled_before;
        for (place, task) in std::mem::take(&mut self.changes.scheduled).into_iter().enumerate() {
            if place < self.scheduled_before || matches!(task.start, Start::Ended(..)) || task.closing {
                self.changes.scheduled.push(task);
            } else {
                self.unschedule(task);
            }
        }
        self.changes.withdraw.tasks = self.changes.withdraw.tasks.max(Reach::Forward);
    }
}
