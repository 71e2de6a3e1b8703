//! Turns runs into rows, and rows into the table that people read.

use crate::contender::{CONTENDERS, Contender, Language};
use crate::{Error, Result, Workload};
use pg_workflow_bench::spread::{Spread, round};
use serde::Serialize;
use std::fs;
use std::path::Path;
use tabled::Table;
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};

/// One run: the seconds it took to enqueue everything, and to process it.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub put_in: f64,
    pub worked_off: f64,
}

/// All runs of one contender with one workload.
pub struct Series {
    pub contender: &'static Contender,
    pub workload: Workload,
    pub samples: Vec<Sample>,
}

/// One row of the table and of peers.json.
#[derive(Debug, Serialize)]
pub struct Row {
    workload: String,
    system: &'static str,
    version: &'static str,
    language: Language,
    jobs: u32,
    steps: u32,
    /// Number of keys, for each of which one job runs at once; 0 without keys.
    keys: u32,
    /// Jobs or workflows enqueued per second.
    put_in: Spread,
    /// Steps processed per second.
    worked_off: Spread,
    /// Steps per second from the first enqueueing to the last completion.
    in_all: Spread,
    /// Our processing rate in the same language divided by this one's. None for our own rows.
    ratio: Option<Spread>,
    /// The same, including enqueueing.
    ratio_in_all: Option<Spread>,
}

impl Sample {
    fn steps(self, workload: Workload) -> [f64; 3] {
        let (jobs, steps) = (f64::from(workload.jobs), f64::from(workload.jobs * workload.steps));
        [jobs / self.put_in, steps / self.worked_off, steps / (self.put_in + self.worked_off)]
    }

    /// Formats the sample for the progress output.
    pub fn line(self, workload: Workload) -> String {
        let [put_in, worked_off, _] = self.steps(workload);
        format!("{put_in:8.0} enqueued/s, {worked_off:8.0} steps/s")
    }
}

impl Series {
    pub fn new(contender: &'static Contender, workload: Workload) -> Series {
        Series { contender, workload, samples: Vec::new() }
    }

    fn rates(&self, which: usize) -> impl Iterator<Item = f64> {
        self.samples.iter().map(move |sample| sample.steps(self.workload)[which])
    }

    /// Returns our own series to compare with, if this one is not ours.
    fn counterpart<'a>(&self, all: &'a [Series]) -> Option<&'a Series> {
        let same = |other: &&Series| {
            other.contender.is_ours()
                && other.contender.language == self.contender.language
                && (other.workload.steps, other.workload.keys) == (self.workload.steps, self.workload.keys)
        };
        all.iter().find(same).filter(|_| !self.contender.is_ours())
    }

    fn row(&self, all: &[Series]) -> Row {
        let spread = |which| rounded(Spread::of(self.rates(which)).expect("there are rounds"), 1);
        let ours = self.counterpart(all);
        let ratio = |which| ours.and_then(|ours| Spread::of_ratios(ours.rates(which), self.rates(which)));
        Row {
            workload: self.workload.to_string(),
            system: self.contender.system,
            version: self.contender.version(),
            language: self.contender.language,
            jobs: self.workload.jobs,
            steps: self.workload.steps,
            keys: self.workload.keys,
            put_in: spread(0),
            worked_off: spread(1),
            in_all: spread(2),
            ratio: ratio(1).map(|ratio| rounded(ratio, 3)),
            ratio_in_all: ratio(2).map(|ratio| rounded(ratio, 3)),
        }
    }
}

fn rounded(spread: Spread, digits: i32) -> Spread {
    Spread { median: round(spread.median, digits), min: round(spread.min, digits), max: round(spread.max, digits) }
}

pub fn rows(all: &[Series]) -> Vec<Row> {
    all.iter().map(|series| series.row(all)).collect()
}

/// Renders the rows for a terminal.
pub fn terminal(rows: &[Row]) -> String {
    table(rows).with(Style::psql()).to_string()
}

fn table(rows: &[Row]) -> Table {
    let mut builder = Builder::default();
    builder.push_record([
        "work",
        "system",
        "version",
        "worker",
        "enqueued/s",
        "steps/s",
        "min–max",
        "total/s",
        "ratio",
        "min–max",
        "total ratio",
    ]);
    for row in rows {
        let ratio = |ratio: &Option<Spread>| ratio.map(|ratio| format!("{:.2}", ratio.median)).unwrap_or_default();
        builder.push_record([
            row.workload.clone(),
            row.system.to_string(),
            row.version.to_string(),
            row.language.to_string(),
            format!("{:.0}", row.put_in.median),
            format!("{:.0}", row.worked_off.median),
            format!("{:.0}–{:.0}", row.worked_off.min, row.worked_off.max),
            format!("{:.0}", row.in_all.median),
            ratio(&row.ratio),
            row.ratio.map(|ratio| format!("{:.2}–{:.2}", ratio.min, ratio.max)).unwrap_or_default(),
            ratio(&row.ratio_in_all),
        ]);
    }
    let mut table = builder.build();
    table.modify(Columns::new(4..), Alignment::right());
    table
}

/// Lists who can't take part and why, one line per language.
pub fn left_out(missing: &[(Language, String)]) -> String {
    let line = |(language, reason): &(Language, String)| {
        let of = CONTENDERS.iter().filter(|contender| contender.language == *language);
        let names: Vec<String> = of.map(Contender::to_string).collect();
        format!("Left out: {}: {reason}\n", names.join(", "))
    };
    missing.iter().map(line).collect()
}

/// Writes the rows as peers.json and the table as peers.md.
pub fn write(rows: &[Row], missing: &[(Language, String)], folder: &Path) -> Result<()> {
    let page = format!("{}\n\n{}", table(rows).with(Style::markdown()), left_out(missing));
    for (name, text) in [("peers.json", serde_json::to_string_pretty(rows)?), ("peers.md", page)] {
        let path = folder.join(name);
        fs::write(&path, text.trim_end().to_owned() + "\n")
            .map_err(|source| Error::Io { what: path.display().to_string(), source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::CONTENDERS;

    fn series(system: &str, language: Language, worked_off: &[f64]) -> Series {
        let contender = CONTENDERS.iter().find(|c| c.system == system && c.language == language).expect("a contender");
        let samples = worked_off.iter().map(|worked_off| Sample { put_in: 1.0, worked_off: *worked_off }).collect();
        Series { contender, workload: Workload { jobs: 100, steps: 1, keys: 0 }, samples }
    }

    #[test]
    fn a_peer_is_compared_with_ours_in_its_own_language() {
        let all = [
            series("pg_workflow", Language::Rust, &[1.0, 1.0, 1.0]),
            series("pg_workflow", Language::Node, &[2.0, 2.0, 4.0]),
            series("pg-boss", Language::Node, &[4.0, 8.0, 4.0]),
        ];
        let rows = rows(&all);
        assert_eq!((rows[0].ratio, rows[1].ratio), (None, None));
        assert_eq!(rows[2].ratio, Some(Spread { median: 2.0, min: 1.0, max: 4.0 }));
        assert_eq!((rows[2].put_in.median, rows[2].worked_off.median, rows[2].in_all.median), (100.0, 25.0, 20.0));
    }
}
