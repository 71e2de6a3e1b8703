//! Advances executions: passes events to the conductor and writes its changes to the tables, until nothing is left to
//! do.

use crate::engine::own_report::OwnReport;
use crate::engine::run::Reports;
use crate::error::Error;
use crate::limits::take::LimitKey;
use crate::pg::clock;
use crate::pg::rows::Rows;
use crate::pg::statements;
use crate::store::Batch;
use crate::store::reporter::Reporter;
use crate::store::run::Run;
use conductor::engine::conductor::Conductor;
use conductor::engine::facts::Facts;
use conductor::engine::rerun::Rerun;
use conductor::engine::state::Execution;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// Maximum number of internal tasks that one call advances; the next tick advances the rest. Otherwise, workflows that
/// call workflows could keep a call busy forever.
const OWN_TASKS: usize = 10_000;

/// Maximum number of executions that one call reaches besides the one it was made for.
pub const MAX_REACHED: usize = 1000;

/// The executions that one call advances. They are locked.
pub struct Advance<'c, 'conn> {
    /// SPI client of the call.
    pub client: &'c SpiClient<'conn>,
    /// Time of the call.
    pub now: TimestampWithTimeZone,
    /// Executions by id.
    pub runs: BTreeMap<i64, Run>,
    /// Changes to be written.
    pub batch: Batch,
    /// The engine's own reports that wait for others' withdrawals to be processed.
    pub deferred_reports: Vec<OwnReport>,
    /// Tasks whose reports this call has yet to process. They are not cancelled, and count as running, although their
    /// rows may have ended.
    pub unprocessed: Vec<i64>,
    /// For each task that calls a workflow again: the tasks that its child is to rerun, if they were selected.
    pub child_reruns: BTreeMap<i64, Vec<Rerun>>,
    /// Who made the reports that are being processed.
    pub reporter: Reporter,
    /// Whether any waiting tasks were withdrawn.
    pub has_withdrawn: bool,
    /// Concurrency limits that have too many executions, each with one that waits for the oldest to be cancelled.
    pub crowded: BTreeMap<LimitKey, i64>,
    /// Number of internal tasks that this call may still advance.
    pub own_tasks_left: usize,
    /// Number of executions to which this call may still propagate what was done to their callers.
    pub family_left: usize,
}

/// Reads runs, by id, from rows as [`Run::read`] takes them. Skips those that the engine does not own.
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
    /// Starts advancing executions.
    pub fn new(client: &'c SpiClient<'conn>, now: TimestampWithTimeZone, runs: BTreeMap<i64, Run>) -> Self {
        let (batch, deferred_reports, child_reruns) = Default::default();
        Advance {
            client,
            now,
            runs,
            batch,
            deferred_reports,
            unprocessed: Vec::new(),
            child_reruns,
            reporter: Reporter::Engine,
            has_withdrawn: false,
            crowded: BTreeMap::new(),
            own_tasks_left: OWN_TASKS,
            family_left: MAX_REACHED,
        }
    }

    /// Rereads the current state of locked executions. Unwritten changes to them would be lost.
    pub fn load(&mut self, ids: Vec<i64>) -> Result<(), Error> {
        let rows = statements::run(self.client, include_str!("../../queries/reload_runs.sql"), &[ids.into()])?;
        self.runs.extend(read_runs(self.client, rows)?);
        Ok(())
    }

    /// Applies events to one execution and returns their answer.
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

    /// Applies an event that reads nothing but the execution.
    pub fn apply(&mut self, id: i64, mut event: impl FnMut(&mut Conductor)) -> Result<(), Error> {
        let reports = Reports { tasks: self.unprocessed.clone(), ..Reports::default() };
        self.conduct(id, Facts::default(), &reports, |conductor| event(conductor))?;
        Ok(())
    }

    /// Returns the current state of an execution.
    pub fn execution(&self, id: i64) -> Option<&Execution> {
        self.runs.get(&id).map(|run| &run.before)
    }
}
