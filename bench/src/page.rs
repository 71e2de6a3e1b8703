//! The measured part of docs/performance.md, generated from a report and never edited by hand.

use crate::figures::{self, Figure};
use crate::report::{Report, Row};
use crate::stage::Scene;
use crate::table::{self, Table};
use crate::{Error, Result, goals, report};
use std::fs;
use std::path::Path;

/// Marker lines of docs/performance.md that enclose the measured part.
const BEGIN: &str = "<!-- measured: written by `make bench-report` from performance/report.json -->\n";
const END: &str = "<!-- measured: end -->\n";

/// A section of the page: heading, plots, and a table below them.
struct Section {
    head: &'static str,
    table: Table,
    figures: &'static [&'static str],
}

/// Name and title of a plot.
type Drawn = (&'static str, &'static str);

/// Writes the measured part of the page and its plots into a folder, for review before publishing.
pub fn write(report: &Report, folder: &Path) -> Result<()> {
    let plots = folder.join("performance");
    let drawn = draw(report, &plots)?;
    put(&folder.join("performance.md"), &measured(report, &drawn))
}

/// Publishes a report: writes the measured part of the page, the plots, and the report itself into the documentation.
pub fn publish(report: &Report, documents: &Path) -> Result<()> {
    let plots = documents.join("performance");
    let drawn = draw(report, &plots)?;
    put(&plots.join("report.json"), &goals::report_json(report)?)?;
    let page = documents.join("performance.md");
    let text = get(&page)?;
    let replaced = replace(&text, &measured(report, &drawn))
        .ok_or_else(|| Error::Page { page: page.display().to_string(), line: BEGIN.trim() })?;
    put(&page, &replaced)
}

/// Returns the text with another measured part, or None if the markers are missing.
fn replace(text: &str, measured: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, measured, END, after].concat())
}

/// Draws the plots, and returns the names and titles of those that are not empty.
fn draw(report: &Report, folder: &Path) -> Result<Vec<Drawn>> {
    fs::create_dir_all(folder).map_err(|source| Error::Io { what: folder.display().to_string(), source })?;
    let mut drawn = Vec::new();
    for Figure { name, plot } in figures::of(report) {
        if let Some(svg) = plot.svg()? {
            put(&folder.join(format!("{name}.svg")), &svg)?;
            drawn.push((name, plot.title));
        }
    }
    Ok(drawn)
}

fn measured(report: &Report, drawn: &[Drawn]) -> String {
    let mut text = format!("\n{}\n", circumstances(report));
    for failure in &report.failures {
        text += &format!("\nNot measured: {failure}\n");
    }
    for Section { head, table, figures } in sections(report) {
        if table.is_empty() {
            continue;
        }
        text += &format!("\n### {head}\n");
        for (name, title) in drawn.iter().filter(|(name, _)| figures.contains(name)) {
            text += &format!("\n![{title}](performance/{name}.svg)\n");
        }
        text += &format!("\n{}", table.markdown());
    }
    text + "\n"
}

fn circumstances(report: &Report) -> String {
    let report::Circumstances { date, commit, postgres, processors, processor, seconds, rounds } =
        &report.circumstances;
    format!(
        "Measured on {date} at commit {commit} with PostgreSQL {postgres} on {processors} processors ({processor}): {rounds} rounds, \
         {seconds} s per run."
    )
}

fn sections(report: &Report) -> Vec<Section> {
    let rows = |wanted: fn(&Row) -> bool| table::rows(report.rows.iter().filter(|row| wanted(row)));
    let paced = report.latencies.iter();
    vec![
        Section { head: "Goals", table: table::goals(&goals::of(report)), figures: &[] },
        Section {
            head: "Compared with the queue",
            table: rows(|row| row.scene == Scene::Fresh && row.against.starts_with("queue")),
            figures: &["relative-to-queue", "clients-batch-1", "clients-batch-100", "log"],
        },
        Section {
            head: "Compared with hand-written chains",
            table: rows(|row| row.against.starts_with("chain") || row.against.starts_with("eager")),
            figures: &["relative-to-chains"],
        },
        Section {
            head: "Many items and their join",
            table: rows(|row| row.against.starts_with("fanout")),
            figures: &["items"],
        },
        Section { head: "Under a limit", table: rows(|row| row.workload == "limited3"), figures: &[] },
        Section {
            head: "With a million finished tasks",
            table: rows(|row| row.scene == Scene::Finished),
            figures: &[],
        },
        Section { head: "Under a held snapshot", table: rows(|row| row.scene == Scene::Snapshot), figures: &[] },
        Section { head: "Call latency", table: table::latencies(paced), figures: &["claims"] },
        Section { head: "An idle worker", table: table::idle(&report.idle), figures: &[] },
    ]
}

fn get(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_measured_part_is_replaced() {
        let page = |measured: &str| format!("# Performance\n{BEGIN}{measured}{END}## By itself\n");
        assert_eq!(replace(&page("old\n"), "new\n"), Some(page("new\n")));
        assert_eq!(replace("# Performance\n", "new\n"), None);
    }

    #[test]
    fn the_committed_page_is_written_from_the_committed_report() {
        let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let page = get(&documents.join("performance.md")).unwrap();
        let path = documents.join("performance/report.json");
        // Before the first measurement there is nothing to compare.
        let Ok(report) = Report::read(&path) else {
            assert!(!path.exists(), "{} can't be read", path.display());
            assert_eq!(replace(&page, ""), Some(page));
            return;
        };
        let drawn: Vec<Drawn> = figures::of(&report)
            .into_iter()
            .filter_map(|Figure { name, plot }| {
                let svg = plot.svg().unwrap()?;
                assert_eq!(get(&documents.join(format!("performance/{name}.svg"))).unwrap(), svg, "{name}");
                Some((name, plot.title))
            })
            .collect();
        assert_eq!(replace(&page, &measured(&report, &drawn)).unwrap(), page);
        assert_eq!(goals::report_json(&report).unwrap(), get(&path).unwrap());
    }
}
