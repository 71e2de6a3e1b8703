//! Advancing executions: events to the conductor, its changes to the tables, until nothing more follows.

use crate::engine::own_report::OwnReport;
use crate::engine::own_report::Reporter;
use crate::engine::run::Reports;
use crate::engine::run::Run;
use crate::error::Error;
use crate::limits::take::LimitKey;
use crate::pg::clock;
use crate::pg::rows::Rows;
use crate::pg::statements;
use crate::store::{Batch, TaskRows};
use conductor::engine::conductor::Conductor;
use conductor::engine::facts::Facts;
use conductor::engine::rerun::Rerun;
use conductor::engine::state::Execution;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// Maximum number of tasks without a worker that one call advances; the next tick advances the rest. Workflows that call
/// workflows could keep a call busy for ever.
const OWN_TASKS: usize = 10_000;

/// Maximum number of executions that one call reaches besides the one it is about.
pub const MAX_REACHED: usize = 1000;

/// The executions one call advances. They are locked.
pub struct Advance<'c, 'conn> {
    /// The call's SPI.
    pub client: &'c SpiClient<'conn>,
    /// The call's time.
    pub now: TimestampWithTimeZone,
    /// By id.
    pub runs: BTreeMap<i64, Run>,
    /// What is to be written.
    pub batch: Batch,
    /// The engine's own reports that wait for what others have withdrawn.
    pub unheard: Vec<OwnReport>,
    /// Running tasks that are not needed any more, by workflow execution.
    pub rest: Vec<(i64, TaskRows)>,
    /// Whether more reports of the same call are to be heard: what they report is not cancelled.
    pub hears_more: bool,
    /// By task that calls a workflow again: the tasks that its child is to run again, where these were chosen.
    pub run_on: BTreeMap<i64, Vec<Rerun>>,
    /// Who reports what is being advanced.
    pub reporter: Reporter,
    /// Whether waiting tasks were withdrawn.
    pub has_withdrawn: bool,
    /// Limits of concurrency that have too many executions, each with one that waits for the oldest to be cancelled.
    pub crowded: BTreeMap<LimitKey, i64>,
    /// How many more tasks that no worker does this call goes on with.
    pub own_tasks_left: usize,
    /// To how many more executions this call passes on what was done to those that call them.
    pub family_left: usize,
}

/// Runs by id, from rows as [`Run::read`] takes them, to go on with. Those that the engine does not own are left out.
pub fn read_runs(client: &SpiClient, mut rows: Rows) -> Result<BTreeMap<i64, Run>, Error> {
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
        let (batch, unheard, rest, run_on) = Default::default();
        Advance {
            client,
            now,
            runs,
            batch,
            unheard,
            rest,
            hears_more: false,
            run_on,
            reporter: Reporter::Engine,
            has_withdrawn: false,
            crowded: BTreeMap::new(),
            own_tasks_left: OWN_TASKS,
            family_left: MAX_REACHED,
        }
    }

    /// Reads executions that are locked as they stand now: what they have yet to write would be lost.
    pub fn load(&mut self, ids: Vec<i64>) -> Result<(), Error> {
        let rows = statements::run(self.client, include_str!("../../queries/reload_runs.sql"), &[ids.into()])?;
        self.runs.extend(read_runs(self.client, rows)?);
        Ok(())
    }

    /// Lets events happen to one execution; gives what they answered.
    pub fn conduct<T>(
        &mut self,
        id: i64,
        facts: Facts,
        reports: &Reports,
        mut events: impl FnMut(&mut Conductor) -> T,
    ) -> Result<Option<T>, Error> {
        let Some(run) = self.runs.get_mut(&id) else { return Ok(None) };
        let facts = Facts { now: clock::moment(self.now), ..facts };
        let mut answer = None;
        let (execution, changes) =
            run.conduct(self.client, &self.now, facts, reports, |conductor| answer = Some(events(conductor)))?;
        self.batch.take(run, &execution, changes);
        run.before = execution;
        Ok(answer)
    }

    /// Lets an event happen that reads nothing but the execution.
    pub fn tell(&mut self, id: i64, mut event: impl FnMut(&mut Conductor)) -> Result<(), Error> {
        self.conduct(id, Facts::default(), &Reports::default(), |conductor| event(conductor))?;
        Ok(())
    }

    /// How an execution stands.
    pub fn execution(&self, id: i64) -> Option<&Execution> {
        self.runs.get(&id).map(|run| &run.before)
    }
}
