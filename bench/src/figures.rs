//! The plots of a report, and the figures they show.

use crate::pgbench::Load;
use crate::plot::{Line, Plot, number};
use crate::report::{LatencyRow, Report, Row};
use crate::spread::Spread;
use crate::stage::Scene;

/// A plot and the name of its file.
pub struct Figure {
    /// File name without extension.
    pub name: &'static str,
    pub plot: Plot,
}

const BATCHES: [u32; 3] = [1, 10, 100];
const CLIENTS: [u32; 4] = [1, 4, 8, 16];
const ITEMS: [u32; 3] = [100, 1000, 10_000];

/// Returns every possible plot. A plot of something that was not measured has no points.
pub fn of(report: &Report) -> Vec<Figure> {
    vec![
        figure("relative-to-queue", relative_to_queue(report)),
        figure("clients-batch-1", clients(report, 1, "Steps/s by number of clients, batch 1")),
        figure("clients-batch-100", clients(report, 100, "Steps/s by number of clients, batch 100")),
        figure("relative-to-chains", relative_to_chains(report)),
        figure("items", items(report)),
        figure("log", log(report)),
        figure("claims", claims(report)),
    ]
}

fn figure(name: &'static str, plot: Plot) -> Figure {
    Figure { name, plot }
}

fn relative_to_queue(report: &Report) -> Plot {
    let sides = [("linear3", "queue"), ("linear10", "queue"), ("diamond", "queue"), ("fanout100", "queue100")];
    let lines = sides.map(|(ours, queue)| by_batch(report, ours.into(), ours, queue, |row| row.ratio()));
    Plot {
        title: "Steps/s relative to the queue's tasks/s: 8 clients, synchronous_commit on",
        x: "tasks per call",
        y: "ratio",
        places: BATCHES.map(|n| n.to_string()).into(),
        lines: lines.into(),
        mark: Some(("the queue", 1.0)),
    }
}

fn relative_to_chains(report: &Report) -> Plot {
    let sides = [("linear3", "chain3"), ("linear10", "chain10"), ("linear3", "eager3"), ("linear10", "eager10")];
    let lines =
        sides.map(|(ours, other)| by_batch(report, format!("{ours} / {other}"), ours, other, |row| row.ratio()));
    Plot {
        title: "Steps/s relative to a hand-written chain: 8 clients, synchronous_commit on",
        x: "tasks per call",
        y: "ratio",
        places: BATCHES.map(|n| n.to_string()).into(),
        lines: lines.into(),
        mark: Some(("goal relative to eager", 0.6)),
    }
}

fn log(report: &Report) -> Plot {
    let exactly = |value| Spread { median: value, min: value, max: value };
    let mut lines = ["linear3", "linear10", "diamond"]
        .map(|ours| by_batch(report, ours.into(), ours, "queue", |row| exactly(row.wal_bytes_per_step)))
        .to_vec();
    lines.push(by_batch(report, "queue".into(), "linear10", "queue", |row| exactly(row.yardstick_wal_bytes)));
    Plot {
        title: "WAL bytes per step: 8 clients, synchronous_commit on",
        x: "tasks per call",
        y: "bytes",
        places: BATCHES.map(|n| n.to_string()).into(),
        lines,
        mark: None,
    }
}

fn clients(report: &Report, batch: u32, title: &'static str) -> Plot {
    let exactly = |value| Spread { median: value, min: value, max: value };
    let by = |name: &str, ours: &str, value: fn(&Row) -> f64| {
        let point = |clients| fresh(report, ours, "queue", Load { batch, clients, synchronous_commit: true });
        Line { name: name.into(), points: CLIENTS.map(|n| point(n).map(|row| exactly(value(row)))).into() }
    };
    Plot {
        title,
        x: "clients",
        y: "steps or tasks per second",
        places: CLIENTS.map(|n| n.to_string()).into(),
        lines: vec![
            by("linear3", "linear3", |row| row.ours),
            by("linear10", "linear10", |row| row.ours),
            by("queue", "linear10", |row| row.yardstick),
        ],
        mark: None,
    }
}

fn items(report: &Report) -> Plot {
    let load = Load { batch: 100, clients: 1, synchronous_commit: false };
    let time = |rate: f64| Spread { median: 1e6 / rate, min: 1e6 / rate, max: 1e6 / rate };
    let point = |items: u32| {
        let of = |other: u32| fresh(report, "fanout10000", &format!("fanout{other}"), load);
        if items == 10_000 { of(1000).map(|row| time(row.ours)) } else { of(items).map(|row| time(row.yardstick)) }
    };
    Plot {
        title: "Time per item, including start and join: 1 client, batch 100",
        x: "items per execution",
        y: "microseconds",
        places: ITEMS.map(|n| number(&n.into())).into(),
        lines: vec![Line { name: "fan-out".into(), points: ITEMS.map(point).into() }],
        mark: None,
    }
}

fn claims(report: &Report) -> Plot {
    let by = |name: &str, workload: &str, median: fn(&LatencyRow) -> f64, rounds: bool| {
        let point = |clients| {
            let row = report.latency(workload, clients, true)?;
            let spread = Spread::of(row.claim_p95_ms_rounds.iter().flatten().copied()).filter(|_| rounds);
            let median = median(row);
            Some(spread.unwrap_or(Spread { median, min: median, max: median }))
        };
        Line { name: name.into(), points: CLIENTS.map(point).into() }
    };
    Plot {
        title: "Claim latency: batch 1, 400 calls/s in total",
        x: "clients",
        y: "milliseconds",
        places: CLIENTS.map(|n| n.to_string()).into(),
        lines: vec![
            by("linear3, 95th percentile", "linear3", |row| row.claim_p95_ms, true),
            by("queue, 95th percentile", "queue", |row| row.claim_p95_ms, true),
            by("linear3, median", "linear3", |row| row.claim_p50_ms, false),
            by("queue, median", "queue", |row| row.claim_p50_ms, false),
        ],
        mark: None,
    }
}

fn by_batch(report: &Report, name: String, ours: &str, other: &str, value: impl Fn(&Row) -> Spread) -> Line {
    let point = |batch| fresh(report, ours, other, Load { batch, clients: 8, synchronous_commit: true });
    Line { name, points: BATCHES.map(|batch| point(batch).map(&value)).into() }
}

fn fresh<'a>(report: &'a Report, ours: &str, other: &str, load: Load) -> Option<&'a Row> {
    report.row(ours, Scene::Fresh, other, Scene::Fresh, load)
}
