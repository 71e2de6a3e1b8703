//! The cost of a worker that finds nothing to do.

use crate::Result;
use crate::pgbench::{Load, Until};
use crate::spread::round;
use crate::stage::{DATABASE, Stage};
use crate::throughput::Side;
use std::fmt;

/// One run of a client that claims repeatedly.
#[derive(Clone, Debug)]
pub struct Idle {
    /// Duration of a poll.
    pub microseconds: f64,
    /// Transaction ids consumed while it polled.
    pub xids: u64,
    /// WAL bytes written.
    pub wal: u64,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} µs a poll, {} transaction ids, {} bytes of log", self.microseconds, self.xids, self.wal)
    }
}

/// Performs one run in a fresh database in which everything has been processed.
pub fn measure(stage: &Stage<'_>, side: &Side, seconds: u32) -> Result<Idle> {
    let (server, workload) = (stage.server, &side.workload);
    stage.fresh(side.scene)?;
    let script = stage.write_script(&format!("{}-idle", workload.name()), workload.claim())?;
    let load = Load { batch: 100, clients: 1, synchronous_commit: true };
    let before = stage.state(DATABASE, workload)?;
    // The first read of a table in a new database prunes its pages.
    stage.pgbench(DATABASE, workload, load, &script, Until::Transactions(100)).run(server)?;
    let (xid, wal) = (server.next_xid()?, server.wal()?);
    let run = stage.pgbench(DATABASE, workload, load, &script, Until::Seconds(seconds)).run(server)?;
    let (wal, xids) = (server.wal()? - wal, server.next_xid()? - xid);
    // Nothing was claimable.
    let after = stage.state(DATABASE, workload)?;
    stage.verify_rows(workload, &before, &after, 0)?;
    stage.verify(DATABASE, workload, &before)?;
    Ok(Idle { microseconds: round(run.seconds * 1e6 / run.transactions as f64, 1), xids, wal })
}
