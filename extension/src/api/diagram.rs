//! Diagrams of graphs and timelines, as text.

use crate::error::Error;
use crate::pg::preconditions;
use conductor::code::Code;
use conductor::json::from_text;
use conductor::language::definition::Definition;
use conductor::view::diagram::{Statuses, dot, mermaid};
use conductor::view::timeline::{Bar, gantt};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// `workflow.diagram` in `sql/status.sql`.
#[pg_extern(sql = false)]
fn workflow_diagram(
    definition: Option<&str>,
    statuses: Option<&str>,
    format: Option<&str>,
) -> Result<String, ErrorReport> {
    preconditions::utf8()?;
    let definition = definition.ok_or_else(|| Error::missing("definition"))?;
    let definition: Definition = from_text(definition).map_err(|error| {
        Error::refused(Code::UNUSABLE, "the stored definition cannot be drawn", "Define the workflow again.")
            .with_detail(error.to_string())
    })?;
    let statuses: Option<Statuses> = statuses.and_then(|statuses| from_text(statuses).ok());
    Ok(match format {
        Some("dot") => dot(&definition, statuses.as_ref()),
        _ => mermaid(&definition, statuses.as_ref()),
    })
}

/// `workflow.gantt` in `sql/timeline.sql`.
#[pg_extern(sql = false)]
fn workflow_gantt(title: &str, bars: &str, left_out: i64) -> Result<String, ErrorReport> {
    preconditions::utf8()?;
    let bars: Vec<Bar> = from_text(bars).map_err(|error| {
        Error::refused(Code::INVALID_ARGUMENT, "the bars cannot be drawn", "Pass a list of bars.")
            .with_detail(error.to_string())
    })?;
    Ok(gantt(title, &bars, left_out))
}
