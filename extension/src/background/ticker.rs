//! Automatic ticking: background workers that call workflow_tick.
//!
//! A *ticker* works in one database. It is started by `workflow_start_ticker` (ticker_control.rs), or by the
//! *launcher*, which exists if the library is preloaded and keeps one running in each database that
//! `pg_workflow.databases` names. The ticker of a database is the process that holds `AdvisoryLock::TICKER`; any other
//! one exits immediately.
//!
//! A failed tick is rolled back and retried a little later by the same process, which remains the ticker, so it can be
//! stopped at any time. On SIGTERM a ticker finishes its tick and exits for good.
//!
//! Settings of databases or roles have no effect (pinned_settings.rs), and each tick has only the privileges of the
//! extension's owner.
#![allow(unsafe_code)]

use crate::background::pinned_settings;
use crate::error::Error;
use crate::pg::advisory_lock::AdvisoryLock;
use crate::pg::rights::Rights;
use crate::pg::statements;
use crate::settings;
use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BackgroundWorkerStatus, DynamicBackgroundWorker, SignalWakeFlags,
};
use pgrx::pg_sys::PgTryBuilder;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// Names in pg_stat_activity.
const TICKER: &str = "pg_workflow ticker";
const LAUNCHER: &str = "pg_workflow launcher";

/// Delay before something that failed is retried.
pub const RETRY: Duration = Duration::from_secs(5);

/// Makes the launcher start with the server if the library is preloaded.
pub fn register_launcher() {
    // SAFETY: a flag of the process, which has one thread.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        worker(LAUNCHER, "workflow_launcher_main").set_restart_time(Some(RETRY)).load();
    }
}

fn worker(name: &str, function: &str) -> BackgroundWorkerBuilder {
    BackgroundWorkerBuilder::new(name).set_library("pg_workflow").set_function(function).enable_spi_access()
}

/// Returns a ticker for a database. `by_setting` is true if it exists because the setting names the database.
pub fn ticker(database: &str, by_setting: bool) -> BackgroundWorkerBuilder {
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

/// State that the launcher keeps from one check to the next.
#[derive(Default)]
struct Launcher {
    started: BTreeMap<String, Started>,
    /// Databases that do not exist, and whether no background worker was available: each is logged once.
    missing: BTreeSet<String>,
    starved: bool,
}

impl Launcher {
    /// Starts every ticker that is wanted and not running.
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
                log!("pg_workflow: database \"{database}\" does not exist yet: cannot tick in it");
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
                log!("pg_workflow: no free background worker for database \"{database}\": raise max_worker_processes");
            }
        }
    }
}

/// Main function of the launcher: keeps a ticker running in each database that the setting names.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn workflow_launcher_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    // No database: only shared catalogs can be read.
    BackgroundWorker::connect_worker_to_spi(None, None);
    let mut launcher = Launcher::default();
    loop {
        reload();
        launcher.look();
        if !BackgroundWorker::wait_latch(Some(RETRY)) {
            // Not 0, which would mean that it is no longer wanted: it has to be restarted unless the server is
            // stopping. SAFETY: this is how a server process exits.
            unsafe { pg_sys::proc_exit(1) };
        }
    }
}

/// Returns the databases that accept connections.
fn connectable() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // SAFETY: within a transaction. Without a database, indexes cannot be relied on, but pg_database is known to every
    // process, and is scanned sequentially; a tuple is valid until the next one is fetched.
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
            // Less than -1: a DROP DATABASE has begun but not finished.
            if row.datallowconn && row.datconnlimit >= -1 {
                names.insert(CStr::from_ptr(row.datname.data.as_ptr()).to_string_lossy().into_owned());
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    names
}

/// Reloads the configuration if it has changed. Returns whether it has.
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

/// Main function of a ticker: calls workflow_tick in its database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn workflow_ticker_main(by_setting: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    let database = BackgroundWorker::get_extra();
    pinned_settings::pin();
    BackgroundWorker::connect_worker_to_spi(Some(database), None);
    pinned_settings::take_back_session();
    if !BackgroundWorker::transaction(|| AdvisoryLock::TICKER.try_acquire_for_process(pg_sys::ExclusiveLock)) {
        return;
    }
    let mut waits_for_extension = false;
    loop {
        if reload() && by_setting.value() != 0 && !settings::databases().contains(database) {
            return;
        }
        let done = tick_or_report();
        // SAFETY: called between transactions. Without it autovacuum would not learn of what was written here.
        unsafe { pg_sys::pgstat_report_stat(true) };
        if matches!(done, Tick::NoExtension) && !waits_for_extension {
            log!("pg_workflow: the extension is not installed in database \"{database}\" yet");
        }
        waits_for_extension = matches!(done, Tick::NoExtension);
        let pause = match done {
            // There is more to do: continue immediately, after checking whether to stop.
            Tick::Done(1..) => Duration::ZERO,
            Tick::Failed => RETRY,
            Tick::Done(_) | Tick::NoExtension => settings::tick_interval(),
        };
        if !BackgroundWorker::wait_latch(Some(pause)) {
            return;
        }
    }
}

/// Outcome of a tick.
enum Tick {
    Done(i32),
    NoExtension,
    Failed,
}

/// Ticks in a separate transaction. If that fails, rolls it back and writes the reason to the server's log.
fn tick_or_report() -> Tick {
    PgTryBuilder::new(|| BackgroundWorker::transaction(|| raised(tick())))
        .catch_others(|error| {
            let (CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic { ereport: report, .. }) = error;
            // SAFETY: the error is caught, and nothing of the transaction is still in use.
            unsafe { pg_sys::AbortOutOfAnyTransaction() };
            let lines = [("DETAIL", report.detail()), ("HINT", report.hint())];
            let lines = lines.into_iter().filter_map(|(kind, text)| Some(format!("\n{kind}: {}", text?)));
            log!("pg_workflow: a tick failed: {}{}", report.message(), lines.collect::<String>());
            Tick::Failed
        })
        .execute()
}

/// Raises our error as one of the server's, which aborts the transaction.
fn raised<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| {
        ErrorReport::from(error).report(PgLogLevel::ERROR);
        unreachable!("an error does not come back")
    })
}

/// Processes what is due, with the privileges of the extension's owner.
fn tick() -> Result<Tick, Error> {
    Spi::connect(|client| {
        let row = statements::run(client, include_str!("../../queries/find_owner.sql"), &[])?.first();
        let Some(owner) = (if row.is_empty() { None } else { row.get::<pg_sys::Oid>(1)? }) else {
            return Ok(Tick::NoExtension);
        };
        let _rights = if is_superuser(owner) {
            Rights::of(owner)
        } else {
            // A deferred trigger would run at commit, with the privileges of the process.
            statements::run(client, "SET CONSTRAINTS ALL IMMEDIATE", &[])?;
            Rights::only_of(owner)
        };
        let row = statements::run(client, "SELECT pg_catalog.workflow_tick(1000)", &[])?.first();
        Ok(Tick::Done(row.get::<i32>(1)?.unwrap_or_default()))
    })
}

fn is_superuser(role: pg_sys::Oid) -> bool {
    // SAFETY: read-only, within a transaction.
    unsafe { pg_sys::superuser_arg(role) }
}
