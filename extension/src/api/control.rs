//! Pause, resume and cancel.

use crate::argument;
use crate::engine::control::{Action, control, status_value};
use crate::engine::family_lock::Patience;
use crate::error::Error;
use crate::pg::clock;
use crate::pg::statements;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Performs the requested operation. Returns the resulting status as a value of the enum.
fn controlled(
    execution: Option<i64>,
    what: Action,
    reason: Option<&str>,
    patience: Patience,
) -> Result<Option<pg_sys::Oid>, Error> {
    let execution = execution.ok_or_else(|| Error::missing("execution_id"))?;
    argument::check_reason(reason)?;
    let now = clock::now()?;
    Spi::connect(|client| {
        let status = control(client, execution, what, reason, now, patience)?;
        if matches!(what, Action::Cancel | Action::ForceCancel) && reason.is_some() {
            statements::run(
                client,
                include_str!("../../queries/explain_cancel.sql"),
                &[execution.into(), reason.into()],
            )?;
        }
        status_value(client, status)
    })
}

/// `workflow_pause` in `sql/control.sql`.
#[pg_extern(sql = false)]
fn workflow_pause(execution: Option<i64>, reason: Option<&str>) -> Result<Option<pg_sys::Oid>, ErrorReport> {
    Ok(controlled(execution, Action::Pause, reason, Patience::Wait)?)
}

/// `workflow_resume` in `sql/control.sql`.
#[pg_extern(sql = false)]
fn workflow_resume(execution: Option<i64>, reason: Option<&str>) -> Result<Option<pg_sys::Oid>, ErrorReport> {
    Ok(controlled(execution, Action::Resume, reason, Patience::Wait)?)
}

/// `workflow_cancel` in `sql/control.sql`.
#[pg_extern(sql = false)]
fn workflow_cancel(
    execution: Option<i64>,
    reason: Option<&str>,
    force: Option<bool>,
) -> Result<Option<pg_sys::Oid>, ErrorReport> {
    let force = force.ok_or_else(|| Error::missing("force"))?;
    let what = if force { Action::ForceCancel } else { Action::Cancel };
    Ok(controlled(execution, what, reason, Patience::Wait)?)
}

/// `workflow.control_locked` in `sql/bulk.sql`.
#[pg_extern(sql = false)]
fn workflow_control_locked(
    execution: Option<i64>,
    action: Option<&str>,
    reason: Option<&str>,
    force: Option<bool>,
) -> Result<Option<pg_sys::Oid>, ErrorReport> {
    let what = match action.ok_or_else(|| Error::missing("action"))? {
        "pause" => Action::Pause,
        "resume" => Action::Resume,
        "cancel" if force == Some(true) => Action::ForceCancel,
        "cancel" => Action::Cancel,
        other => {
            let detail = format!("action is {}.", other.chars().take(100).collect::<String>());
            return Err(Error::out_of_range("unknown action", detail, "Use pause, resume or cancel.").into());
        }
    };
    Ok(controlled(execution, what, reason, Patience::SkipCalled)?)
}
