//! Whether what follows goes to the worker that asks at once, or those first who have waited long enough.

use crate::error::Error;
use crate::{plans, settings};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// The front of the queue, of what the worker could do instead.
#[derive(Default)]
pub struct Front {
    /// By how many seconds the first place is ahead of now, in parts that have something queued.
    ahead: BTreeMap<i32, f64>,
}

impl Front {
    /// Looks at the queues of these parts: one index probe for each action.
    pub fn look(
        client: &SpiClient,
        now: TimestampWithTimeZone,
        actions: Option<&[String]>,
        parts: BTreeSet<i32>,
    ) -> Result<Front, Error> {
        let mut front = Front::default();
        if parts.is_empty() {
            return Ok(front);
        }
        let parts: Vec<i32> = parts.into_iter().collect();
        let arguments = [parts.into(), actions.map(<[String]>::to_vec).into(), now.into()];
        let mut rows = plans::run(client, include_str!("../queries/find_front.sql"), &arguments)?;
        while rows.next().is_some() {
            if let (Some(part), Some(seconds)) = (rows.get::<i32>(1)?, rows.get::<f64>(2)?) {
                front.ahead.insert(part, seconds);
            }
        }
        Ok(front)
    }

    /// Is the first place so far ahead of the one a new task of this priority would get that it should not be passed by?
    pub fn goes_before(&self, part: i32, priority: i32) -> bool {
        let place = f64::from(priority) * 60.0;
        self.ahead.get(&part).is_some_and(|ahead| ahead - place > f64::from(settings::hand_over_grace()))
    }
}
