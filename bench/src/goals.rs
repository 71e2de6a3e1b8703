//! The goals, and how far they are from being reached.

use crate::Result;
use crate::pgbench::Load;
use crate::report::Report;
use crate::spread::{Spread, round};
use crate::stage::Scene;
use serde::Serialize;

/// The load under which the goals are measured.
const BASE: Load = Load { batch: 100, clients: 8, synchronous_commit: true };
/// Maximum ratio of times that still counts as equal, for goals that say a time does not grow.
const FLAT: f64 = 1.25;

/// One goal.
#[derive(Debug, PartialEq, Serialize)]
pub struct Goal {
    pub what: String,
    pub bound: Bound,
    /// None if it was not measured.
    pub measured: Option<Spread>,
    pub reached: Option<bool>,
}

/// Bound on the median.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn new(what: impl Into<String>, bound: Bound, measured: Option<Spread>) -> Goal {
        let reached = measured.map(|spread| match bound {
            Bound::AtLeast(least) => spread.median >= least,
            Bound::AtMost(most) => spread.median <= most,
        });
        Goal { what: what.into(), bound, measured, reached }
    }

    /// Describes in words whether the goal is reached, and how far off it is if not.
    pub fn verdict(&self) -> String {
        let Some(spread) = self.measured else { return "not measured".into() };
        match (self.reached, self.bound) {
            (Some(true), _) => "reached".into(),
            (_, Bound::AtLeast(least)) => format!("{:.0}% short", round((1.0 - spread.median / least) * 100.0, 0)),
            (_, Bound::AtMost(0.0)) => "not reached".into(),
            (_, Bound::AtMost(most)) => format!("{:.0}% over", round((spread.median / most - 1.0) * 100.0, 0)),
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bound::AtLeast(least) => write!(f, "≥ {least}"),
            Bound::AtMost(0.0) => f.write_str("0"),
            Bound::AtMost(most) => write!(f, "≤ {most}"),
        }
    }
}

/// Renders a report as JSON, including the goals derived from it.
pub fn report_json(report: &Report) -> Result<String> {
    let mut json = serde_json::to_value(report)?;
    json["goals"] = serde_json::to_value(of(report))?;
    Ok(serde_json::to_string_pretty(&json)? + "\n")
}

/// Returns all goals, as measured by this report.
pub fn of(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    if let Some(measured) = beside(report, "limited3", "linear3", BASE.batch) {
        let what = "steps/s of linear3 under a limit of 100 keys / without, batch 100";
        goals.push(Goal::new(what, Bound::AtLeast(0.7), Some(measured)));
    }
    for (batch, least) in [(100, 1.0), (1, 1.2)] {
        for workload in ["linear3", "linear10", "diamond", "fanout100", "fanout10000"] {
            // A client with 10,000 items uses a single batch size.
            if workload == "fanout10000" && batch == 1 {
                continue;
            }
            let queue = workload.strip_prefix("fanout").map_or("queue".into(), |items| format!("queue{items}"));
            let what = format!("steps/s of {workload} / tasks/s of the queue, batch {batch}");
            goals.push(Goal::new(what, Bound::AtLeast(least), beside(report, workload, &queue, batch)));
        }
    }
    for steps in [3, 10] {
        let measured = beside(report, &format!("linear{steps}"), &format!("eager{steps}"), BASE.batch);
        let what = format!("steps/s of linear{steps} / steps/s of the eager chain, batch 100");
        goals.push(Goal::new(what, Bound::AtLeast(0.6), measured));
    }
    for batch in [100, 1] {
        let what = format!("steps/s of linear10 with 1,000,000 finished tasks / without, batch {batch}");
        goals.push(Goal::new(what, Bound::AtLeast(0.9), within(report, Scene::Finished, batch)));
    }
    let what = "time per item with 10,000 items / with 1,000, including the join";
    goals.push(Goal::new(what, Bound::AtMost(FLAT), items(report)));
    let what = "steps/s of linear10 under a held snapshot / without, batch 100";
    goals.push(Goal::new(what, Bound::AtLeast(0.9), within(report, Scene::Snapshot, BASE.batch)));
    for batch in [100, 1] {
        for workload in ["linear3", "linear10"] {
            let row = report.row(workload, Scene::Fresh, "queue", Scene::Fresh, Load { batch, ..BASE });
            let what = format!("WAL bytes per step of {workload} / per task of the queue, batch {batch}");
            goals.push(Goal::new(what, Bound::AtMost(1.0), row.map(|row| row.wal_ratio())));
        }
    }
    let claims = || report.latency("linear3", 16, true)?.claims_beside(report.latency("linear3", 1, true)?);
    goals.push(Goal::new("95th percentile of claim latency with 16 clients / with one", Bound::AtMost(FLAT), claims()));
    let idle = report.idle.iter().find(|row| row.workload == "linear10" && row.scene == Scene::Fresh);
    let exactly = |value| Spread { median: value, min: value, max: value };
    goals.push(Goal::new(
        "transaction ids consumed by an idle worker",
        Bound::AtMost(0.0),
        idle.map(|row| exactly(row.xids)),
    ));
    goals.push(Goal::new(
        "WAL bytes written by an idle worker",
        Bound::AtMost(0.0),
        idle.map(|row| exactly(row.wal_bytes)),
    ));
    goals
}

fn beside(report: &Report, workload: &str, yardstick: &str, batch: u32) -> Option<Spread> {
    let row = report.row(workload, Scene::Fresh, yardstick, Scene::Fresh, Load { batch, ..BASE });
    row.map(|row| row.ratio())
}

fn within(report: &Report, scene: Scene, batch: u32) -> Option<Spread> {
    let row = report.row("linear10", scene, "linear10", Scene::Fresh, Load { batch, ..BASE });
    row.map(|row| row.ratio())
}

/// Returns the ratio of times, which is the inverse of the ratio of speeds.
fn items(report: &Report) -> Option<Spread> {
    let load = Load { clients: 1, synchronous_commit: false, ..BASE };
    let row = report.row("fanout10000", Scene::Fresh, "fanout1000", Scene::Fresh, load)?;
    Some(Spread { median: 1.0 / row.ratio, min: 1.0 / row.ratio_max, max: 1.0 / row.ratio_min })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(bound: Bound, median: f64) -> (Option<bool>, String) {
        let goal = Goal::new("speed", bound, Some(Spread { median, min: 0.1, max: 9.0 }));
        (goal.reached, goal.verdict())
    }

    #[test]
    fn a_goal_is_reached_by_its_median_or_says_how_far_it_is() {
        assert_eq!(verdict(Bound::AtLeast(1.2), 1.2), (Some(true), "reached".into()));
        assert_eq!(verdict(Bound::AtLeast(1.2), 0.9), (Some(false), "25% short".into()));
        assert_eq!(verdict(Bound::AtMost(1.0), 1.1), (Some(false), "10% over".into()));
        assert_eq!(verdict(Bound::AtMost(0.0), 0.0), (Some(true), "reached".into()));
        assert_eq!(verdict(Bound::AtMost(0.0), 56.0), (Some(false), "not reached".into()));
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_missed() {
        let goal = Goal::new("speed", Bound::AtLeast(1.0), None);
        assert_eq!((goal.reached, goal.verdict()), (None, "not measured".into()));
    }
}
