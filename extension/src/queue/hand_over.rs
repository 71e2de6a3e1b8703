//! Decides where to put new tasks that the asking worker can execute: hands them directly to the worker, or queues them
//! if others have been waiting long enough.

use crate::error::Error;
use crate::pg::clock::after;
use crate::pg::relation;
use crate::pg::statements;
use crate::queue::asking::Asking;
use crate::queue::scan_start::QueueScan;
use crate::settings;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;
use pgrx::spi::SpiClient;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// How long to cache the result that nobody has been waiting too long, in microseconds. Tasks that arrive too late for
/// one check are seen by the next.
const LIFETIME: i64 = 1_000_000;

/// Maximum number of cached results per backend; the oldest are evicted first.
const KEPT_LOOKS: usize = 128;

/// Queued tasks that compete with new ones.
#[derive(Default)]
pub struct Ahead {
    /// How many seconds the first queued task that the worker could execute instead is ahead of now, by part, for parts
    /// where that matters.
    front: BTreeMap<i32, f64>,
}

impl Ahead {
    /// Examines the queues of these parts. `parts` gives the lowest priority among the new tasks of each: if nothing
    /// should go before a task of that priority, which takes one index probe per action to find out, nothing should go
    /// before any of them.
    pub fn look(
        client: &SpiClient,
        now: TimestampWithTimeZone,
        asking: &Asking,
        parts: &BTreeMap<i32, i32>,
    ) -> Result<Ahead, Error> {
        let mut ahead = Ahead::default();
        for (part, lowest) in parts {
            let place = after(now, -60.0 * f64::from(*lowest) - f64::from(settings::hand_over_grace()));
            let clear = Clear::to(place, *part, asking.actions.as_deref(), now);
            if clear.is_known() {
                continue;
            }
            let first = match asking.actions_in(client, *part)? {
                Some(others) => first_before(client, now, *part, place, &others)?,
                None => None,
            };
            match first {
                Some(first) => _ = ahead.front.insert(*part, (now.into_inner() - first.into_inner()) as f64 / 1e6),
                None => clear.remember(),
            }
        }
        Ok(ahead)
    }

    /// Whether the first queued task is so far ahead of the place that a new task of this priority would get that it
    /// should not be passed over.
    pub fn goes_before(&self, part: i32, priority: i32) -> bool {
        let place = f64::from(priority) * 60.0;
        self.front.get(&part).is_some_and(|ahead| ahead - place > f64::from(settings::hand_over_grace()))
    }
}

/// Returns the first place in the queue of a part, among tasks of these actions, if it is before the given place.
fn first_before(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    part: i32,
    place: TimestampWithTimeZone,
    actions: &[String],
) -> Result<Option<TimestampWithTimeZone>, Error> {
    let look = QueueScan::begin(part, actions, now);
    let (time, id) = look.place();
    let actions = actions.to_vec();
    let arguments = [part.into(), actions.clone().into(), place.into(), time.into(), id.into()];
    let is_there =
        statements::run(client, include_str!("../../queries/look_ahead.sql"), &arguments)?.first().get::<bool>(1)?;
    look.end(client, 0)?;
    if is_there != Some(true) {
        return Ok(None);
    }
    let arguments = [part.into(), actions.into(), time.into(), id.into()];
    statements::run(client, include_str!("../../queries/find_head.sql"), &arguments)?.first().get(1)
}

/// A check that found nothing before a place in a queue.
struct Clear {
    /// OID of the queue's table, which changes if the extension is dropped and recreated.
    table: Oid,
    part: i32,
    actions: Option<Vec<String>>,
    /// In microseconds, like the next field.
    place: i64,
    looked: i64,
}

thread_local! {
    static CLEAR: RefCell<Vec<Clear>> = const { RefCell::new(Vec::new()) };
}

impl Clear {
    fn to(place: TimestampWithTimeZone, part: i32, actions: Option<&[String]>, now: TimestampWithTimeZone) -> Clear {
        let (table, actions) = (relation::find(c"workflow_task_execution"), actions.map(<[String]>::to_vec));
        Clear { table, part, actions, place: place.into_inner(), looked: now.into_inner() }
    }

    fn is_of_same(&self, other: &Clear) -> bool {
        (self.table, self.part, &self.actions) == (other.table, other.part, &other.actions)
    }

    /// Whether a recent check had the same result.
    fn is_known(&self) -> bool {
        let sees = |known: &Clear| {
            (known.looked..known.looked + LIFETIME).contains(&self.looked)
                && self.place - known.place <= self.looked - known.looked
                && self.is_of_same(known)
        };
        CLEAR.with_borrow(|all| all.iter().any(sees))
    }

    fn remember(self) {
        CLEAR.with_borrow_mut(|all| {
            all.retain(|known| !known.is_of_same(&self));
            if all.len() >= KEPT_LOOKS {
                all.remove(0);
            }
            all.push(self);
        });
    }
}
