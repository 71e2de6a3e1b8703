//! Starting and stopping a ticker manually. Both report what has actually happened, not what was requested.
#![allow(unsafe_code)]

use crate::background::pinned_settings::bootstrap_superuser;
use crate::background::ticker::{RETRY, ticker};
use crate::error::Error;
use crate::pg::advisory_lock::{CLASS, Purpose};
use crate::pg::rights::Rights;
use crate::pg::statements;
use conductor::code::Code;
use pgrx::bgworkers::{BackgroundWorkerStatus, DynamicBackgroundWorker};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::ffi::CStr;

/// Number of attempts to start a ticker, if the process exits without becoming the ticker and there is no other.
const ATTEMPTS: usize = 2;

/// Starts the ticker of this database. Returns false if there was one.
pub fn start() -> Result<bool, ErrorReport> {
    // SAFETY: read-only.
    if unsafe { pg_sys::RecoveryInProgress() } {
        // It would only start when the server is promoted, and the call would wait until then.
        return Err(
            Error::refused(Code::WRONG_STATE, "the server is a standby", "Start the ticker on the primary.").into()
        );
    }
    for _ in 0..ATTEMPTS {
        if running()?.is_some() {
            return Ok(false);
        }
        let started = ticker(&database(), false).set_restart_time(Some(RETRY)).load_dynamic();
        let worker = started.map_err(|_| {
            Error::refused(Code::LIMIT_EXCEEDED, "no background worker slot is free", "Raise max_worker_processes.")
        })?;
        if becomes_ticker(&worker)? {
            return Ok(true);
        }
        // If it failed, it would be restarted automatically.
        worker.terminate();
    }
    if running()?.is_some() {
        return Ok(false);
    }
    Err(Error::refused(
        Code::WRONG_STATE,
        "the ticker exited immediately after it was started",
        "See the server's log for the reason.",
    )
    .into())
}

/// Waits until a background worker is the ticker of its database. Returns false if it has exited, because it failed or
/// another process is the ticker.
fn becomes_ticker(worker: &DynamicBackgroundWorker) -> Result<bool, ErrorReport> {
    loop {
        // In this order: a process that has exited by now would have been seen as the ticker if it was one.
        let (status, running) = (worker.pid(), running()?);
        match status {
            Ok(pid) if running == Some(pid) => return Ok(true),
            Err(BackgroundWorkerStatus::Stopped | BackgroundWorkerStatus::PostmasterDied) => return Ok(false),
            _ => rest(),
        }
    }
}

/// Stops the ticker of this database. Returns false if there was none.
pub fn stop() -> Result<bool, ErrorReport> {
    let Some(pid) = running()? else {
        return Ok(false);
    };
    // It raises a warning if the process still exists after that time.
    terminate(pid)?;
    Ok(true)
}

/// Asks a process to exit, and waits for that. The owner of the extension may stop its ticker although the process
/// belongs to a superuser.
fn terminate(pid: i32) -> Result<(), Error> {
    let _rights = Rights::of(bootstrap_superuser());
    Spi::connect(|client| statements::run(client, include_str!("../../queries/terminate.sql"), &[pid.into()]).map(drop))
}

/// Returns the process that is the ticker of this database.
fn running() -> Result<Option<i32>, Error> {
    Spi::connect(|client| {
        let arguments = [i32::from(CLASS).into(), (Purpose::Ticker as i64).into()];
        let row = statements::run(client, include_str!("../../queries/find_ticker.sql"), &arguments)?.first();
        if row.is_empty() { Ok(None) } else { row.get::<i32>(1) }
    })
}

/// Returns the name of this database.
fn database() -> String {
    // SAFETY: a palloc'ed name; the database exists as long as someone is connected to it.
    let name = unsafe { CStr::from_ptr(pg_sys::get_database_name(pg_sys::MyDatabaseId)) };
    name.to_string_lossy().into_owned()
}

/// Waits a moment, unless the statement is cancelled.
fn rest() {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: the latch of this process.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, 10, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}
