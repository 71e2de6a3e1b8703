//! Operations on an execution that has not ended: pause, resume, cancel.

use crate::engine::control_log;
use crate::engine::family_lock::{Family, Patience, lock};
use crate::engine::propagation;
use crate::engine::settle::settle;
use crate::error::Error;
use crate::pg::statements;
use conductor::code::Code;
use conductor::engine::status::Status;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

fn wrong_state(execution: i64, wanted: &str, is: &str, hint: &str) -> Error {
    Error::refused(Code::WRONG_STATE, format!("execution {execution} cannot be {wanted}: it is {is}"), hint)
}

/// An operation on an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Stops new claims.
    Pause,
    /// Allows claims again.
    Resume,
    /// Stops everything that leads forward.
    Cancel,
    /// Stops everything at once.
    ForceCancel,
}

/// Pauses, resumes or cancels. Returns the resulting status of the workflow.
pub fn control(
    client: &SpiClient,
    execution: i64,
    what: Action,
    reason: Option<&str>,
    now: TimestampWithTimeZone,
    patience: Patience,
) -> Result<&'static str, Error> {
    let mut family = lock(client, now, execution, patience)?;
    let Some((status, paused)) = family.state() else { return Ok("") };
    let is = |what: &str, hint: &str, is: &str| Err(wrong_state(execution, what, is, hint));
    match what {
        Action::Pause if family.over => {
            return is("paused", "Only executions that have not ended can be paused.", status.name());
        }
        Action::Pause => {
            let paused = family.pause(reason)?;
            control_log::add(client, execution, "pause", reason, None, paused, now)?;
        }
        Action::Resume if family.over => {
            return is("resumed", "Only executions that have not ended can be resumed.", status.name());
        }
        Action::Resume if !paused => {}
        Action::Resume => {
            let resumed = family.resume()?;
            control_log::add(client, execution, "resume", reason, None, resumed, now)?;
        }
        Action::Cancel | Action::ForceCancel if family.over && status == Status::Cancelled => {}
        Action::Cancel | Action::ForceCancel if family.over => {
            return is("cancelled", "Only executions that have not ended can be cancelled.", status.name());
        }
        Action::Cancel if status == Status::Canceling => family.cancel_again()?,
        Action::Cancel if status != Status::Running => notify_closing(execution, status),
        Action::Cancel => {
            // Logged first, because the events of the executions that the cancel reaches are derived from this one.
            control_log::add(client, execution, "cancel", reason, None, Vec::new(), now)?;
            family.advance.apply(family.id, |conductor| conductor.cancel())?;
            settle(&mut family.advance, None)?;
        }
        Action::ForceCancel if family.is_forced() => family.cancel_again()?,
        Action::ForceCancel => {
            let detail = Some(r#"{"force": true}"#.to_owned());
            control_log::add(client, execution, "cancel", reason, detail, Vec::new(), now)?;
            family.advance.apply(family.id, |conductor| conductor.force_cancel())?;
            settle(&mut family.advance, None)?;
        }
    }
    Ok(family.state().map_or("", |(status, _)| status.name()))
}

/// Tells the caller that a cancel has changed nothing.
fn notify_closing(execution: i64, status: Status) {
    let message = format!("execution {execution} is already closing: it ended as {}", status.name());
    let hint = format!("To stop it immediately, SELECT workflow_cancel({execution}, force => true).");
    let notice = ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "");
    notice.set_hint(hint).report(PgLogLevel::NOTICE);
}

impl Family<'_, '_> {
    /// Cancels again: tasks that the first cancel skipped because they were being reported may still be there.
    fn cancel_again(&mut self) -> Result<(), Error> {
        self.advance.apply(self.id, |conductor| conductor.cancel_again())?;
        settle(&mut self.advance, None)?;
        Ok(())
    }

    fn is_forced(&self) -> bool {
        self.advance.execution(self.id).is_some_and(|execution| execution.state.forced)
    }

    fn state(&self) -> Option<(Status, bool)> {
        self.advance.execution(self.id).map(|execution| (execution.status, execution.paused))
    }

    /// Pauses this execution and those that it calls, and each caller that has nothing else running. Returns all
    /// executions that were notified.
    fn pause(&mut self, reason: Option<&str>) -> Result<Vec<i64>, Error> {
        let mut paused = [&[self.id], &self.descendants[..]].concat();
        for run in &paused {
            self.advance.apply(*run, |conductor| conductor.pause())?;
        }
        settle(&mut self.advance, None)?;
        for ancestor in &self.ancestors {
            let query = include_str!("../../queries/only_paused_children.sql");
            let rows = statements::run(self.advance.client, query, &[(*ancestor).into()])?.first();
            if rows.get::<bool>(1)? != Some(true) {
                break;
            }
            self.advance.apply(*ancestor, |conductor| conductor.pause())?;
            settle(&mut self.advance, None)?;
            paused.push(*ancestor);
        }
        let arguments = [paused.clone().into(), reason.into(), self.advance.now.into()];
        statements::run(self.advance.client, include_str!("../../queries/explain_pause.sql"), &arguments)?;
        propagation::note(&self.advance, &paused, &self.unvisited)?;
        Ok(paused)
    }

    /// Resumes this execution, those that it calls, and its callers. Returns all executions that were notified.
    fn resume(&mut self) -> Result<Vec<i64>, Error> {
        let resumed = [&self.ancestors[..], &[self.id], &self.descendants[..]].concat();
        for run in &resumed {
            self.advance.apply(*run, |conductor| conductor.resume())?;
        }
        settle(&mut self.advance, None)?;
        propagation::note(&self.advance, &resumed, &self.unvisited)?;
        Ok(resumed)
    }
}

/// Returns the value of the enum `workflow.execution_status` with this label: the number of its row.
pub fn status_value(client: &SpiClient, label: &str) -> Result<Option<pg_sys::Oid>, Error> {
    statements::run(client, include_str!("../../queries/find_status.sql"), &[label.into()])?.first().get(1)
}
