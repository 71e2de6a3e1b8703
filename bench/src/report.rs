//! The results: report.json, and how its rows are computed from runs.

use crate::idle::Idle;
use crate::latency::{Caller, Latencies};
use crate::pgbench::Load;
use crate::server::{Server, output};
use crate::spread::{Spread, round};
use crate::stage::Scene;
use crate::throughput::{Sample, Side};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::process::Command;

/// All results.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub circumstances: Circumstances,
    pub rows: Vec<Row>,
    pub latencies: Vec<LatencyRow>,
    pub idle: Vec<IdleRow>,
    /// Runs that failed, and why. They yield no figures.
    pub failures: Vec<String>,
}

/// Date, environment and length of the measurement.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Circumstances {
    pub date: String,
    /// Commit of the repository that was measured.
    pub commit: String,
    pub postgres: String,
    pub processors: usize,
    pub processor: String,
    pub seconds: u32,
    pub rounds: u32,
}

/// A workload compared with another under the same load: medians, and ratios of the individual rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub workload: String,
    pub scene: Scene,
    pub against: String,
    pub against_scene: Scene,
    pub batch: u32,
    pub clients: u32,
    pub sync: String,
    /// Steps per second.
    pub ours: f64,
    /// Tasks or steps per second of the other side.
    pub yardstick: f64,
    pub ratio: f64,
    /// Range of the ratio.
    pub ratio_min: f64,
    pub ratio_max: f64,
    pub wal_bytes_per_step: f64,
    pub yardstick_wal_bytes: f64,
    pub wal_ratio: f64,
    pub wal_ratio_min: f64,
    pub wal_ratio_max: f64,
    pub bytes_per_step: f64,
    pub yardstick_bytes: f64,
}

/// Milliseconds per claim and report: medians over the rounds. The values of the rounds are kept so that two rows can
/// be compared round by round; null if a round failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyRow {
    pub workload: String,
    pub batch: u32,
    pub clients: u32,
    pub sync: String,
    pub paced: bool,
    pub claim_p50_ms: f64,
    pub claim_p95_ms: f64,
    pub finish_p50_ms: f64,
    pub finish_p95_ms: f64,
    pub claim_p95_ms_rounds: Vec<Option<f64>>,
    pub finish_p95_ms_rounds: Vec<Option<f64>>,
}

/// Cost of a client that finds nothing: the median time, and the minimum amount written. The server itself occasionally
/// logs which transactions are running; writes caused by polling would occur in every round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdleRow {
    pub workload: String,
    pub scene: Scene,
    pub microseconds_per_poll: f64,
    pub microseconds_min: f64,
    pub microseconds_max: f64,
    pub xids: f64,
    pub wal_bytes: f64,
}

impl Circumstances {
    /// Determines the current circumstances.
    pub fn new(server: &Server, root: &Path, seconds: u32, rounds: u32) -> Result<Circumstances> {
        let text = server.sql("postgres", "SELECT current_date, current_setting('server_version')")?;
        let (date, postgres) = text.trim().split_once('|').unwrap_or((text.trim(), ""));
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        // A tarball has no commits.
        let commit = output(Command::new("git").arg("-C").arg(root).args(["describe", "--always", "--dirty"]), "");
        Ok(Circumstances {
            date: date.into(),
            commit: commit.map_or_else(|_| "unknown".into(), |text| text.trim().into()),
            postgres: postgres.split(' ').next().unwrap_or_default().into(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            processor: model.trim_start_matches(['\t', ' ', ':']).into(),
            seconds,
            rounds,
        })
    }
}

impl Report {
    /// Creates an empty report.
    pub fn new(circumstances: Circumstances) -> Report {
        Report { circumstances, rows: Vec::new(), latencies: Vec::new(), idle: Vec::new(), failures: Vec::new() }
    }

    /// Reads a report from a file.
    pub fn read(path: &Path) -> Result<Report> {
        let text = fs::read_to_string(path).map_err(|source| Error::Io { what: path.display().to_string(), source })?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Returns the row of these sides under this load.
    pub fn row(&self, workload: &str, scene: Scene, against: &str, against_scene: Scene, load: Load) -> Option<&Row> {
        self.rows.iter().find(|row| {
            (row.workload.as_str(), row.scene, row.against.as_str(), row.against_scene)
                == (workload, scene, against, against_scene)
                && row.load() == load
        })
    }

    /// Returns the latencies of a workload with this many clients.
    pub fn latency(&self, workload: &str, clients: u32, paced: bool) -> Option<&LatencyRow> {
        self.latencies.iter().find(|row| row.workload == workload && row.clients == clients && row.paced == paced)
    }
}

impl Row {
    /// Computes a row from the rounds in which both sides were measured. None if there are none.
    pub fn new((ours, yardstick): (&Side, &Side), load: Load, samples: [&[Option<Sample>]; 2]) -> Option<Row> {
        let rounds: Vec<[&Sample; 2]> = samples[0]
            .iter()
            .zip(samples[1])
            .filter_map(|(ours, yardstick)| Some([ours.as_ref()?, yardstick.as_ref()?]))
            .collect();
        let median =
            |side: usize, value: fn(&Sample) -> f64| Some(Spread::of(rounds.iter().map(|r| value(r[side])))?.median);
        let ratios = |value: fn(&Sample) -> f64| {
            Spread::of_ratios(rounds.iter().map(|r| value(r[0])), rounds.iter().map(|r| value(r[1])))
        };
        let (ratio, wal_ratio) = (ratios(|s| s.rate)?, ratios(|s| s.wal)?);
        Some(Row {
            workload: ours.workload.name(),
            scene: ours.scene,
            against: yardstick.workload.name(),
            against_scene: yardstick.scene,
            batch: load.batch,
            clients: load.clients,
            sync: load.sync().into(),
            ours: round(median(0, |s| s.rate)?, 1),
            yardstick: round(median(1, |s| s.rate)?, 1),
            ratio: round(ratio.median, 3),
            ratio_min: round(ratio.min, 3),
            ratio_max: round(ratio.max, 3),
            wal_bytes_per_step: round(median(0, |s| s.wal)?, 1),
            yardstick_wal_bytes: round(median(1, |s| s.wal)?, 1),
            wal_ratio: round(wal_ratio.median, 3),
            wal_ratio_min: round(wal_ratio.min, 3),
            wal_ratio_max: round(wal_ratio.max, 3),
            bytes_per_step: round(median(0, |s| s.bytes)?, 1),
            yardstick_bytes: round(median(1, |s| s.bytes)?, 1),
        })
    }

    /// Returns the load of the row.
    pub fn load(&self) -> Load {
        Load { batch: self.batch, clients: self.clients, synchronous_commit: self.sync == "on" }
    }

    /// Returns the ratio of speeds.
    pub fn ratio(&self) -> Spread {
        Spread { median: self.ratio, min: self.ratio_min, max: self.ratio_max }
    }

    /// Returns the ratio of WAL bytes.
    pub fn wal_ratio(&self) -> Spread {
        Spread { median: self.wal_ratio, min: self.wal_ratio_min, max: self.wal_ratio_max }
    }
}

impl LatencyRow {
    /// Computes a row from the rounds that were measured. None if there are none.
    pub fn new(caller: &Caller, samples: &[Option<Latencies>]) -> Option<LatencyRow> {
        let median =
            |value: fn(&Latencies) -> f64| Some(round(Spread::of(samples.iter().flatten().map(value))?.median, 3));
        let rounds = |value: fn(&Latencies) -> f64| samples.iter().map(|s| s.as_ref().map(value)).collect();
        Some(LatencyRow {
            workload: caller.workload.name(),
            batch: caller.load.batch,
            clients: caller.load.clients,
            sync: caller.load.sync().into(),
            paced: caller.paced,
            claim_p50_ms: median(|l| l.claim[0])?,
            claim_p95_ms: median(|l| l.claim[1])?,
            finish_p50_ms: median(|l| l.finish[0])?,
            finish_p95_ms: median(|l| l.finish[1])?,
            claim_p95_ms_rounds: rounds(|l| l.claim[1]),
            finish_p95_ms_rounds: rounds(|l| l.finish[1]),
        })
    }

    /// Returns the ratio of this row's claim latency to another's, round by round.
    pub fn claims_beside(&self, other: &LatencyRow) -> Option<Spread> {
        let rounds = self.claim_p95_ms_rounds.iter().zip(&other.claim_p95_ms_rounds);
        Spread::of(rounds.filter_map(|(ours, theirs)| Some((*ours)? / (*theirs)?)))
    }
}

impl IdleRow {
    /// Computes a row from the rounds that were measured. None if there are none.
    pub fn new(side: &Side, samples: &[Option<Idle>]) -> Option<IdleRow> {
        let spread = |value: fn(&Idle) -> f64| Spread::of(samples.iter().flatten().map(value));
        let microseconds = spread(|s| s.microseconds)?;
        Some(IdleRow {
            workload: side.workload.name(),
            scene: side.scene,
            microseconds_per_poll: microseconds.median,
            microseconds_min: microseconds.min,
            microseconds_max: microseconds.max,
            xids: spread(|s| s.xids as f64)?.min,
            wal_bytes: spread(|s| s.wal as f64)?.min,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goals;
    use crate::workload::Workload;

    const LOAD: Load = Load { batch: 10, clients: 8, synchronous_commit: true };

    fn samples(rates: &[Option<f64>]) -> Vec<Option<Sample>> {
        let sample = |rate| Sample { rate, wal: 1000.0 / rate, bytes: 200.0, left: 0 };
        rates.iter().map(|rate| rate.map(sample)).collect()
    }

    fn row(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<Row> {
        let side = |workload| Side { workload, scene: Scene::Fresh };
        let (linear, queue) = (side(Workload::Linear { steps: 3 }), side(Workload::Queue { bulk: None }));
        Row::new((&linear, &queue), LOAD, [&samples(ours), &samples(theirs)])
    }

    #[test]
    fn a_row_has_medians_and_the_ratios_of_rounds() {
        let row = row(&[Some(400.0), Some(100.0), Some(150.0)], &[Some(100.0), Some(200.0), Some(300.0)]).unwrap();
        assert_eq!((row.ours, row.yardstick), (150.0, 200.0));
        assert_eq!(row.ratio(), Spread { median: 0.5, min: 0.5, max: 4.0 });
        assert_eq!(row.wal_ratio(), Spread { median: 2.0, min: 0.25, max: 2.0 });
        assert_eq!(row.load(), LOAD);
    }

    #[test]
    fn a_round_counts_where_both_sides_were_measured() {
        let row = row(&[Some(400.0), None, Some(150.0)], &[None, Some(200.0), Some(300.0)]);
        assert_eq!(row.map(|row| (row.ours, row.yardstick, row.ratio)), Some((150.0, 300.0, 0.5)));
        assert_eq!(super::tests::row(&[None], &[Some(1.0)]), None);
    }

    #[test]
    fn what_the_server_logs_by_itself_is_not_what_polls_write() {
        let idle = |wal| Some(Idle { microseconds: 90.0, xids: 0, wal });
        let side = Side { workload: Workload::Queue { bulk: None }, scene: Scene::Fresh };
        let bytes = |rounds: &[Option<Idle>]| IdleRow::new(&side, rounds).map(|row| row.wal_bytes);
        assert_eq!(bytes(&[idle(56), None, idle(0), idle(56)]), Some(0.0));
        assert_eq!(bytes(&[idle(9000), idle(9056)]), Some(9000.0));
        assert_eq!(bytes(&[None]), None);
    }

    #[test]
    fn claims_are_compared_round_by_round() {
        let caller =
            |clients| Caller { workload: Workload::Linear { steps: 3 }, load: Load { clients, ..LOAD }, paced: true };
        let sample = |p95| Some(Latencies { claim: [0.5, p95], finish: [1.0, 2.0] });
        let one = LatencyRow::new(&caller(1), &[sample(1.0), sample(2.0), None]).unwrap();
        let many = LatencyRow::new(&caller(16), &[sample(2.0), sample(2.0), sample(9.0)]).unwrap();
        assert_eq!(many.claims_beside(&one), Some(Spread { median: 1.5, min: 1.0, max: 2.0 }));
        assert_eq!((one.claim_p50_ms, one.claim_p95_ms), (0.5, 1.5));
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let circumstances = Circumstances {
            date: "2026-01-01".into(),
            commit: "abc".into(),
            postgres: "15.1".into(),
            processors: 2,
            processor: "some".into(),
            seconds: 3,
            rounds: 3,
        };
        let mut report = Report::new(circumstances);
        report.rows.extend(row(&[Some(400.0)], &[Some(100.0)]));
        let read: Report = serde_json::from_str(&goals::report_json(&report).unwrap()).unwrap();
        assert_eq!(read, report);
    }
}
