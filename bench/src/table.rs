//! Tables for a terminal and for Markdown pages.

use crate::goals::Goal;
use crate::latency::pace;
use crate::report::{IdleRow, LatencyRow, Row};
use crate::stage::Scene;
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};

/// Headings and rows. The columns from `numbers` on are numeric.
pub struct Table {
    heads: Vec<&'static str>,
    numbers: usize,
    lines: Vec<Vec<String>>,
}

impl Table {
    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Renders the table as psql would.
    pub fn terminal(&self) -> String {
        let mut builder = Builder::default();
        builder.push_record(self.heads.iter().copied());
        for line in &self.lines {
            builder.push_record(line);
        }
        let mut table = builder.build();
        table.with(Style::psql()).modify(Columns::new(self.numbers..), Alignment::right());
        table.to_string()
    }

    /// Renders the table as Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = &str>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
        let rule = |column: usize| if column < self.numbers { "---" } else { "---:" };
        let mut text = line(&mut self.heads.iter().copied());
        text += &line(&mut (0..self.heads.len()).map(rule));
        self.lines.iter().for_each(|cells| text += &line(&mut cells.iter().map(String::as_str)));
        text
    }
}

/// Returns the table of goals.
pub fn goals(goals: &[Goal]) -> Table {
    let lines = goals.iter().map(|goal| {
        let (median, spread) = goal.measured.map_or_else(Default::default, |s| {
            (format!("{:.2}", s.median), if s.min == s.max { String::new() } else { range(s.min, s.max) })
        });
        vec![goal.what.clone(), goal.bound.to_string(), median, spread, goal.verdict()]
    });
    Table { heads: vec!["goal", "", "measured", "min–max", "verdict"], numbers: 2, lines: lines.collect() }
}

/// Returns the table of comparisons.
pub fn rows<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Table {
    let heads = vec![
        "workload",
        "compared with",
        "batch",
        "clients",
        "sync",
        "steps/s",
        "theirs",
        "ratio",
        "min–max",
        "WAL/step",
        "theirs",
        "bytes/step",
        "theirs",
    ];
    let side = |workload: &str, scene: Scene| match scene {
        Scene::Fresh => workload.to_owned(),
        scene => format!("{workload}, {scene}"),
    };
    let lines = rows.into_iter().map(|row| {
        vec![
            side(&row.workload, row.scene),
            side(&row.against, row.against_scene),
            row.batch.to_string(),
            row.clients.to_string(),
            row.sync.clone(),
            format!("{:.0}", row.ours),
            format!("{:.0}", row.yardstick),
            format!("{:.2}", row.ratio),
            range(row.ratio_min, row.ratio_max),
            format!("{:.0}", row.wal_bytes_per_step),
            format!("{:.0}", row.yardstick_wal_bytes),
            format!("{:.0}", row.bytes_per_step),
            format!("{:.0}", row.yardstick_bytes),
        ]
    });
    Table { heads, numbers: 2, lines: lines.collect() }
}

/// Returns the table of latencies.
pub fn latencies<'a>(rows: impl IntoIterator<Item = &'a LatencyRow>) -> Table {
    let heads = vec!["workload", "calls", "clients", "claim p50, ms", "p95", "report p50, ms", "p95"];
    let lines = rows.into_iter().map(|row| {
        let times = [row.claim_p50_ms, row.claim_p95_ms, row.finish_p50_ms, row.finish_p95_ms];
        let mut line = vec![row.workload.clone(), pace(row.paced).into(), row.clients.to_string()];
        line.extend(times.map(|time| format!("{time:.2}")));
        line
    });
    Table { heads, numbers: 2, lines: lines.collect() }
}

/// Returns the table of idle costs.
pub fn idle<'a>(rows: impl IntoIterator<Item = &'a IdleRow>) -> Table {
    let lines = rows.into_iter().map(|row| {
        vec![
            row.workload.clone(),
            row.scene.to_string(),
            format!("{:.0}", row.microseconds_per_poll),
            format!("{:.0}–{:.0}", row.microseconds_min, row.microseconds_max),
            format!("{:.0}", row.xids),
            format!("{:.0}", row.wal_bytes),
        ]
    });
    let heads = vec!["workload", "database", "µs/poll", "min–max", "transaction ids", "WAL bytes"];
    Table { heads, numbers: 2, lines: lines.collect() }
}

fn range(min: f64, max: f64) -> String {
    format!("{min:.2}–{max:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_to_the_right() {
        let table = Table { heads: vec!["what", "much"], numbers: 1, lines: vec![vec!["speed".into(), "7".into()]] };
        assert_eq!(table.markdown(), "| what | much |\n| --- | ---: |\n| speed | 7 |\n");
        assert!(table.terminal().contains("speed |    7"), "{}", table.terminal());
    }
}
