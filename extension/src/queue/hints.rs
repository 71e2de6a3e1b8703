//! Hints to idle workers: a NOTIFY when tasks that someone is waiting for are queued, sent at commit.
//!
//! An idle worker's session announces that it is idle (`workflow_announce_idle`) by holding advisory locks of a class
//! of our own: shared state that requires no preloaded library, writes nothing, and disappears with the session.
//! Whoever queues a task checks just before committing whether such a lock is held. If not, which is the case whenever
//! workers are busy, the only cost is one attempt to take a lock, and there is no NOTIFY.
//!
//! If the attempt succeeds, it holds the lock in a mode that conflicts with an idle worker's until the transaction has
//! ended. So either the worker announced itself before and is notified, or its announcement waits for this commit and
//! its next look finds the task. There is no gap in between.

use crate::argument::{MAX_ACTIONS, MAX_KEY_BYTES, check_count, check_length};
use crate::error::Error;
use crate::pg::advisory_lock::AdvisoryLock;
use crate::pg::builtin;
use crate::pg::clock;
use crate::pg::transaction::{self, End};
use crate::settings;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

/// Minimum time between two identical hints from a process, in microseconds. The client's worker announces itself again
/// only after a longer time, so no hint that it needs is omitted.
const PAUSE: i64 = 10_000;

/// Maximum number of actions with locks of their own. A worker that serves more is notified of any task, and a
/// transaction that queues tasks of more notifies everyone. The server's lock table has room for 64 locks per
/// connection.
const MAX_LOCKS: usize = 16;

/// Maximum number of sent hints that a process remembers.
const MAX_REMEMBERED: usize = 1000;

/// Number of the lock that every idle worker holds.
const ANYBODY: u32 = 0;
/// Number of the lock held by idle workers that serve all actions, or more than they have locks for.
const EVERYTHING: u32 = 1;
/// First of the numbers that represent a single action.
const ONE_ACTION: u32 = 1 << 31;

/// Mode in which idle workers hold their locks; any number of them can.
const IDLE: u32 = pg_sys::RowExclusiveLock;
/// Mode in which those who queue tasks try to take them; it conflicts with `IDLE`, but not with itself.
const QUEUES: u32 = pg_sys::ShareLock;

#[derive(Default)]
struct Hints {
    /// Part and action of the tasks that this transaction has queued. Entries from a rolled-back savepoint remain and
    /// cause at most a superfluous hint.
    queued: BTreeSet<(i32, String)>,
    /// When each hint was last sent, in microseconds.
    sent: HashMap<String, i64>,
    /// Numbers of the locks that this session holds as an idle worker.
    held: BTreeSet<u32>,
}

thread_local! {
    static HINTS: RefCell<Hints> = RefCell::default();
}

/// Subscribes the process to the ends of transactions.
pub fn listen() {
    transaction::on_end(at_end);
}

/// Remembers that a task has been queued, so that idle workers are notified at commit.
pub fn note(part: i32, action: &str) {
    if !settings::notify() {
        return;
    }
    HINTS.with_borrow_mut(|Hints { queued, .. }| {
        // Tasks of a batch usually have the same action.
        if !queued.iter().any(|(known, name)| *known == part && name == action) && queued.len() <= MAX_LOCKS {
            queued.insert((part, action.to_owned()));
        }
    });
}

/// Notifies listeners, at commit, of an execution that has ended. Unlike hints, these notifications are exact, as
/// PostgreSQL guarantees: if a transaction is rolled back, nothing is sent, and a transaction that has sent one cannot
/// be prepared.
pub fn tell_end(execution: i64, status: &str) {
    builtin::notify("pg_workflow_end", format!("{execution} {status}"));
}

/// Sends the hints of a transaction before it commits. A transaction that has notified cannot be prepared, so tasks
/// queued by a prepared transaction are found by polling.
fn at_end(end: End) {
    match end {
        End::Committing => send(),
        End::Over => HINTS.with_borrow_mut(|hints| hints.queued.clear()),
    }
}

/// Notifies idle workers of what the transaction has queued.
fn send() {
    let queued = HINTS.with_borrow_mut(|hints| std::mem::take(&mut hints.queued));
    if queued.is_empty() || is_free(ANYBODY) {
        return;
    }
    if queued.len() > MAX_LOCKS {
        notify(String::new());
        return;
    }
    let served_by_some = !is_free(EVERYTHING);
    for (part, action) in queued {
        if served_by_some || !is_free(number(&action)) {
            notify(format!("{part} {action}"));
        }
    }
}

/// Whether no other session holds the lock as an idle worker. If so, none can until this transaction has ended.
fn is_free(number: u32) -> bool {
    AdvisoryLock::idle(number).try_acquire(QUEUES)
}

/// Adds a notification to the transaction, unless this process has just sent the same one, or another transaction is
/// about to. Transactions that notify commit one after the other. Notified workers look a second time soon afterward.
fn notify(hint: String) {
    let now = clock::now().map_or(0, |now| now.into_inner());
    let last = HINTS.with_borrow(|hints| hints.sent.get(&hint).copied());
    if last.is_some_and(|last| (last..last + PAUSE).contains(&now))
        || !AdvisoryLock::hint(hash(&hint)).try_acquire(pg_sys::ExclusiveLock)
    {
        return;
    }
    HINTS.with_borrow_mut(|Hints { sent, .. }| {
        if sent.len() >= MAX_REMEMBERED {
            sent.clear();
        }
        sent.insert(hint.clone(), now);
    });
    builtin::notify("pg_workflow", hint);
}

/// Returns the number of the lock that represents an action.
fn number(action: &str) -> u32 {
    hash(action) | ONE_ACTION
}

/// Returns the FNV-1a hash of a text, which is the same in all processes, however they were built.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Returns the numbers of the locks of an idle worker that serves these actions; `None` means all actions.
fn numbers(actions: Option<&BTreeSet<String>>) -> BTreeSet<u32> {
    match actions {
        Some(actions) if actions.is_empty() => BTreeSet::new(),
        Some(actions) if actions.len() <= MAX_LOCKS => {
            actions.iter().map(|action| number(action)).chain([ANYBODY]).collect()
        }
        _ => BTreeSet::from([ANYBODY, EVERYTHING]),
    }
}

/// Announces that this session is idle and serves these actions; `None` withdraws the announcement.
pub fn announce_idle(actions: Option<&BTreeSet<String>>) {
    let wanted = numbers(actions);
    let before = HINTS.with_borrow(|hints| hints.held.clone());
    for number in before.difference(&wanted) {
        AdvisoryLock::idle(*number).release_for_process(IDLE);
        HINTS.with_borrow_mut(|hints| hints.held.remove(number));
    }
    for number in wanted {
        AdvisoryLock::idle(number).hold_for_process(IDLE);
        HINTS.with_borrow_mut(|hints| hints.held.insert(number));
    }
}

/// Returns the actions without nulls or duplicates.
pub fn check(actions: Vec<Option<String>>) -> Result<BTreeSet<String>, Error> {
    check_count("actions", actions.len(), MAX_ACTIONS)?;
    let actions: BTreeSet<String> = actions.into_iter().flatten().collect();
    actions.iter().try_for_each(|action| check_length("an action", action, MAX_KEY_BYTES))?;
    Ok(actions)
}
