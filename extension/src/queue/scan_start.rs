//! Remembers where the queue begins if that is expensive to find.
//!
//! A claimed task stays in the queue's index until no snapshot is older than the claim, and then until the page is
//! vacuumed. Whoever looks for the first task has to read all pages of tasks claimed since then. So a backend that has
//! read many pages remembers for a while where the first task was, and starts from there. Tasks that are placed before
//! that in the meantime, because of their priority or age, are seen once that time has passed, or when there is nothing
//! else to do.

use crate::error::Error;
use crate::pg::relation;
use crate::pg::statements;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;
use pgrx::spi::SpiClient;
use std::cell::RefCell;

/// Number of pages that can be read in negligible time.
const CHEAP_PAGES: i64 = 8;

/// How long the result is reused per page read, in microseconds: about a hundred times as long as it takes to read the
/// page twice, with a visit to each of its tasks.
const REUSE_PER_PAGE: i64 = 10_000;

/// Maximum time for which a head is reused, in microseconds: the equivalent of one step of priority.
const LONGEST: i64 = 60_000_000;

/// Lower bound on the number of index entries per page.
const ENTRIES: usize = 20;

/// Maximum number of cached heads per backend; the oldest are evicted first.
const KEPT_HEADS: usize = 128;

/// A place in the queue: the queue time of a task, and its id.
pub type Place = (TimestampWithTimeZone, i64);

/// Place of the first task of some actions.
struct Head {
    /// OID of the queue's index, which changes if the extension is dropped and recreated.
    queue: Oid,
    part: i32,
    actions: Vec<String>,
    place: Place,
    /// Validity period, in microseconds.
    from: i64,
    until: i64,
}

thread_local! {
    static HEADS: RefCell<Vec<Head>> = const { RefCell::new(Vec::new()) };
}

/// A scan of the queue of a part, for tasks of some actions.
pub struct QueueScan<'a> {
    queue: Oid,
    part: i32,
    actions: &'a [String],
    now: TimestampWithTimeZone,
    /// Number of pages read before.
    read: i64,
}

impl<'a> QueueScan<'a> {
    /// Begins a scan.
    pub fn begin(part: i32, actions: &'a [String], now: TimestampWithTimeZone) -> QueueScan<'a> {
        let queue = queue();
        QueueScan { queue, part, actions, now, read: relation::pages_read(queue) }
    }

    fn is_of(&self, head: &Head) -> bool {
        head.queue == self.queue && head.part == self.part && head.actions == self.actions
    }

    /// Returns the place to start from.
    pub fn place(&self) -> Place {
        HEADS.with_borrow_mut(|heads| {
            heads.retain(|head| (head.from..head.until).contains(&self.now.into_inner()));
            let head = heads.iter().find(|head| self.is_of(head));
            head.map_or((TimestampWithTimeZone::negative_infinity(), 0), |head| head.place)
        })
    }

    /// Forgets the head. Returns whether there was one, in which case the scan has to be repeated from the beginning.
    pub fn forget(&self) -> bool {
        HEADS.with_borrow_mut(|heads| {
            let before = heads.len();
            heads.retain(|head| !self.is_of(head));
            heads.len() < before
        })
    }

    /// Ends the scan. If it was long, the place is remembered, so that the next one is shorter. Reading `expected`
    /// tasks, and descending to the first one of each action, does not make it long.
    pub fn end(self, client: &SpiClient, expected: usize) -> Result<(), Error> {
        let read = relation::pages_read(self.queue) - self.read;
        if read < CHEAP_PAGES + (expected / ENTRIES + 4 * self.actions.len()) as i64 {
            return Ok(());
        }
        let (time, id) = self.place();
        let arguments = [self.part.into(), self.actions.to_vec().into(), time.into(), id.into()];
        let first = statements::run(client, include_str!("../../queries/find_head.sql"), &arguments)?.first();
        let Some(place) = first.get::<TimestampWithTimeZone>(1)?.zip(first.get::<i64>(2)?) else { return Ok(()) };
        let from = self.now.into_inner();
        let until = from + (read * REUSE_PER_PAGE).min(LONGEST);
        HEADS.with_borrow_mut(|heads| match heads.iter_mut().find(|head| self.is_of(head)) {
            Some(head) => head.place = place,
            None => {
                if heads.len() >= KEPT_HEADS {
                    heads.remove(0);
                }
                let (queue, part, actions) = (self.queue, self.part, self.actions.to_vec());
                heads.push(Head { queue, part, actions, place, from, until });
            }
        });
        Ok(())
    }
}

/// Returns a part in which the head of the queue of these actions is known.
pub fn known_part(actions: &[String], now: TimestampWithTimeZone) -> Option<i32> {
    let (queue, now) = (queue(), now.into_inner());
    HEADS.with_borrow(|heads| {
        let is_known =
            |head: &&Head| head.queue == queue && head.actions == actions && (head.from..head.until).contains(&now);
        heads.iter().find(is_known).map(|head| head.part)
    })
}

fn queue() -> Oid {
    relation::find(c"workflow_task_execution_queue_idx")
}
