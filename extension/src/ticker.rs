//! Ticking without anybody's help: background workers that call workflow_tick.
//!
//! A *ticker* works in one database. It is started by `workflow_start_ticker`, or by the *launcher*, which exists where
//! the library is preloaded and keeps one going in each database that `pg_workflow.databases` names. Neither handles an
//! error: it ends the process, and what was begun is rolled back; another is started a little later, by the launcher or
//! by the postmaster. On SIGTERM a ticker finishes what it is doing, and ends for good.
#![allow(unsafe_code)]

use crate::error::Error;
use crate::{plans, settings};
use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BackgroundWorkerStatus, DynamicBackgroundWorker, SignalWakeFlags,
};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// What pg_stat_activity calls them.
const TICKER: &str = "pg_workflow ticker";
const LAUNCHER: &str = "pg_workflow launcher";

/// How soon something that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Has the launcher start with the server, where the library is loaded with it.
pub fn register_launcher() {
    // SAFETY: a flag of the process, which has one thread.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        worker(LAUNCHER, "workflow_launcher_main").set_restart_time(Some(RETRY)).load();
    }
}

fn worker(name: &str, function: &str) -> BackgroundWorkerBuilder {
    BackgroundWorkerBuilder::new(name).set_library("pg_workflow").set_function(function).enable_spi_access()
}

/// A ticker for a database; is it there because the setting names it?
fn ticker(database: &str, by_setting: bool) -> BackgroundWorkerBuilder {
    // SAFETY: a number of the process, which has one thread.
    let own_pid = unsafe { pg_sys::MyProcPid };
    worker(&format!("{TICKER}: {database}"), "workflow_ticker_main")
        .set_type(TICKER)
        .set_extra(database)
        .set_argument(by_setting.into_datum())
        .set_notify_pid(own_pid)
}

/// One ticker that the launcher has started.
struct Started {
    worker: DynamicBackgroundWorker,
    at: Instant,
}

impl Started {
    fn is_over(&self) -> bool {
        let stopped = matches!(self.worker.pid(), Err(BackgroundWorkerStatus::Stopped));
        stopped && self.at.elapsed() >= RETRY
    }
}

/// What the launcher knows from one look to the next.
#[derive(Default)]
struct Launcher {
    started: BTreeMap<String, Started>,
    /// Databases that are not there, and what could not be had for want of a background worker: told once.
    missing: BTreeSet<String>,
    starved: bool,
}

impl Launcher {
    /// Starts what ticker is wanted and not there.
    fn look(&mut self) {
        let wanted = settings::databases();
        self.started.retain(|_, ticker| !ticker.is_over());
        if wanted.iter().all(|database| self.started.contains_key(database)) {
            return;
        }
        let there = BackgroundWorker::transaction(connectable);
        self.missing.retain(|database| wanted.contains(database) && !there.contains(database));
        for database in wanted.into_iter().filter(|database| !self.started.contains_key(database)).collect::<Vec<_>>() {
            if there.contains(&database) {
                self.start(database);
            } else if self.missing.insert(database.clone()) {
                log!("pg_workflow: there is no database \"{database}\" to tick in yet");
            }
        }
    }

    fn start(&mut self, database: String) {
        match ticker(&database, true).load_dynamic() {
            Ok(worker) => {
                self.starved = false;
                self.started.insert(database, Started { worker, at: Instant::now() });
            }
            Err(_) if self.starved => {}
            Err(_) => {
                self.starved = true;
                log!(
                    "pg_workflow: no background worker is left for database \"{database}\": raise max_worker_processes"
                );
            }
        }
    }
}

/// The launcher: keeps a ticker going in each database that the setting names.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn workflow_launcher_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    // No database: what all databases share can be read.
    BackgroundWorker::connect_worker_to_spi(None, None);
    let mut launcher = Launcher::default();
    loop {
        reload();
        launcher.look();
        if !BackgroundWorker::wait_latch(Some(RETRY)) {
            // Not 0, which would say that it is not wanted any more: unless the server stops, it is to come back.
            // SAFETY: the way a process of the server ends.
            unsafe { pg_sys::proc_exit(1) };
        }
    }
}

/// The databases that can be connected to.
fn connectable() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // SAFETY: within a transaction. Without a database no index can be counted on, but pg_database is known to every
    // process, and is read from end to end; a tuple is good until the next is asked for.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let (snapshot, keys) = (std::ptr::null_mut(), std::ptr::null_mut());
        let scan = pg_sys::systable_beginscan(relation, pg_sys::InvalidOid, false, snapshot, 0, keys);
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let row = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            // Less than -1: a DROP DATABASE has begun and not ended.
            if row.datallowconn && row.datconnlimit >= -1 {
                names.insert(CStr::from_ptr(row.datname.data.as_ptr()).to_string_lossy().into_owned());
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    names
}

/// Reads the configuration where it has changed. Was it?
fn reload() -> bool {
    let changed = BackgroundWorker::sighup_received();
    if changed {
        // SAFETY: called between transactions, as the server's own processes do.
        unsafe {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
    changed
}

/// A ticker: calls workflow_tick in its database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn workflow_ticker_main(by_setting: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    let database = BackgroundWorker::get_extra();
    BackgroundWorker::connect_worker_to_spi(Some(database), None);
    // What is set for the database is meant for others.
    set(c"default_transaction_isolation", c"read committed");
    set(c"default_transaction_read_only", c"off");
    set(c"statement_timeout", c"0");
    if !BackgroundWorker::transaction(|| raised(take_turn())) {
        return;
    }
    let mut waits_for_extension = false;
    loop {
        if reload() && by_setting.value() != 0 && !settings::databases().contains(database) {
            return;
        }
        let done = BackgroundWorker::transaction(|| raised(tick()));
        // SAFETY: called between transactions. Without it autovacuum would not hear of what was written here.
        unsafe { pg_sys::pgstat_report_stat(true) };
        if done.is_none() && !waits_for_extension {
            log!("pg_workflow: the extension is not in database \"{database}\" yet");
        }
        waits_for_extension = done.is_none();
        // Where there is more to do it goes on at once, but looks whether it is to stop.
        let pause = if done.is_some_and(|done| done > 0) { Duration::ZERO } else { settings::tick_interval() };
        if !BackgroundWorker::wait_latch(Some(pause)) {
            return;
        }
    }
}

fn set(name: &CStr, value: &CStr) {
    // SAFETY: both are NUL-terminated constants; the process belongs to us.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        )
    }
}

/// An error of ours as one of the server's, which ends the process.
fn raised<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| {
        ErrorReport::from(error).report(PgLogLevel::ERROR);
        unreachable!("an error does not come back")
    })
}

/// Is no other ticker in this database? From then on, none will be.
fn take_turn() -> Result<bool, Error> {
    Spi::connect(|client| {
        let row = plans::run(client, include_str!("../queries/lock_ticker.sql"), &[])?.first();
        Ok(row.get::<bool>(1)?.unwrap_or_default())
    })
}

/// How much was done; none: the extension is not there.
fn tick() -> Result<Option<i32>, Error> {
    Spi::connect(|client| {
        if plans::run(client, "SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'pg_workflow'", &[])?.is_empty() {
            return Ok(None);
        }
        let row = plans::run(client, "SELECT pg_catalog.workflow_tick(1000)", &[])?.first();
        row.get::<i32>(1)
    })
}

/// `workflow_start_ticker` in `sql/ticker.sql`.
#[pg_extern(sql = false)]
fn workflow_start_ticker() -> Result<bool, ErrorReport> {
    let (database, is_there) = Spi::connect(|client| {
        let row = plans::run(client, include_str!("../queries/find_ticker.sql"), &[])?.first();
        Ok::<_, Error>((row.get::<String>(1)?.unwrap_or_default(), row.get::<bool>(2)?.unwrap_or_default()))
    })?;
    if is_there {
        return Ok(false);
    }
    let started = ticker(&database, false).set_restart_time(Some(RETRY)).load_dynamic();
    let worker =
        started.map_err(|_| Error::refused("WF614", "no background worker is left", "raise max_worker_processes"))?;
    Ok(worker.wait_for_startup().is_ok())
}
