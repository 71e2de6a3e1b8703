//! Latency of claims and reports.

use crate::pgbench::{Load, Logged, Pgbench, Until, read_logs};
use crate::spread::percentile;
use crate::stage::{DATABASE, Scene, Stage};
use crate::workload::Workload;
use crate::{Error, Result};
use std::{fmt, fs};

/// Total calls per second of all clients when they are paced: a tenth of what they could do, however many there are, so
/// that the measurement shows how they interfere with each other, not how they wait for a processor.
const PACE: u32 = 400;
/// Number of rounds that make plans: PostgreSQL chooses a plan after five uses, the engine replans after 16, and a
/// round begins with a single start.
const PLANNING: u32 = 17;
/// Total calls per second of all clients when they are not paced, as an estimate.
const CALLS: u32 = 2000;

/// The clients of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Caller {
    pub workload: Workload,
    pub load: Load,
    /// Whether the clients are paced, rather than calling as fast as they can.
    pub paced: bool,
}

impl Caller {
    /// Returns the number of calls per client.
    fn calls(&self, seconds: u32) -> u32 {
        seconds * if self.paced { PACE } else { CALLS } / self.load.clients
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "calls of {}, clients {:2}, {}", self.workload.name(), self.load.clients, pace(self.paced))
    }
}

/// Describes the pace in words.
pub fn pace(paced: bool) -> &'static str {
    if paced { "paced" } else { "unpaced" }
}

/// Result of one run: median and 95th percentile in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Latencies {
    pub claim: [f64; 2],
    pub finish: [f64; 2],
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p95 {:.2} ms a claim, {:.2} ms a report", self.claim[1], self.finish[1])
    }
}

/// Performs one run in a fresh database, and verifies it.
pub fn measure(stage: &Stage<'_>, caller: &Caller, seconds: u32) -> Result<Latencies> {
    let Caller { workload, load, paced } = caller;
    stage.fresh(Scene::Fresh)?;
    let script = stage.write_script(&format!("{}-calls", workload.name()), &workload.call_by_call())?;
    let logs = stage.folder.join("calls");
    let io = |source| Error::Io { what: logs.display().to_string(), source };
    if logs.exists() {
        fs::remove_dir_all(&logs).map_err(io)?;
    }
    fs::create_dir(&logs).map_err(io)?;

    let before = stage.state(DATABASE, workload)?;
    let prefix = logs.join("log");
    // Up to the end of a round, where nothing is claimed but not reported.
    let rounds = PLANNING + caller.calls(seconds).div_ceil(workload.calls_a_row());
    let until = Until::Transactions(rounds * workload.calls_a_row());
    let run = stage.pgbench(DATABASE, workload, *load, &script, until);
    let rate = paced.then_some(PACE);
    Pgbench { rate, log: Some(&prefix), ..run }.run(stage.server)?;
    let after = stage.state(DATABASE, workload)?;
    let rows = u64::from(rounds * load.clients * workload.rows(load.batch));
    stage.verify_rows(workload, &before, &after, rows)?;
    stage.verify(DATABASE, workload, &before)?;
    latencies(&read_logs(&logs)?, workload.calls_a_row())
        .ok_or_else(|| Error::Answer { program: "pgbench".into(), output: "it has logged too few calls".into() })
}

/// Returns the percentiles. Each client's calls repeat: something is inserted, then claims and reports alternate. The
/// first rounds make plans and do not count.
fn latencies(logged: &[Logged], round: u32) -> Option<Latencies> {
    let of = |remainder: u32| {
        let calls = logged.iter().filter(|call| call.number >= PLANNING * round && call.number % round > 0);
        let mut times: Vec<f64> =
            calls.filter(|call| call.number % round % 2 == remainder).map(|call| call.milliseconds).collect();
        Some([percentile(&mut times, 50)?, percentile(&mut times, 95)?])
    };
    Some(Latencies { claim: of(1)?, finish: of(0)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_and_reports_are_told_apart_by_their_place() {
        // Starts take 9 ms, claims 1 and 2 ms, reports 3 and 4 ms; everything 100 ms more while plans are made.
        let times = [9.0, 1.0, 3.0, 2.0, 4.0];
        let logged: Vec<Logged> = (0..5 * 20)
            .map(|number| {
                let slow = if number < 5 * PLANNING { 100.0 } else { 0.0 };
                Logged { number, milliseconds: times[number as usize % 5] + slow }
            })
            .collect();
        assert_eq!(latencies(&logged, 5), Some(Latencies { claim: [1.0, 2.0], finish: [3.0, 4.0] }));
        assert_eq!(latencies(&logged[..5 * PLANNING as usize], 5), None);
    }
}
