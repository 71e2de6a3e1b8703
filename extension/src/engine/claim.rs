//! Claims: validating requests and giving tasks to workers.

use crate::engine::expired_leases::expire_leases;
use crate::engine::finish::process_all_pending;
use crate::engine::strays::{Queue, put_back_strays};
use crate::error::Error;
use crate::limits;
use crate::limits::admit::{check_keys, pass_up_slots};
use crate::limits::holds::Holds;
use crate::limits::take;
use crate::limits::take::{LimitKey, put_back, read_limits};
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use crate::queue::asking::Asking;
use crate::queue::part_hint;
use crate::queue::queued_parts::QueuedParts;
use crate::queue::scan_start::{self, Place, QueueScan};
use crate::settings;
use crate::store::{Handed, Leases, lock_leases};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Minimum number of executions whose pending reports a claim processes, if there are that many.
const MIN_PENDING_PROCESSED: i32 = 100;

/// Number of limit keys that a claim checks when tasks may have become claimable.
const CHECKED_KEYS: i32 = 100;

/// Maximum number of times that a claim searches a part again because the tasks it found must not start.
const MAX_ROUNDS: usize = 10;

/// Tasks that a call has claimed so far.
struct Claimed {
    tasks: Vec<Handed>,
    /// Tasks to be put back into the queue because someone else has locked one of their limits.
    busy: Vec<i64>,
    /// Limit keys that tasks had to wait for; they are locked.
    full: BTreeMap<LimitKey, i64>,
    /// Tasks that must not start.
    holds: Holds,
    /// Maximum number of tasks to claim.
    wanted: usize,
    /// Whether it consists of a task that is claimed without any others.
    is_alone: bool,
}

impl Claimed {
    fn is_full(&self) -> bool {
        self.is_alone || self.tasks.len() >= self.wanted
    }
}

/// Claims as many tasks as a worker has room for: from the parts that it names, in that order, or from every part that
/// has queued tasks. The caller still has to write the new leases and end those that were reported.
pub fn claim(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    asking: &Asking,
    reported: &mut Leases,
) -> Result<Vec<Handed>, Error> {
    if limits::are_in_use() {
        check_keys(client, now, CHECKED_KEYS)?;
    }
    let holds = Holds::load(client, now)?;
    let mut claimed = Claimed {
        tasks: Vec::new(),
        busy: Vec::new(),
        full: BTreeMap::new(),
        holds,
        wanted: asking.wanted,
        is_alone: false,
    };
    claim_parts(client, now, asking, &mut claimed)?;
    // The queue is exhausted: look for reports that nobody has processed, and for expired leases.
    if !claimed.is_full() {
        let parts = asking.foreign.restrict(&asking.parts);
        if process_all_pending(client, now, (asking.wanted as i32).max(MIN_PENDING_PROCESSED), &parts, None)?.reports
            > 0
        {
            claim_parts(client, now, asking, &mut claimed)?;
        }
    }
    if !claimed.is_full() {
        // Expired leases stay locked until the end of the transaction: whoever holds those locks must not wait for
        // others.
        lock_leases(client, reported)?;
        if expire_leases(client, now, asking.wanted as i32, asking.foreign.restrict(&asking.parts))? > 0 {
            claim_parts(client, now, asking, &mut claimed)?;
        }
    }
    put_back(client, now, claimed.busy)?;
    Ok(claimed.tasks)
}

/// Claims from one part after the other, until there are enough tasks.
fn claim_parts(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    asking: &Asking,
    claimed: &mut Claimed,
) -> Result<(), Error> {
    let mut exhausted = Vec::new();
    if let Some(parts) = &asking.parts {
        for part in parts.iter().flatten() {
            if !claimed.is_full() {
                exhausted.extend(claim_part(client, now, asking, *part, claimed)?);
            }
        }
    } else {
        let known = part_hint::known(asking, now).or_else(|| scan_start::known_part(asking.actions.as_ref()?, now));
        let known = known.filter(|part| !asking.foreign.contains(*part));
        let mut parts = QueuedParts::from(known);
        while !claimed.is_full() {
            let Some(part) = parts.next(client)? else {
                part_hint::forget();
                break;
            };
            // Its rows are being moved to or from another server.
            if asking.foreign.contains(part) {
                continue;
            }
            exhausted.extend(claim_part(client, now, asking, part, claimed)?);
            if claimed.is_full() && known != Some(part) {
                part_hint::note(asking, part, now);
            }
        }
    }
    claim_beside_strays(client, now, asking, exhausted, claimed)
}

/// Claims from a part. If that takes all that can be claimed there, returns the queue that was searched.
fn claim_part(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    asking: &Asking,
    part: i32,
    claimed: &mut Claimed,
) -> Result<Option<Queue>, Error> {
    let Some(mut actions) = asking.actions_in(client, part)? else { return Ok(None) };
    actions.retain(|action| !claimed.holds.hold_action(action));
    if actions.is_empty() {
        return Ok(None);
    }
    let before = claimed.tasks.len();
    let look = QueueScan::begin(part, &actions, now);
    let mut place = look.place();
    claim_from(client, now, asking, (part, place), &actions, claimed)?;
    if claimed.tasks.is_empty() && !asking.is_served && look.forget() {
        place = look.place();
        claim_from(client, now, asking, (part, place), &actions, claimed)?;
    }
    // Tasks that others are claiming right now are also in the queue.
    look.end(client, 10 * (asking.wanted - before))?;
    Ok((!claimed.is_full()).then_some(Queue { part, actions, place }))
}

/// Removes the stray tasks from queues that have been exhausted. They took the place of tasks that could have been
/// claimed, so these get another turn.
fn claim_beside_strays(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    asking: &Asking,
    exhausted: Vec<Queue>,
    claimed: &mut Claimed,
) -> Result<(), Error> {
    let parts = put_back_strays(client, now, &exhausted)?;
    for Queue { part, actions, place } in exhausted.iter().filter(|queue| parts.contains(&queue.part)) {
        for action in actions.chunks(1).filter(|_| actions.len() > 1) {
            if !claimed.is_full() {
                claim_from(client, now, asking, (*part, *place), action, claimed)?;
            }
        }
    }
    Ok(())
}

/// Claims tasks starting at a place in the queue of a part. Tasks that must not start yet leave the queue, and the next
/// ones get their turn, a limited number of times.
fn claim_from(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    asking: &Asking,
    place: (i32, Place),
    actions: &[String],
    claimed: &mut Claimed,
) -> Result<(), Error> {
    for round in 0..MAX_ROUNDS {
        let may_find_more = claim_once(client, now, asking, place, actions, claimed)?;
        if claimed.is_full() || !may_find_more {
            break;
        }
        // There may be many more.
        if round > 0 && !claimed.full.is_empty() {
            defer_queued(client, now, place, actions, claimed)?;
        }
    }
    Ok(())
}

/// Returns whether tasks have left the queue because they must not start.
fn claim_once(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    asking: &Asking,
    (part, (time, id)): (i32, Place),
    actions: &[String],
    claimed: &mut Claimed,
) -> Result<bool, Error> {
    let (wanted, token) = (asking.wanted - claimed.tasks.len(), asking.token()?);
    let is_first = claimed.tasks.is_empty() && !asking.is_served;
    let mut rows = match actions {
        [action] if wanted == 1 => {
            let action = action.as_str().into();
            let arguments = [part.into(), action, token.into(), now.into(), time.into(), id.into(), is_first.into()];
            statements::run(client, include_str!("../../queries/claim_one.sql"), &arguments)
        }
        [action] => {
            let (action, wanted) = (action.as_str().into(), (wanted as i64).into());
            let arguments =
                [part.into(), action, wanted, token.into(), now.into(), time.into(), id.into(), is_first.into()];
            statements::run(client, include_str!("../../queries/claim.sql"), &arguments)
        }
        _ => {
            let (actions, wanted) = (actions.to_vec().into(), (wanted as i64).into());
            let arguments =
                [part.into(), actions, wanted, token.into(), now.into(), time.into(), id.into(), is_first.into()];
            statements::run(client, include_str!("../../queries/claim_across.sql"), &arguments)
        }
    }?;
    let before = claimed.tasks.len();
    let (mut limited, mut is_alone) = (Vec::new(), false);
    while rows.next().is_some() {
        is_alone |= rows.get::<bool>(12)? == Some(true);
        if let Some(limits) = rows.get::<Jsonb>(14)? {
            limited.push((rows.get::<i64>(1)?.unwrap_or_default(), read_limits(Some(limits))));
        }
        claimed.tasks.push(Handed {
            task: rows.get::<i64>(1)?.unwrap_or_default(),
            lease: rows.get::<i64>(2)?.unwrap_or_default(),
            execution: rows.get::<i64>(3)?.unwrap_or_default(),
            task_name: rows.get::<String>(4)?.unwrap_or_default(),
            task_index: rows.get::<i32>(5)?,
            action: rows.get::<String>(6)?,
            input: rows.get::<Jsonb>(7)?,
            attempt: rows.get::<i32>(8)?.unwrap_or_default(),
            deadline: rows.get::<TimestampWithTimeZone>(9)?,
            last_error: rows.get::<Jsonb>(10)?,
            progress: rows.get::<Jsonb>(11)?,
            is_final: rows.get::<bool>(13)? == Some(true),
            traceparent: rows.get::<String>(15)?.map(Rc::from),
            workflow: rows.get::<String>(16)?.map(Rc::from),
        });
    }
    let has_found_enough = claimed.tasks.len() - before == wanted;
    let has_deferred = defer(client, now, claimed, before, limited)?;
    claimed.is_alone |= is_alone && claimed.tasks.len() > before;
    if settings::log_transitions() && claimed.tasks.len() > before {
        let tasks: Vec<i64> = claimed.tasks[before..].iter().map(|task| task.task).collect();
        let arguments = [tasks.into(), asking.worker.as_str().into(), asking.role.as_str().into(), now.into()];
        statements::run(client, include_str!("../../queries/log_claim.sql"), &arguments)?;
    }
    Ok(has_deferred && (has_found_enough || is_alone))
}

/// Defers queued tasks, too, if they are under limits that others had to wait for.
fn defer_queued(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    (part, (time, id)): (i32, Place),
    actions: &[String],
    claimed: &Claimed,
) -> Result<(), Error> {
    let names: Vec<&str> = claimed.full.keys().map(|(name, _)| name.as_str()).collect();
    let texts: Vec<&str> = claimed.full.keys().map(|(_, key)| key.as_str()).collect();
    let keys: Vec<i64> = claimed.full.values().copied().collect();
    let (names, texts, keys) = (names.into(), texts.into(), keys.into());
    let arguments = [part.into(), actions.to_vec().into(), now.into(), names, texts, keys, time.into(), id.into()];
    statements::run(client, include_str!("../../queries/defer_queued_tasks.sql"), &arguments)?;
    Ok(())
}

/// Defers the most recently claimed tasks that must not start yet. Returns whether there were any.
fn defer(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    claimed: &mut Claimed,
    before: usize,
    mut limited: Vec<(i64, Vec<LimitKey>)>,
) -> Result<bool, Error> {
    let count = claimed.tasks.len();
    let held = claimed.holds.held_tasks(client, now, claimed.tasks[before..].iter().map(|task| task.task).collect())?;
    if !held.is_empty() {
        let (tasks, keys) = held.iter().filter_map(|(task, key)| Some((*task, (*key)?))).unzip();
        take::defer(client, now, tasks, keys)?;
        pass_up_slots(client, limited.iter().map(|(task, _)| *task).filter(|task| held.contains_key(task)).collect())?;
        claimed.busy.extend(held.iter().filter(|(_, key)| key.is_none()).map(|(task, _)| *task));
        claimed.tasks.retain(|task| !held.contains_key(&task.task));
        limited.retain(|(task, _)| !held.contains_key(task));
    }
    if !limited.is_empty() {
        let begun = take::take(client, now, &limited, &[], &BTreeSet::new())?;
        claimed.tasks.retain(|task| !begun.waiting.contains(&task.task) && !begun.busy.contains(&task.task));
        claimed.busy.extend(begun.busy);
        claimed.full.extend(begun.full);
    }
    Ok(claimed.tasks.len() < count)
}
