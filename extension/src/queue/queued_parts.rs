//! The parts that have queued tasks, in the order in which a claim visits them.

use crate::error::Error;
use crate::pg::id::PARTS;
use crate::pg::random;
use crate::pg::rows::numbers;
use crate::pg::statements;
use pgrx::spi::SpiClient;
use std::collections::VecDeque;

/// Number of parts after which the next ones are looked up several at a time.
const FEW_PARTS: usize = 2;

/// Number of parts that are then looked up at once.
const PARTS_AT_ONCE: i64 = 16;

/// One round of the parts that have queued tasks. Parts whose tasks have been queued in the meantime may be missed.
pub struct QueuedParts {
    /// Part from which the round starts.
    start: i32,
    /// Whether the round starts with that part even if nothing is known to be queued there.
    is_known: bool,
    /// The last part that was looked up.
    last: i32,
    /// Whether the round has continued at the lowest part.
    has_wrapped: bool,
    /// Parts that were looked up but not visited yet.
    ahead: VecDeque<i32>,
    visited: usize,
}

impl QueuedParts {
    /// Starts with the known part, if any, or else at a random one, so that a full part does not starve those after it.
    pub fn from(known: Option<i32>) -> QueuedParts {
        let start = known.unwrap_or_else(|| (random::fraction() * f64::from(PARTS)) as i32);
        QueuedParts {
            start,
            is_known: known.is_some(),
            last: if known.is_some() { start } else { start - 1 },
            has_wrapped: false,
            ahead: VecDeque::new(),
            visited: 0,
        }
    }

    /// Returns the next part, if there is another one.
    pub fn next(&mut self, client: &SpiClient) -> Result<Option<i32>, Error> {
        self.visited += 1;
        if self.is_known && self.visited == 1 {
            return Ok(Some(self.start));
        }
        if self.ahead.is_empty() {
            self.look_up(client)?;
        }
        Ok(self.ahead.pop_front())
    }

    fn look_up(&mut self, client: &SpiClient) -> Result<(), Error> {
        let (end, wrapped_end) = if self.has_wrapped { (self.start, 0) } else { (PARTS, self.start) };
        let arguments = [self.last.into(), end.into(), wrapped_end.into()];
        self.ahead = if self.visited <= FEW_PARTS {
            let next = statements::run(client, include_str!("../../queries/next_part.sql"), &arguments)?.first();
            next.get::<i32>(1)?.into_iter().collect()
        } else {
            let [last, end, wrapped_end] = arguments;
            let arguments = [last, end, wrapped_end, PARTS_AT_ONCE.into()];
            let rows = statements::run(client, include_str!("../../queries/next_parts.sql"), &arguments)?;
            numbers(rows, 1)?.into_iter().map(|part| part as i32).collect()
        };
        if let Some(last) = self.ahead.back() {
            self.has_wrapped |= *last < self.start;
            self.last = *last;
        }
        Ok(())
    }
}
