//! Items that are done and that nobody has counted yet.
//!
//! The reports of one execution take turns, because the conductor's memory of it is one row. But that one of many items is done
//! decides nothing, and its own row says it. So its report only ends the row; whoever goes on with the execution next, at the
//! latest with the report of its last item, counts what is done. Until it commits, such a report holds a lock that many may hold at
//! once and that keeps whoever counts waiting. It does not wait for a turn itself, so that no two can wait for each other: where
//! somebody counts already, it takes its turn like any other.
#![allow(unsafe_code)]

use crate::cache::claimed_tasks::Place;
use crate::engine::report::{Answer, Outcome, Refusal};
use crate::engine::run::{Run, read_state};
use crate::error::Error;
use crate::pg::advisory_lock::AdvisoryLock;
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use crate::settings;
use conductor::engine::state::{Status, TaskEnd};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// How many such locks there are, for all executions: the server has room for some thousands of locks, of all sessions together.
const LOCKS: i64 = 256;

/// Of so many executions a call leaves items uncounted without a turn.
const MOST_RUNS: usize = 16;

/// Those who leave items uncounted share a lock, and so do those who count: only one kind keeps out the other. Executions that
/// have a lock in common never wait for each other in a circle, because the first kind waits for nothing.
const LEAVE: u32 = pg_sys::ShareLock;
const COUNT: u32 = pg_sys::RowExclusiveLock;

/// What is reported, by workflow execution: the items that are done; none where there is something else, too.
#[derive(Default)]
pub struct Done(BTreeMap<i64, Option<Vec<u32>>>);

impl Done {
    /// Looks through reports of tasks that belong to these places. Where each step is to be logged, nothing is left.
    pub fn of(outcomes: &[Outcome], places: &BTreeMap<i64, Place>) -> Done {
        let mut runs: BTreeMap<i64, Option<Vec<u32>>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for outcome in outcomes.iter().filter(|_| !settings::log_transitions()) {
            let Some((task, (run, index))) = outcome.task.and_then(|task| Some((task, places.get(&task)?))) else {
                continue;
            };
            let items = runs.entry(*run).or_insert_with(|| Some(Vec::new()));
            match (&mut *items, index.filter(|_| outcome.is_done() && seen.insert(task))) {
                (Some(items), Some(index)) => items.push(index),
                _ => *items = None,
            }
        }
        Done(runs)
    }

    /// May all that is reported of this execution be left to its rows?
    pub fn may_be_left(&self, run: &Run) -> bool {
        let execution = &run.before;
        let goes_on = execution.status == Status::Running && !execution.paused;
        let items = self.0.get(&run.id).and_then(Option::as_ref);
        goes_on && items.is_some_and(|items| items.iter().all(|index| execution.state.may_leave(*index)))
    }

    /// Where that is so of all that is reported, takes the locks that keep others from counting, and gives the executions; else
    /// none.
    pub fn hold(&self, client: &SpiClient) -> Result<BTreeSet<i64>, Error> {
        let runs: Vec<i64> = self.0.keys().copied().collect();
        let are_items = (1..=MOST_RUNS).contains(&runs.len()) && self.0.values().all(Option::is_some);
        if !are_items || more_may_follow() {
            return Ok(BTreeSet::new());
        }
        let held: Vec<i64> = runs.iter().copied().take_while(|run| lock(*run, LEAVE, true)).collect();
        // What is read now is as it was when the locks were there, or newer.
        if held.len() == runs.len() && self.are_left(client, runs)? {
            return Ok(held.into_iter().collect());
        }
        held.into_iter().for_each(|run| unlock(run, LEAVE));
        Ok(BTreeSet::new())
    }

    fn are_left(&self, client: &SpiClient, runs: Vec<i64>) -> Result<bool, Error> {
        let mut rows = statements::run(client, include_str!("../../queries/reload_runs.sql"), &[runs.into()])?;
        let mut left = 0;
        while rows.next().is_some() {
            left += usize::from(Run::read(client, &rows)?.is_some_and(|run| self.may_be_left(&run)));
        }
        Ok(left == self.0.len())
    }
}

/// The answer to a report of an execution whose items are left.
pub fn answer(outcome: &Outcome) -> Answer {
    outcome.answer(match outcome.judge() {
        _ if outcome.completed => Ok(TaskEnd::Completed.name().to_owned()),
        Err(answer) => answer,
        Ok(_) => {
            let message = format!("task {} changed while it was being reported", outcome.task.unwrap_or_default());
            Err(Refusal { code: "WF616", message })
        }
    })
}

/// Counts the items of an execution that is locked, once those that are being reported are there.
pub fn count(client: &SpiClient, run: &mut Run) -> Result<(), Error> {
    let open = run.before.state.items.iter().filter(|progress| progress.uncounted).map(|progress| progress.key);
    let open: Vec<_> = open.collect();
    if open.is_empty() {
        return Ok(());
    }
    lock(run.id, COUNT, false);
    for key in open {
        let name = run.graph.node(key.node).name.as_str();
        let arguments = || [run.id.into(), name.into(), (key.route as i32).into(), (key.visit as i32).into()];
        if keeps_snapshot() {
            statements::run(client, include_str!("../../queries/lock_open_items.sql"), &arguments())?;
        }
        let rows = statements::run(client, include_str!("../../queries/count_done_items.sql"), &arguments())?;
        let done = rows.first().get::<i32>(1)?.unwrap_or_default();
        run.before.state.count(key, done as u32);
    }
    run.counted = true;
    Ok(())
}

/// May this transaction go on to ask for a turn, while others hold the same lock and do so, too? One of several statements may.
fn more_may_follow() -> bool {
    // SAFETY: it only looks.
    keeps_snapshot() || unsafe { pg_sys::IsTransactionBlock() }
}

/// Does each statement of this transaction see the same?
fn keeps_snapshot() -> bool {
    // SAFETY: a session has one thread.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Takes the lock of a workflow execution until the end of the transaction. False: others hold it against that, and there is no
/// waiting.
fn lock(run: i64, mode: u32, at_once: bool) -> bool {
    if at_once {
        return lock_of(run).try_acquire(mode);
    }
    lock_of(run).acquire(mode);
    true
}

/// Gives back a lock that was taken in this call.
fn unlock(run: i64, mode: u32) {
    lock_of(run).release(mode);
}

fn lock_of(run: i64) -> AdvisoryLock {
    AdvisoryLock::items((run % LOCKS) as u32)
}

/// `workflow.may_count` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_may_count(id: Option<i64>, state: Option<Jsonb>) -> Result<bool, ErrorReport> {
    let id = id.ok_or_else(|| Error::missing("id"))?;
    let items = state.map(read_state).transpose()?.map(|state| state.items).unwrap_or_default();
    Ok(!items.iter().any(|progress| progress.uncounted) || lock(id, COUNT, true))
}
