//! Steps per second, and the amount written per step.

use crate::Result;
use crate::pgbench::{Load, Until};
use crate::stage::{DATABASE, Scene, Stage};
use crate::workload::Workload;
use std::fmt;
use std::path::Path;

/// A workload in a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side {
    pub workload: Workload,
    pub scene: Scene,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scene {
            Scene::Fresh => write!(f, "{}", self.workload.name()),
            scene => write!(f, "{}, {scene}", self.workload.name()),
        }
    }
}

/// Result of one run.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Steps, or tasks of the queue, completed per second.
    pub rate: f64,
    /// WAL bytes per step.
    pub wal: f64,
    /// Bytes of tables and indexes per step.
    pub bytes: f64,
    /// Steps or tasks that were inserted but not completed when time was up.
    pub left: u64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} steps/s, {} left", self.rate, self.left)
    }
}

/// Performs one run in a fresh database, and verifies it.
pub fn measure(stage: &Stage<'_>, side: &Side, load: Load, seconds: u32) -> Result<Sample> {
    let Side { workload, scene } = side;
    let snapshot = stage.fresh(*scene)?;
    let script = stage.write(workload, load.batch)?;
    let fresh = stage.state(DATABASE, workload)?;
    warm_up(stage, workload, load, &script)?;
    let before = stage.state(DATABASE, workload)?;
    let wal_before = stage.server.wal()?;
    let run = stage.pgbench(DATABASE, workload, load, &script, Until::Seconds(seconds)).run(stage.server)?;
    // First of all: reading the tables prunes pages, which is logged.
    let wal = stage.server.wal()? - wal_before;
    let after = stage.state(DATABASE, workload)?;
    if let Some(snapshot) = snapshot {
        snapshot.end()?;
    }

    stage.verify_rows(workload, &before, &after, run.transactions * u64::from(workload.rows(load.batch)))?;
    stage.verify(DATABASE, workload, &fresh)?;
    let (rows, done) = (after.rows - before.rows, after.done - before.done);
    Ok(Sample {
        rate: done as f64 / run.seconds,
        wal: wal as f64 / done as f64,
        // Vacuum may have returned pages.
        bytes: after.bytes.saturating_sub(before.bytes) as f64 / done as f64,
        left: (rows * u64::from(workload.steps())).saturating_sub(done),
    })
}

/// Warms up. After a checkpoint, each page is logged in full when it is first changed. In a run of seconds, that would
/// be most of the WAL of the slower side; in the minutes between two checkpoints it is negligible.
fn warm_up(stage: &Stage<'_>, workload: &Workload, load: Load, script: &Path) -> Result<()> {
    let load = Load { clients: 1, synchronous_commit: false, ..load };
    let times = (1000 / (workload.rows(load.batch) * workload.steps())).max(1);
    stage.pgbench(DATABASE, workload, load, script, Until::Transactions(times)).run(stage.server)?;
    Ok(())
}
