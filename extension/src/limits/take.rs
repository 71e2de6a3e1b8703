//! Taking slots for tasks that are about to start: of all their limits, or of none.

use crate::error::Error;
use crate::pg::advisory_lock::AdvisoryLock;
use crate::pg::clock::{after, at};
use crate::pg::jsonb::Jsonb;
use crate::pg::relation;
use crate::pg::rows::{Rows, numbers};
use crate::pg::statements;
use conductor::engine::rate::Rate;
use conductor::json::from_text;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Minimum number of slots created at once, if the limit allows that many.
const MIN_SLOTS: usize = 8;

/// A limit and its key.
pub type LimitKey = (String, String);

/// Outcome for tasks that were to start.
#[derive(Default)]
pub struct Begun {
    /// Tasks that may not start: they have left the queue and wait for a key.
    pub waiting: BTreeSet<i64>,
    /// Tasks whose key someone else has locked.
    pub busy: BTreeSet<i64>,
    /// Keys that tasks wait for; they are locked.
    pub full: BTreeMap<LimitKey, i64>,
    /// Whether tasks that have stopped still hold slots.
    pub has_left: bool,
}

/// A limit's settings.
#[derive(Clone, Copy, Default)]
pub struct Rule {
    /// Maximum number of running tasks.
    pub max_running: Option<usize>,
    /// Rate at which tasks may start.
    pub rate: Option<Rate>,
}

impl Rule {
    /// Reads a rule from consecutive columns of a row: max_running, rate, per in microseconds, burst.
    pub fn read(row: &Rows, first: usize) -> Result<Rule, Error> {
        let number = |column| Ok::<_, Error>(row.get::<i32>(column)?.map(|number| number.max(0) as u32));
        let rate = match (number(first + 1)?, row.get::<i64>(first + 2)?, number(first + 3)?) {
            (Some(count), Some(period), Some(burst)) => Some(Rate::new(count, period, burst)),
            _ => None,
        };
        Ok(Rule { max_running: number(first)?.map(|count| count as usize), rate })
    }
}

/// Reads the limits of a task.
pub fn read_limits(limits: Option<Jsonb>) -> Vec<LimitKey> {
    limits.and_then(|limits| from_text(&limits.text()).ok()).unwrap_or_default()
}

/// Takes the slots that tasks need to start, in order. Tasks that cannot start, or that are `behind` others that have
/// waited longer, are made to wait. The slots of tasks that have stopped are taken first; the caller has to free those
/// that are left.
pub fn take(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    tasks: &[(i64, Vec<LimitKey>)],
    stopped: &[i64],
    behind: &BTreeSet<i64>,
) -> Result<Begun, Error> {
    let mut wanted: BTreeMap<&LimitKey, usize> = BTreeMap::new();
    for (task, limits) in tasks {
        let count = usize::from(!behind.contains(task));
        limits.iter().for_each(|limit| *wanted.entry(limit).or_default() += count);
    }
    let mut keys = load(client, now, &wanted)?;
    create(client, now, &mut keys)?;
    let left = take_over(client, &mut keys, stopped)?;
    lock(client, &mut keys, |key| key.rule.rate.is_some() || key.slots > key.most_slots())?;
    trim(client, &mut keys, &left)?;
    lock_slots(client, &mut keys)?;
    grow(client, &mut keys)?;
    keys.values_mut().for_each(|key| key.count_room(now));
    let (mut begun, mut taken, mut waiting) = (Begun::default(), Vec::new(), Vec::new());
    for (task, limits) in tasks {
        let limits: Vec<&LimitKey> = limits.iter().filter(|limit| keys.contains_key(limit)).collect();
        match limits.iter().copied().find(|limit| keys[limit].room == 0 || behind.contains(task)) {
            None => {
                for limit in limits {
                    let key = keys.get_mut(limit).into_iter();
                    taken.extend(key.flat_map(Key::take).map(|(key, number)| (key, number, *task)));
                }
            }
            Some(_) if limits.iter().any(|limit| keys[limit].room == 0 && keys[limit].is_busy) => {
                begun.busy.insert(*task);
            }
            Some(limit) => {
                waiting.push((*task, limit));
                // A slot of its other limits may have been freed for this task. Tasks behind it can have that slot now.
                for other in limits.into_iter().filter(|other| *other != limit) {
                    keys.entry(other).and_modify(|key| key.is_passed_up |= key.is_contended && key.room > 0);
                }
            }
        }
    }
    let lacking: BTreeSet<&LimitKey> = waiting.iter().map(|(_, limit)| *limit).collect();
    lock(client, &mut keys, |key| lacking.contains(&key.name))?;
    let (mut deferred, mut places) = (Vec::new(), Vec::new());
    for (task, limit) in waiting {
        let key = keys.get_mut(limit).filter(|key| key.is_locked);
        match key.and_then(|key| key.id.inspect(|_| key.has_waiting = true)) {
            Some(id) => {
                begun.waiting.insert(task);
                begun.full.insert(limit.clone(), id);
                deferred.push(task);
                places.push(id);
            }
            None => _ = begun.busy.insert(task),
        }
    }
    let used: BTreeSet<(i64, i64)> = taken.iter().map(|(key, number, _)| (*key, *number)).collect();
    begun.has_left = left.iter().any(|(key, slots)| slots.iter().any(|number| !used.contains(&(*key, *number))));
    let passed_up: Vec<i64> = keys.values().filter(|key| key.is_passed_up).filter_map(|key| key.id).collect();
    write(client, now, &keys, taken)?;
    defer(client, now, deferred, places)?;
    check_soon(client, now, passed_up)?;
    Ok(begun)
}

/// Makes the next claim or tick check keys, even those that someone else has locked.
pub fn check_soon(client: &SpiClient, now: TimestampWithTimeZone, keys: Vec<i64>) -> Result<(), Error> {
    if !keys.is_empty() {
        statements::run(client, include_str!("../../queries/check_limit_keys.sql"), &[keys.into(), now.into()])?;
    }
    Ok(())
}

/// Takes tasks out of the queue and makes them wait for keys, which are locked.
pub fn defer(client: &SpiClient, now: TimestampWithTimeZone, tasks: Vec<i64>, keys: Vec<i64>) -> Result<(), Error> {
    if !tasks.is_empty() {
        let arguments = [tasks.into(), keys.into(), now.into()];
        statements::run(client, include_str!("../../queries/defer_tasks.sql"), &arguments)?;
    }
    Ok(())
}

/// Puts claimed tasks back into the queue because their limits cannot be checked now.
pub fn put_back(client: &SpiClient, now: TimestampWithTimeZone, tasks: Vec<i64>) -> Result<(), Error> {
    if !tasks.is_empty() {
        let arguments = [tasks.into(), now.into()];
        statements::run(client, include_str!("../../queries/put_back_tasks.sql"), &arguments)?;
    }
    Ok(())
}

/// Gives slots to tasks that are already running, or are about to. Returns the keys of those that got none because
/// someone else has locked something.
pub fn adopt(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    tasks: &[(i64, LimitKey)],
) -> Result<Vec<LimitKey>, Error> {
    let mut wanted: BTreeMap<&LimitKey, usize> = BTreeMap::new();
    tasks.iter().for_each(|(_, limit)| *wanted.entry(limit).or_default() += 1);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut keys = load(client, now, &wanted)?;
    create(client, now, &mut keys)?;
    lock(client, &mut keys, |_| true)?;
    let counts = |key: &&Key| key.is_locked && key.rule.max_running.is_some();
    let locked = |limit| keys.get(limit).filter(counts).and_then(|key| key.id);
    let (ids, tasks): (Vec<i64>, Vec<i64>) =
        tasks.iter().filter_map(|(task, limit)| Some((locked(limit)?, *task))).unzip();
    if !ids.is_empty() {
        statements::run(client, include_str!("../../queries/adopt_tasks.sql"), &[ids.into(), tasks.into()])?;
    }
    Ok(keys.into_values().filter(|key| key.is_busy).map(|key| key.name).collect())
}

/// Requests that ticks give slots to tasks that are running under these keys without one.
pub fn request_recount(client: &SpiClient, keys: Vec<LimitKey>) -> Result<(), Error> {
    if !keys.is_empty() {
        let (names, keys): (Vec<String>, Vec<String>) = keys.into_iter().unzip();
        statements::run(client, include_str!("../../queries/request_recount.sql"), &[names.into(), keys.into()])?;
    }
    Ok(())
}

/// One key of a limit, in the state found by this call.
struct Key {
    name: LimitKey,
    /// Id; `None` if it has not been used yet.
    id: Option<i64>,
    rule: Rule,
    held_until: Option<TimestampWithTimeZone>,
    /// Number of tasks that are to start.
    wanted: usize,
    /// Whether tasks waited for it before this call.
    is_contended: bool,
    /// Whether a task that could have had one of its slots waits for another key.
    is_passed_up: bool,
    /// Number of slots that exist.
    slots: usize,
    /// Theoretical arrival time of the next task.
    next_at: i64,
    /// Whether tasks wait for it.
    has_waiting: bool,
    /// Whether they already did when its row was locked.
    was_awaited: bool,
    /// Free slots locked by this call.
    free: VecDeque<i64>,
    /// Number of further tasks that may start.
    room: usize,
    /// Number of tasks that have started.
    begun: usize,
    /// Whether this call has locked its row.
    is_locked: bool,
    /// Whether someone else has locked something that this call needs.
    is_busy: bool,
}

type Keys<'k> = BTreeMap<&'k LimitKey, Key>;

impl Key {
    fn most_slots(&self) -> usize {
        self.rule.max_running.unwrap_or(usize::MAX)
    }

    /// Whether it matters how many slots are free.
    fn needs_slots(&self) -> bool {
        self.rule.max_running.is_some() && self.held_until.is_none() && self.id.is_some()
    }

    fn count_room(&mut self, now: TimestampWithTimeZone) {
        self.next_at = self.rule.possible(self.next_at, now);
        let slots = if self.rule.max_running.is_some() { self.free.len() } else { self.wanted };
        self.room = match self.held_until {
            Some(_) => 0,
            None if self.id.is_none() || self.rule.rate.is_some() && !self.is_locked => 0,
            None => self.rule.allowed(self.next_at, now, slots),
        };
    }

    /// Starts one task. Returns the slot that it takes, if it needs one.
    fn take(&mut self) -> Option<(i64, i64)> {
        self.room -= 1;
        self.begun += 1;
        self.rule.max_running.and(self.free.pop_front()).and_then(|number| Some((self.id?, number)))
    }

    /// Returns when the key has to be checked again; `None` if nothing waits for it. A key that nobody waited for is
    /// checked soon, whatever the obstacle: someone may be removing the obstacle right now, without seeing yet that the
    /// key has to be checked.
    fn check_at(&self, now: TimestampWithTimeZone, next_at: i64) -> Option<TimestampWithTimeZone> {
        let soon = after(now, 1.0);
        let opens_at = self.held_until.or_else(|| self.rule.opens_at(next_at).filter(|time| *time > now));
        let check_at = match opens_at {
            Some(time) if self.was_awaited || time < soon => time,
            // Tasks begin, so others can follow them at the rate.
            None => self.rule.next_admission(now).filter(|time| *time < soon).unwrap_or(soon),
            _ => soon,
        };
        self.has_waiting.then_some(check_at)
    }
}

/// Loads those keys of the limits that exist.
fn load<'k>(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    wanted: &BTreeMap<&'k LimitKey, usize>,
) -> Result<Keys<'k>, Error> {
    let (names, texts): (Vec<&str>, Vec<&str>) = wanted.keys().map(|(name, key)| (name.as_str(), key.as_str())).unzip();
    let arguments = [names.into(), texts.into(), now.into(), (!relation::is_empty(c"hold")).into()];
    let mut rows = statements::run(client, include_str!("../../queries/find_limit_keys.sql"), &arguments)?;
    let all: Vec<(&&LimitKey, &usize)> = wanted.iter().collect();
    let mut keys = Keys::new();
    while rows.next().is_some() {
        let place = rows.get::<i64>(1)?.unwrap_or_default() as usize - 1;
        let (name, wanted) = all[place];
        let key = Key {
            name: (*name).clone(),
            id: rows.get::<i64>(2)?,
            rule: Rule::read(&rows, 4)?,
            held_until: rows.get::<TimestampWithTimeZone>(8)?,
            wanted: *wanted,
            is_contended: rows.get::<bool>(9)? == Some(true),
            is_passed_up: false,
            slots: rows.get::<i32>(3)?.unwrap_or_default().max(0) as usize,
            next_at: i64::MIN,
            has_waiting: false,
            was_awaited: false,
            free: VecDeque::new(),
            room: 0,
            begun: 0,
            is_locked: false,
            is_busy: false,
        };
        keys.insert(*name, key);
    }
    Ok(keys)
}

/// Creates keys that are used for the first time. If another transaction is creating a key, this one leaves the key to
/// it rather than wait for it to commit.
fn create(client: &SpiClient, now: TimestampWithTimeZone, keys: &mut Keys) -> Result<(), Error> {
    let mut fresh: Vec<&mut Key> = keys.values_mut().filter(|key| key.id.is_none()).collect();
    if fresh.is_empty() {
        return Ok(());
    }
    for key in fresh.iter_mut() {
        key.is_busy = !AdvisoryLock::limit_key(&key.name.0, &key.name.1).try_acquire(pg_sys::ExclusiveLock);
    }
    fresh.retain(|key| !key.is_busy);
    let (names, texts): (Vec<&str>, Vec<&str>) =
        fresh.iter().map(|key| (key.name.0.as_str(), key.name.1.as_str())).unzip();
    let arguments = [names.into(), texts.into(), now.into()];
    let mut rows = statements::run(client, include_str!("../../queries/insert_limit_keys.sql"), &arguments)?;
    let mut created: BTreeMap<LimitKey, i64> = BTreeMap::new();
    while rows.next().is_some() {
        let text = |column| Ok::<_, Error>(rows.get::<String>(column)?.unwrap_or_default());
        created.insert((text(2)?, text(3)?), rows.get::<i64>(1)?.unwrap_or_default());
    }
    for key in fresh {
        key.id = created.get(&key.name).copied();
        key.is_locked = key.id.is_some();
        key.is_busy = key.id.is_none();
    }
    Ok(())
}

/// Makes the slots of tasks that have stopped available to keys that nobody waits for. Returns all slots of these
/// tasks, by key.
fn take_over(client: &SpiClient, keys: &mut Keys, stopped: &[i64]) -> Result<BTreeMap<i64, BTreeSet<i64>>, Error> {
    let mut held: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    if stopped.is_empty() {
        return Ok(held);
    }
    let sql = include_str!("../../queries/find_stopped_slots.sql");
    let mut rows = statements::run(client, sql, &[stopped.to_vec().into()])?;
    while rows.next().is_some() {
        held.entry(rows.get::<i64>(1)?.unwrap_or_default()).or_default().extend(rows.get::<i64>(2)?);
    }
    for key in keys.values_mut().filter(|key| key.needs_slots() && key.slots <= key.most_slots() && !key.is_contended) {
        key.free.extend(key.id.and_then(|id| held.get(&id)).into_iter().flatten().take(key.wanted));
    }
    Ok(held)
}

/// Locks the rows of keys; those that someone else has locked are marked as busy.
fn lock(client: &SpiClient, keys: &mut Keys, is_needed: impl Fn(&Key) -> bool) -> Result<(), Error> {
    let mut needed: BTreeMap<i64, &mut Key> = BTreeMap::new();
    for key in keys.values_mut().filter(|key| !key.is_locked && is_needed(key)) {
        if let Some(id) = key.id {
            key.is_busy = true;
            needed.insert(id, key);
        }
    }
    if needed.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = needed.keys().copied().collect();
    let mut rows = statements::run(client, include_str!("../../queries/try_lock_limit_keys.sql"), &[ids.into()])?;
    while rows.next().is_some() {
        if let Some(key) = needed.get_mut(&rows.get::<i64>(1)?.unwrap_or_default()) {
            key.is_locked = true;
            key.is_busy = false;
            key.slots = rows.get::<i32>(2)?.unwrap_or_default().max(0) as usize;
            key.next_at = rows.get::<i64>(3)?.unwrap_or(i64::MIN);
            key.was_awaited = rows.get::<bool>(4)? == Some(true);
            key.has_waiting |= key.was_awaited;
        }
    }
    Ok(())
}

/// Removes slots of keys that have more than the limit now allows: free ones, and those that are `left` by tasks that
/// have stopped. While there are too many, none is taken.
fn trim(client: &SpiClient, keys: &mut Keys, left: &BTreeMap<i64, BTreeSet<i64>>) -> Result<(), Error> {
    for key in keys.values_mut().filter(|key| key.needs_slots() && key.is_locked && key.slots > key.most_slots()) {
        let excess = (key.slots - key.most_slots()) as i64;
        let left: Vec<i64> = key.id.and_then(|id| left.get(&id)).into_iter().flatten().copied().collect();
        let arguments = [key.id.into(), excess.into(), left.into()];
        let gone = statements::run(client, include_str!("../../queries/trim_limit_slots.sql"), &arguments)?.first();
        key.slots = gone.get::<i32>(1)?.unwrap_or_default().max(0) as usize;
    }
    Ok(())
}

/// Locks as many free slots as are needed, skipping those that others are taking.
fn lock_slots(client: &SpiClient, keys: &mut Keys) -> Result<(), Error> {
    let mut needed: BTreeMap<i64, &mut Key> = BTreeMap::new();
    let lacks = |key: &Key| key.slots <= key.most_slots() && key.slots > 0 && key.free.len() < key.wanted;
    for key in keys.values_mut().filter(|key| key.needs_slots() && lacks(key)) {
        needed.extend(key.id.map(|id| (id, key)));
    }
    if needed.is_empty() {
        return Ok(());
    }
    let counts: Vec<i64> = needed.values().map(|key| (key.wanted - key.free.len()) as i64).collect();
    let arguments = [needed.keys().copied().collect::<Vec<_>>().into(), counts.into()];
    let mut rows = statements::run(client, include_str!("../../queries/lock_limit_slots.sql"), &arguments)?;
    while rows.next().is_some() {
        if let Some(key) = needed.get_mut(&rows.get::<i64>(1)?.unwrap_or_default()) {
            key.free.extend(rows.get::<i64>(2)?);
        }
    }
    Ok(())
}

/// Creates more slots for keys that need some and have fewer than their limit allows.
fn grow(client: &SpiClient, keys: &mut Keys) -> Result<(), Error> {
    let lacks = |key: &Key| key.needs_slots() && key.free.len() < key.wanted && key.slots < key.most_slots();
    lock(client, keys, lacks)?;
    for key in keys.values_mut().filter(|key| key.is_locked && lacks(key)) {
        let lacking = key.wanted - key.free.len();
        let count = lacking.max(key.slots).max(MIN_SLOTS).min(key.most_slots() - key.slots);
        let arguments = [key.id.into(), (count as i32).into()];
        let added = statements::run(client, include_str!("../../queries/add_limit_slots.sql"), &arguments)?;
        key.free.extend(numbers(added, 1)?);
        key.slots += count;
    }
    Ok(())
}

/// Records which tasks hold which slots, and updates the locked keys.
fn write(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    keys: &Keys,
    taken: Vec<(i64, i64, i64)>,
) -> Result<(), Error> {
    if !taken.is_empty() {
        let arguments = [
            taken.iter().map(|(key, ..)| *key).collect::<Vec<_>>().into(),
            taken.iter().map(|(_, number, _)| *number).collect::<Vec<_>>().into(),
            taken.iter().map(|(.., task)| *task).collect::<Vec<_>>().into(),
        ];
        statements::run(client, include_str!("../../queries/take_slots.sql"), &arguments)?;
    }
    let is_changed = |key: &&Key| key.is_locked && (key.has_waiting || key.rule.rate.is_some() && key.begun > 0);
    let (mut ids, mut next, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys.values().filter(is_changed) {
        let next_at = key.rule.rate.map_or(key.next_at, |rate| rate.after(key.next_at, now.into_inner(), key.begun));
        ids.extend(key.id);
        next.push(at(next_at));
        checks.push(key.check_at(now, next_at));
    }
    if !ids.is_empty() {
        let arguments = [ids.into(), next.into(), checks.into(), now.into()];
        statements::run(client, include_str!("../../queries/update_limit_keys.sql"), &arguments)?;
    }
    Ok(())
}
