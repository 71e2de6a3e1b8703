//! Queue places for tasks of executions that share the queue by a key (`fair_by`), so that no key waits for more than
//! its share of the others. `sql/fairness.sql` explains the places.

use crate::error::Error;
use crate::pg::clock::after;
use crate::pg::statements;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};

/// Distance, in seconds, between the places of two tasks of a key with weight 1: the second one shares its place with a
/// task that arrives this much later.
const STEP: f64 = 60.0;

/// Maximum distance of a place from now, in seconds: a hundred years.
const FARTHEST: f64 = 100.0 * 365.25 * 86_400.0;

/// State of a key, as seen by its next task.
struct Key {
    weight: f64,
    /// Its last place in the queue.
    last: Option<TimestampWithTimeZone>,
}

/// Places of the new tasks of executions in the queue.
#[derive(Default)]
pub struct FairPlaces {
    /// Hash of the key of each execution.
    by_run: BTreeMap<i64, i64>,
    keys: BTreeMap<i64, Key>,
}

impl FairPlaces {
    /// Loads the keys of executions.
    pub fn look(client: &SpiClient, runs: BTreeSet<i64>) -> Result<FairPlaces, Error> {
        let mut places = FairPlaces::default();
        if runs.is_empty() {
            return Ok(places);
        }
        let runs: Vec<i64> = runs.into_iter().collect();
        let mut rows = statements::run(client, include_str!("../../queries/find_fair_places.sql"), &[runs.into()])?;
        while rows.next().is_some() {
            let hash = rows.get::<i64>(2)?.unwrap_or_default();
            places.by_run.insert(rows.get::<i64>(1)?.unwrap_or_default(), hash);
            let weight = rows.get::<f64>(3)?.unwrap_or(1.0);
            places.keys.insert(hash, Key { weight, last: rows.get::<TimestampWithTimeZone>(4)? });
        }
        Ok(places)
    }

    /// Returns the hash of an execution's key and the place of its next task, not counting its priority.
    pub fn next(&mut self, run: i64, now: TimestampWithTimeZone) -> Option<(i64, TimestampWithTimeZone)> {
        let hash = *self.by_run.get(&run)?;
        let key = self.keys.get_mut(&hash)?;
        let place = match key.last {
            None => now,
            Some(last) => after(last, STEP / key.weight).max(now).min(after(now, FARTHEST)),
        };
        key.last = Some(place);
        Some((hash, place))
    }
}
