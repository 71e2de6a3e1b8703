//! Where the queue begins, where that is hard to find.
//!
//! A task that was claimed stays in the queue's index until nobody's snapshot is older than the claim, and then until the page
//! is vacuumed. Whoever looks for the first task reads all pages of those that were claimed since. So a backend that has read
//! many remembers for a while where the first one stood, and looks from there. What gets a place before that one meanwhile,
//! by its priority or its age, is seen when the while is over, or when there is nothing else to do.

use crate::error::Error;
use crate::pg::relation;
use crate::pg::statements;
use pgrx::datum::{IntoDatum, TimestampWithTimeZone};
use pgrx::direct_function_call;
use pgrx::pg_sys::{self, Oid};
use pgrx::spi::SpiClient;
use std::cell::RefCell;

/// So many pages are read in no time.
const MANY: i64 = 8;

/// How long it is good to have read a page, in microseconds: some hundred times what it takes to read it twice where each of its
/// tasks has to be looked at.
const A_PAGE: i64 = 10_000;

/// How long at most a head is believed in, in microseconds: as long as a step of priority is worth.
const LONGEST: i64 = 60_000_000;

/// A page has more entries of the index than this.
const ENTRIES: usize = 20;

/// So many heads a backend keeps; the oldest go first.
const KEPT_HEADS: usize = 128;

/// A place in the queue: the time that a task has there, and its id.
pub type Place = (TimestampWithTimeZone, i64);

/// Where the first task of these actions stood.
struct Head {
    /// The queue's index: it has another number after the extension was dropped and made again.
    queue: Oid,
    part: i32,
    actions: Vec<String>,
    place: Place,
    /// In microseconds.
    from: i64,
    until: i64,
}

thread_local! {
    static HEADS: RefCell<Vec<Head>> = const { RefCell::new(Vec::new()) };
}

/// A look at the queue of a part, for tasks of some actions.
pub struct Look<'a> {
    queue: Oid,
    part: i32,
    actions: &'a [String],
    now: TimestampWithTimeZone,
    /// How many pages had been read before.
    read: i64,
}

impl<'a> Look<'a> {
    /// Begins to look.
    pub fn begin(part: i32, actions: &'a [String], now: TimestampWithTimeZone) -> Look<'a> {
        let queue = queue();
        Look { queue, part, actions, now, read: read(queue) }
    }

    fn is_of(&self, head: &Head) -> bool {
        head.queue == self.queue && head.part == self.part && head.actions == self.actions
    }

    /// From where on.
    pub fn place(&self) -> Place {
        HEADS.with_borrow_mut(|heads| {
            heads.retain(|head| (head.from..head.until).contains(&self.now.into_inner()));
            let head = heads.iter().find(|head| self.is_of(head));
            head.map_or((TimestampWithTimeZone::negative_infinity(), 0), |head| head.place)
        })
    }

    /// Was there more to see than what it saw? Then it has to look from the beginning.
    pub fn forget(&self) -> bool {
        HEADS.with_borrow_mut(|heads| {
            let before = heads.len();
            heads.retain(|head| !self.is_of(head));
            heads.len() < before
        })
    }

    /// Ends the look. If it was a long one, the next one need not be. To look at so many tasks, and to go down to the first of
    /// each action, is no surprise.
    pub fn end(self, client: &SpiClient, expected: usize) -> Result<(), Error> {
        let read = read(self.queue) - self.read;
        if read < MANY + (expected / ENTRIES + 4 * self.actions.len()) as i64 {
            return Ok(());
        }
        let (time, id) = self.place();
        let arguments = [self.part.into(), self.actions.to_vec().into(), time.into(), id.into()];
        let first = statements::run(client, include_str!("../../queries/find_head.sql"), &arguments)?.first();
        let Some(place) = first.get::<TimestampWithTimeZone>(1)?.zip(first.get::<i64>(2)?) else { return Ok(()) };
        let from = self.now.into_inner();
        let until = from + (read * A_PAGE).min(LONGEST);
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

/// A part where the head of the queue of these actions is known.
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

/// How many pages of an index this backend has read and not told the statistics yet.
#[allow(unsafe_code)]
fn read(index: Oid) -> i64 {
    // SAFETY: the argument is what the function takes.
    let read = unsafe { direct_function_call::<i64>(pg_sys::pg_stat_get_xact_blocks_fetched, &[index.into_datum()]) };
    read.unwrap_or(0)
}
