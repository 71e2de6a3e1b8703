//! Whether what follows goes to the worker that asks at once, or those first who have waited long enough.

use crate::error::Error;
use crate::{plans, settings};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// The front of the queue, of what the worker could do instead.
#[derive(Default)]
pub struct Front {
    /// By how many seconds the first place is ahead of now, in parts where that matters.
    ahead: BTreeMap<i32, f64>,
}

impl Front {
    /// Looks at the queues of these parts. Of each the lowest priority among the new tasks is given: where nothing should go
    /// before that, which is one index probe for each action, nothing should go before any.
    pub fn look(
        client: &SpiClient,
        now: TimestampWithTimeZone,
        actions: Option<&[String]>,
        parts: BTreeMap<i32, i32>,
    ) -> Result<Front, Error> {
        let mut front = Front::default();
        let actions = actions.map(<[String]>::to_vec);
        for (part, lowest) in parts {
            let seconds = f64::from(lowest) * 60.0 + f64::from(settings::hand_over_grace());
            let arguments = [part.into(), actions.clone().into(), now.into(), seconds.into()];
            if plans::run(client, include_str!("../queries/find_waiting.sql"), &arguments)?.is_empty() {
                continue;
            }
            let arguments = [part.into(), actions.clone().into(), now.into()];
            let first = plans::run(client, include_str!("../queries/find_front.sql"), &arguments)?.first();
            if let Some(seconds) = first.get::<f64>(1)? {
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
