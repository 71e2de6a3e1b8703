//! Operations on an execution: pause, resume, cancel, time out, resolve.

use crate::code::Code;
use crate::engine::cause::Cause;
use crate::engine::commands::Hold;
use crate::engine::conductor::Conductor;
use crate::engine::outcome::TaskOutcome;
use crate::engine::published;
use crate::engine::reported::Reported;
use crate::engine::status::{Reach, Status};
use crate::language::definition::CancellationPolicy;

impl Conductor<'_> {
    /// Stops new claims; running tasks may finish. Idempotent. Tasks that close an execution wait, too.
    pub fn pause(&mut self) {
        if !self.execution.has_ended() && !self.execution.paused {
            self.execution.paused = true;
            self.changes.hold = Hold::Pause;
        }
    }

    /// Allows claims again, and ends the execution if nothing is left to do.
    pub fn resume(&mut self) {
        if self.execution.paused {
            self.execution.paused = false;
            self.changes.hold = Hold::Resume;
            self.run();
        }
    }

    /// Lets nothing new start on the forward paths; the execution is cancelled once nothing is running and everything
    /// that closes it has ended. An execution that has already stopped is not changed.
    pub fn cancel(&mut self) {
        if self.execution.status != Status::Running {
            return;
        }
        if std::mem::take(&mut self.execution.paused) {
            self.changes.hold = Hold::Resume;
        }
        self.begin_cancel();
        if self.graph.cancellation_policy == CancellationPolicy::CancelRunning {
            self.changes.void = Reach::Forward;
        }
        self.run();
    }

    /// Cancels the execution because its caller is cancelled, which also ends its pause.
    pub fn cancel_called(&mut self) {
        match self.execution.status {
            Status::Running => self.cancel(),
            _ => self.resume(),
        }
    }

    /// Ends the execution at once: whatever waits or runs is cancelled, including what would close it.
    pub fn force_cancel(&mut self) {
        if self.execution.has_ended() || self.execution.state.forced {
            return;
        }
        self.execution.state.forced = true;
        self.execution.paused = false;
        self.begin_cancel();
        self.changes.withdraw.tasks = Reach::Everything;
        self.changes.void = Reach::Everything;
        self.run();
    }

    /// Repeats the withdrawals of a cancel, for tasks that were being claimed or reported when it happened.
    pub fn cancel_again(&mut self) {
        let reach = match self.execution.status {
            _ if self.execution.has_ended() => return,
            _ if self.execution.state.forced => Reach::Everything,
            Status::Canceling if self.graph.cancellation_policy == CancellationPolicy::CancelRunning => Reach::Forward,
            _ => return,
        };
        (self.changes.withdraw.tasks, self.changes.void) = (reach, reach);
        self.run();
    }

    fn begin_cancel(&mut self) {
        if self.execution.status == Status::Running && self.execution.state.verdict.is_some() {
            self.execution.state.verdict = Some(Status::Cancelled);
        }
        self.stop(Status::Canceling);
    }

    /// Withdraws the waiting tasks of a stopped execution that were being claimed when it stopped.
    pub fn withdraw_again(&mut self) {
        if self.execution.status != Status::Running && !self.execution.has_ended() {
            self.changes.withdraw.tasks = if self.execution.state.forced { Reach::Everything } else { Reach::Forward };
        }
    }

    /// Stops the workflow because its timeout has passed. If only its `finally` task is left, that continues.
    pub fn time_out(&mut self) {
        if self.execution.status == Status::Running && self.execution.state.verdict.is_none() {
            let message = "the workflow exceeded its timeout".to_owned();
            self.changes.causes.push(Cause::rule(Code::TIMED_OUT, None, message));
            self.stop(Status::Timeout);
            self.run();
        }
    }

    /// Settles a task whose failure was not handled, in an execution that has not ended, with a given outcome.
    /// `is_numbered` says whether it can be undone already, because it was unknown whether it was done. Returns the
    /// error that this causes, if any.
    pub fn resolve(&mut self, reported: &Reported, outcome: TaskOutcome, is_numbered: bool) -> Option<Cause> {
        let (causes, key) = (self.changes.causes.len(), reported.key);
        self.execution.state.failures.retain(|failed| *failed != key);
        self.execution.state.resolved = true;
        self.execution.state.live += 1;
        if !is_numbered {
            self.note_undo(reported, &outcome);
        }
        self.end_task(key, &published::shared(reported.context), outcome, reported.closing, reported.order);
        self.run();
        self.changes.causes.get(causes).cloned()
    }
}
