//! From the runs to the rows: medians, ratios, the table.

use crate::server::Load;
use crate::workload::Workload;
use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};

/// One run.
pub struct Sample {
    /// Steps, or tasks of the queue, completed a second.
    pub rate: f64,
    /// Bytes of log for each.
    pub wal: f64,
    /// Bytes of tables and indexes for each.
    pub bytes: f64,
    /// Steps, or tasks, that were put in and not completed when time was up.
    pub left: u64,
}

/// A workload under a load beside the queue under the same load: a row of report.json.
#[derive(Debug, Serialize)]
pub struct Row {
    workload: String,
    batch: u32,
    clients: u32,
    sync: &'static str,
    /// Steps a second.
    ours: f64,
    /// Tasks a second.
    yardstick: f64,
    ratio: f64,
    /// The ratios of the single rounds: how much to make of the above.
    ratio_min: f64,
    ratio_max: f64,
    wal_bytes_per_step: f64,
    yardstick_wal_bytes: f64,
    bytes_per_step: f64,
    yardstick_bytes: f64,
}

/// The rows of one load: each workload's samples, in rounds, against the queue's of the same rounds.
pub fn rows(load: &Load, workloads: &[Workload], samples: &[Vec<Sample>]) -> Vec<Row> {
    let queue = workloads.iter().position(|w| *w == Workload::Queue).expect("the yardstick is one of them");
    let queue = &samples[queue];
    let sides = workloads.iter().zip(samples).filter(|(workload, _)| **workload != Workload::Queue);
    sides.map(|(workload, ours)| row(load, workload, ours, queue)).collect()
}

fn row(load: &Load, workload: &Workload, ours: &[Sample], queue: &[Sample]) -> Row {
    let (rate, yardstick) = (median(ours, |s| s.rate), median(queue, |s| s.rate));
    let ratios: Vec<f64> = ours.iter().zip(queue).map(|(ours, queue)| ours.rate / queue.rate).collect();
    Row {
        workload: workload.name(),
        batch: load.batch,
        clients: load.clients,
        sync: if load.synchronous_commit { "on" } else { "off" },
        ours: round(rate, 1),
        yardstick: round(yardstick, 1),
        ratio: round(rate / yardstick, 3),
        ratio_min: round(ratios.iter().copied().fold(f64::INFINITY, f64::min), 3),
        ratio_max: round(ratios.iter().copied().fold(0.0, f64::max), 3),
        wal_bytes_per_step: round(median(ours, |s| s.wal), 1),
        yardstick_wal_bytes: round(median(queue, |s| s.wal), 1),
        bytes_per_step: round(median(ours, |s| s.bytes), 1),
        yardstick_bytes: round(median(queue, |s| s.bytes), 1),
    }
}

/// By workload, its loads as they were run.
pub fn sort(rows: &mut [Row]) {
    // By length first, or linear10 comes before linear3. The sort is stable.
    rows.sort_by(|a, b| (a.workload.len(), &a.workload).cmp(&(b.workload.len(), &b.workload)));
}

/// What people read.
pub fn table(rows: &[Row]) -> String {
    let mut builder = Builder::default();
    builder.push_record([
        "workload",
        "batch",
        "clients",
        "sync",
        "steps/s",
        "queue/s",
        "ratio",
        "min–max",
        "WAL/step",
        "queue",
        "bytes/step",
        "queue",
    ]);
    for row in rows {
        builder.push_record([
            row.workload.clone(),
            row.batch.to_string(),
            row.clients.to_string(),
            row.sync.to_string(),
            format!("{:.0}", row.ours),
            format!("{:.0}", row.yardstick),
            format!("{:.2}", row.ratio),
            format!("{:.2}–{:.2}", row.ratio_min, row.ratio_max),
            format!("{:.0}", row.wal_bytes_per_step),
            format!("{:.0}", row.yardstick_wal_bytes),
            format!("{:.0}", row.bytes_per_step),
            format!("{:.0}", row.yardstick_bytes),
        ]);
    }
    let mut table = builder.build();
    table.with(Style::psql()).modify(Columns::new(1..), Alignment::right());
    table.to_string()
}

fn median(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let (below, above) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    (below + above) / 2.0
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rates: &[f64]) -> Vec<Sample> {
        rates.iter().map(|rate| Sample { rate: *rate, wal: 500.0, bytes: 200.0, left: 0 }).collect()
    }

    #[test]
    fn a_row_compares_medians_and_shows_the_spread() {
        let load = Load { batch: 10, clients: 8, synchronous_commit: true };
        let workloads = [Workload::Queue, Workload::Linear { steps: 3 }];
        let rows = rows(&load, &workloads, &[samples(&[100.0, 200.0, 300.0]), samples(&[400.0, 100.0, 150.0])]);
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!((row.ours, row.yardstick, row.ratio), (150.0, 200.0, 0.75));
        assert_eq!((row.ratio_min, row.ratio_max), (0.5, 4.0));
    }

    #[test]
    fn the_median_of_an_even_number_is_in_the_middle() {
        assert_eq!(median(&samples(&[4.0, 1.0, 2.0, 9.0]), |s| s.rate), 3.0);
    }
}
