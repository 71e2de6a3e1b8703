//! Where new tasks go: to the worker that asks at once, or into the queue, where others have waited long enough; or nowhere,
//! because they call a workflow.

use crate::claim::Asking;
use crate::clock::after;
use crate::error::Error;
use crate::queue_head::Look;
use crate::{plans, settings};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// What new tasks meet.
#[derive(Default)]
pub struct Ahead {
    /// The actions that are workflows.
    pub workflows: BTreeSet<String>,
    /// By how many seconds the first place in the queue, of what the worker could do instead, is ahead of now, in parts where
    /// that matters.
    front: BTreeMap<i32, f64>,
}

impl Ahead {
    /// Looks at the actions of new tasks, and at the queues of these parts. Of each the lowest priority among the new tasks is
    /// given: where nothing should go before that, which is one index probe for each action, nothing should go before any.
    pub fn look(
        client: &SpiClient,
        now: TimestampWithTimeZone,
        actions: Vec<&str>,
        asking: Option<&Asking>,
        parts: &BTreeMap<i32, i32>,
    ) -> Result<Ahead, Error> {
        let mut ahead = Ahead::default();
        let mut parts = parts.iter().map(|(part, lowest)| (Some(*part), *lowest));
        let first = parts.next().unwrap_or((None, 0));
        for (part, lowest) in std::iter::once(first).chain(parts) {
            let others = match (asking, part) {
                (Some(asking), Some(part)) => asking.actions_in(client, part)?,
                _ => None,
            };
            let place = after(now, -60.0 * f64::from(lowest) - f64::from(settings::hand_over_grace()));
            let look = part.zip(others.as_deref()).map(|(part, others)| Look::begin(part, others, now));
            let (time, id) = look.as_ref().map(Look::place).unzip();
            let arguments =
                [actions.clone().into(), part.into(), others.clone().into(), place.into(), time.into(), id.into()];
            let seen = plans::run(client, include_str!("../queries/look_ahead.sql"), &arguments)?.first();
            look.map_or(Ok(()), |look| look.end(client, 0))?;
            ahead.workflows.extend(seen.get::<Vec<String>>(1)?.unwrap_or_default());
            if seen.get::<bool>(2)? == Some(true) {
                let arguments = [part.into(), others.into(), time.into(), id.into()];
                let first = plans::run(client, include_str!("../queries/find_head.sql"), &arguments)?.first();
                let seconds = |place: TimestampWithTimeZone| (now.into_inner() - place.into_inner()) as f64 / 1e6;
                ahead.front.extend(part.zip(first.get(1)?.map(seconds)));
            }
        }
        Ok(ahead)
    }

    /// Is the first place so far ahead of the one a new task of this priority would get that it should not be passed by?
    pub fn goes_before(&self, part: i32, priority: i32) -> bool {
        let place = f64::from(priority) * 60.0;
        self.front.get(&part).is_some_and(|ahead| ahead - place > f64::from(settings::hand_over_grace()))
    }
}
