//! Advancing executions: events to the conductor, its changes to the tables, until nothing more follows.

use crate::error::Error;
use crate::jsonb::Jsonb;
use crate::plans;
use crate::run::Run;
use crate::write::{Asking, Batch, Handed, withdrawn};
use conductor::conductor::Conductor;
use conductor::scope::Facts;
use conductor::state::{Execution, TaskKey};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::{SpiClient, SpiTupleTable};
use std::collections::{BTreeMap, HashMap};

/// Results of items that are being reported.
pub type ItemReports = HashMap<(TaskKey, u32), Option<Jsonb>>;

/// The executions one call advances. They are locked.
pub struct Advance<'c, 'conn> {
    /// The call's SPI.
    pub client: &'c SpiClient<'conn>,
    /// The call's time.
    pub now: TimestampWithTimeZone,
    /// By id: the order of locks and of everything else.
    pub runs: BTreeMap<i64, Run>,
    /// What is to be written.
    pub batch: Batch,
    /// Tasks with items that ended as a whole, or run again.
    pub whole_ends: Vec<(i64, TaskKey, &'static str)>,
}

/// Runs by id, from rows as [`Run::read`] takes them. Those that the engine does not own are left out.
pub fn read_runs(client: &SpiClient, mut rows: SpiTupleTable) -> Result<BTreeMap<i64, Run>, Error> {
    let mut runs = BTreeMap::new();
    while rows.next().is_some() {
        if let Some(run) = Run::read(client, &rows)? {
            runs.insert(run.id, run);
        }
    }
    Ok(runs)
}

impl<'c, 'conn> Advance<'c, 'conn> {
    /// Takes up executions.
    pub fn new(client: &'c SpiClient<'conn>, now: TimestampWithTimeZone, runs: BTreeMap<i64, Run>) -> Self {
        Advance { client, now, runs, batch: Batch::default(), whole_ends: Vec::new() }
    }

    /// Lets events happen to one execution; gives what they answered.
    pub fn conduct<T>(
        &mut self,
        id: i64,
        facts: Facts,
        items: &ItemReports,
        mut events: impl FnMut(&mut Conductor) -> T,
    ) -> Result<Option<T>, Error> {
        let Some(run) = self.runs.get_mut(&id) else { return Ok(None) };
        let mut answer = None;
        let (execution, changes) =
            run.conduct(self.client, &self.now, facts, items, |conductor| answer = Some(events(conductor)))?;
        self.whole_ends.extend(changes.whole_ends.iter().map(|(key, status)| (id, *key, *status)));
        self.batch.take(run, &execution, changes);
        run.before = execution;
        Ok(answer)
    }

    /// Writes what was decided, tells the conductor what was withdrawn, and so on until nothing follows.
    pub fn settle(&mut self, mut asking: Option<&mut Asking>) -> Result<Vec<Handed>, Error> {
        let mut handed = Vec::new();
        loop {
            let batch = std::mem::take(&mut self.batch);
            let gone = batch.write(self.client, &self.now, asking.as_deref_mut(), &mut handed)?;
            if gone.is_empty() {
                return Ok(handed);
            }
            let ids: Vec<i64> = gone.keys().copied().collect();
            let rows = plans::run(self.client, include_str!("../queries/reload_runs.sql"), &[ids.into()])?;
            self.runs.extend(read_runs(self.client, rows)?);
            for (id, tasks) in gone {
                let Some(run) = self.runs.get(&id) else { continue };
                let tasks = withdrawn(&run.graph, &tasks);
                self.conduct(id, Facts::default(), &ItemReports::new(), |conductor| conductor.withdrawn(&tasks))?;
            }
        }
    }

    /// How an execution stands.
    pub fn execution(&self, id: i64) -> Option<&Execution> {
        self.runs.get(&id).map(|run| &run.before)
    }
}
