//! Starting and stopping a ticker by hand. Both answer by what has happened, not by what was asked for.
#![allow(unsafe_code)]

use crate::background::pinned_settings::bootstrap_superuser;
use crate::background::ticker::{RETRY, ticker};
use crate::error::Error;
use crate::pg::advisory_lock::{CLASS, Purpose};
use crate::pg::rights::Rights;
use crate::pg::statements;
use pgrx::bgworkers::{BackgroundWorkerStatus, DynamicBackgroundWorker};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::ffi::CStr;

/// How often a ticker is started that ends without having been one and without another being there.
const ATTEMPTS: usize = 2;

/// `workflow_start_ticker` in `sql/ticker.sql`.
#[pg_extern(sql = false)]
fn workflow_start_ticker() -> Result<bool, ErrorReport> {
    // SAFETY: it only looks.
    if unsafe { pg_sys::RecoveryInProgress() } {
        // It would be started when the server is promoted, and waited for until then.
        return Err(Error::refused("WF611", "the server is a standby", "start the ticker on the primary").into());
    }
    for _ in 0..ATTEMPTS {
        if running()?.is_some() {
            return Ok(false);
        }
        let started = ticker(&database(), false).set_restart_time(Some(RETRY)).load_dynamic();
        let worker = started
            .map_err(|_| Error::refused("WF614", "no background worker is left", "raise max_worker_processes"))?;
        if becomes_ticker(&worker)? {
            return Ok(true);
        }
        // If it failed, it would be started again by itself.
        worker.terminate();
    }
    if running()?.is_some() {
        return Ok(false);
    }
    Err(Error::refused("WF611", "the ticker ends as soon as it is started", "look for the reason in the server's log")
        .into())
}

/// Waits until a background worker is the ticker of its database. False: it has ended, because another is the ticker, or failed.
fn becomes_ticker(worker: &DynamicBackgroundWorker) -> Result<bool, ErrorReport> {
    loop {
        // In this order: whoever has ended by now would have been seen as the ticker if it was one.
        let (status, running) = (worker.pid(), running()?);
        match status {
            Ok(pid) if running == Some(pid) => return Ok(true),
            Err(BackgroundWorkerStatus::Stopped | BackgroundWorkerStatus::PostmasterDied) => return Ok(false),
            _ => rest(),
        }
    }
}

/// `workflow_stop_ticker` in `sql/ticker.sql`.
#[pg_extern(sql = false)]
fn workflow_stop_ticker() -> Result<bool, ErrorReport> {
    let Some(pid) = running()? else {
        return Ok(false);
    };
    // It warns by itself where the process is still there after that time.
    terminate(pid)?;
    Ok(true)
}

/// Asks a process to end, and waits for that. The owner of the extension may end its ticker, although the process is a superuser's.
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
    // SAFETY: a palloc'ed name, which is there as long as somebody is connected to it.
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
