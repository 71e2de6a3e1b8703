//! Holds: what must not start before a given time.

use crate::error::Error;
use crate::pg::clock::after;
use crate::pg::relation;
use crate::pg::statements;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// What is currently held, apart from limits.
#[derive(Default)]
pub struct Holds {
    everything: bool,
    actions: BTreeSet<String>,
    workflows: BTreeSet<String>,
}

impl Holds {
    /// Loads the current holds.
    pub fn load(client: &SpiClient, now: TimestampWithTimeZone) -> Result<Holds, Error> {
        let mut holds = Holds::default();
        if relation::is_empty(c"hold") {
            return Ok(holds);
        }
        let mut rows = statements::run(client, include_str!("../../queries/list_current_holds.sql"), &[now.into()])?;
        while rows.next().is_some() {
            let name = rows.get::<String>(2)?.unwrap_or_default();
            match rows.get::<String>(1)?.as_deref() {
                Some("action") => _ = holds.actions.insert(name),
                Some("workflow") => _ = holds.workflows.insert(name),
                _ => holds.everything = true,
            }
        }
        Ok(holds)
    }

    /// Whether this action is held, so that none of its tasks may start.
    pub fn hold_action(&self, action: &str) -> bool {
        self.everything || self.actions.contains(action)
    }

    /// Whether any workflow is held, so that each task's workflow has to be looked up.
    pub fn hold_any_workflow(&self) -> bool {
        !self.workflows.is_empty()
    }

    /// Returns those of the claimed tasks whose workflows are held, with the keys at which they wait for the hold to
    /// end. The id is missing for keys that someone else has locked.
    pub fn held_tasks(
        &self,
        client: &SpiClient,
        now: TimestampWithTimeZone,
        tasks: Vec<i64>,
    ) -> Result<BTreeMap<i64, Option<i64>>, Error> {
        let mut held = BTreeMap::new();
        if self.workflows.is_empty() || tasks.is_empty() {
            return Ok(held);
        }
        let workflows: Vec<String> = self.workflows.iter().cloned().collect();
        let arguments = [tasks.into(), workflows.into(), now.into()];
        let mut rows = statements::run(client, include_str!("../../queries/find_held_tasks.sql"), &arguments)?;
        while rows.next().is_some() {
            held.insert(rows.get::<i64>(1)?.unwrap_or_default(), rows.get::<i64>(2)?);
        }
        Ok(held)
    }
}

/// Removes up to `max_rows` holds that have ended.
pub fn delete_spent(client: &SpiClient, now: TimestampWithTimeZone, max_rows: i32) -> Result<(), Error> {
    if !relation::is_empty(c"hold") {
        let arguments = [max_rows.into(), now.into()];
        statements::run(client, include_str!("../../queries/delete_spent_holds.sql"), &arguments)?;
    }
    Ok(())
}

/// Writes the holds that reports request: on all limits of the task, or on its action if it has none.
pub fn add(
    client: &SpiClient,
    now: TimestampWithTimeZone,
    holds: impl Iterator<Item = (i64, f64)>,
    role: &str,
) -> Result<(), Error> {
    let (mut tasks, mut until) = (Vec::new(), Vec::new());
    for (task, seconds) in holds.filter(|(_, seconds)| *seconds > 0.0) {
        tasks.push(task);
        until.push(after(now, seconds));
    }
    if !tasks.is_empty() {
        let arguments = [tasks.into(), until.into(), now.into(), role.into()];
        statements::run(client, include_str!("../../queries/insert_holds.sql"), &arguments)?;
    }
    Ok(())
}
