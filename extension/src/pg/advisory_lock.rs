//! Advisory locks in the library's own class.
//!
//! The server's SQL functions create tags of class 1 and 2 only, so no SQL statement can take, hold or release one of
//! these locks. In pg_locks the class is `objsubid`, the purpose `classid`, and the number `objid`.
#![allow(unsafe_code)]

use pgrx::pg_sys::{self, LockAcquireResult};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The class of all these locks.
pub const CLASS: u16 = u16::from_be_bytes(*b"wf");

/// Number of groups of limit keys. With groups, a call that creates many keys needs few locks, of which a server has a
/// limited number.
const LIMIT_KEY_GROUPS: u32 = 64;

/// The purpose of a lock.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Purpose {
    /// Being the ticker of the database.
    Ticker = 0,
    /// Granting and revoking levels.
    Grants = 1,
    /// Extending leases: one lock per group of tokens.
    Heartbeats = 2,
    /// Creating the row of a limit's key: one lock per group of keys.
    LimitKeys = 3,
    /// Waiting for tasks to be queued: one lock per action.
    Idle = 4,
    /// Notifying idle workers: one lock per hint.
    Hint = 5,
}

/// A lock of the current database.
#[derive(Clone, Copy)]
pub struct AdvisoryLock {
    purpose: Purpose,
    number: u32,
}

/// How long a lock is held.
#[derive(Clone, Copy, PartialEq)]
enum Scope {
    Transaction,
    Process,
}

impl AdvisoryLock {
    /// Lock that the ticker of the database holds in `ExclusiveLock` mode.
    pub const TICKER: AdvisoryLock = AdvisoryLock { purpose: Purpose::Ticker, number: 0 };
    /// Lock that whoever changes privileges holds.
    pub const GRANTS: AdvisoryLock = AdvisoryLock { purpose: Purpose::Grants, number: 0 };

    /// Returns one of the locks for heartbeats.
    pub const fn heartbeats(number: u32) -> AdvisoryLock {
        AdvisoryLock { purpose: Purpose::Heartbeats, number }
    }

    /// Returns the lock for creating the row of a limit's key.
    pub fn limit_key(limit: &str, key: &str) -> AdvisoryLock {
        let mut hasher = DefaultHasher::new();
        (limit, key).hash(&mut hasher);
        AdvisoryLock { purpose: Purpose::LimitKeys, number: hasher.finish() as u32 % LIMIT_KEY_GROUPS }
    }

    /// Returns one of the locks for idle workers.
    pub const fn idle(number: u32) -> AdvisoryLock {
        AdvisoryLock { purpose: Purpose::Idle, number }
    }

    /// Returns the lock for sending a hint.
    pub const fn hint(number: u32) -> AdvisoryLock {
        AdvisoryLock { purpose: Purpose::Hint, number }
    }

    /// Takes the lock until the end of the transaction, waiting for it if necessary.
    pub fn acquire(self, mode: u32) {
        self.take(mode, Scope::Transaction, false);
    }

    /// Takes the lock until the process ends, unless another process holds it in a conflicting mode.
    pub fn try_acquire_for_process(self, mode: u32) -> bool {
        self.take(mode, Scope::Process, true)
    }

    /// Takes the lock until the end of the transaction, unless another process holds it, or waits for it, in a
    /// conflicting mode, or the server's lock table is full.
    pub fn try_acquire(self, mode: u32) -> bool {
        // SAFETY: the tag is a complete value that is only read; nobody asks for the local lock.
        let result = unsafe {
            #[cfg(not(feature = "pg18"))]
            let result =
                pg_sys::LockAcquireExtended(&self.tag(), mode as i32, false, true, false, std::ptr::null_mut());
            #[cfg(feature = "pg18")]
            let result =
                pg_sys::LockAcquireExtended(&self.tag(), mode as i32, false, true, false, std::ptr::null_mut(), false);
            result
        };
        result != LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }

    /// Takes the lock until the process ends, waiting for it if necessary. The process holds it once, however often it
    /// calls this.
    pub fn hold_for_process(self, mode: u32) {
        if !matches!(self.acquire_as(mode, Scope::Process, false), LockAcquireResult::LOCKACQUIRE_OK) {
            self.release_once(mode);
        }
    }

    /// Releases the lock taken by `hold_for_process`, if the session has not done so itself (`DISCARD ALL` releases all
    /// such locks).
    pub fn release_for_process(self, mode: u32) {
        match self.acquire_as(mode, Scope::Process, true) {
            LockAcquireResult::LOCKACQUIRE_NOT_AVAIL => {}
            LockAcquireResult::LOCKACQUIRE_OK => self.release_once(mode),
            _ => (0..2).for_each(|_| self.release_once(mode)),
        }
    }

    fn release_once(self, mode: u32) {
        // SAFETY: the tag is a complete value that is only read, and the process holds the lock.
        unsafe { pg_sys::LockRelease(&self.tag(), mode as i32, true) };
    }

    fn take(self, mode: u32, scope: Scope, at_once: bool) -> bool {
        self.acquire_as(mode, scope, at_once) != LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }

    fn acquire_as(self, mode: u32, scope: Scope, at_once: bool) -> LockAcquireResult::Type {
        // SAFETY: the tag is a complete value that is only read.
        unsafe { pg_sys::LockAcquire(&self.tag(), mode as i32, scope == Scope::Process, at_once) }
    }

    fn tag(self) -> pg_sys::LOCKTAG {
        pg_sys::LOCKTAG {
            // SAFETY: set once when the process connects; whoever runs a function is connected to a database.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            locktag_field2: self.purpose as u32,
            locktag_field3: self.number,
            locktag_field4: CLASS,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        }
    }
}
