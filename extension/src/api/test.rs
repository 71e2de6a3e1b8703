//! Running a definition in memory with scripted answers.

use crate::api::define::refusal;
use crate::error::Error;
use crate::pg::preconditions;
use crate::settings;
use conductor::code::Code;
use conductor::finding::{Finding, Severity};
use conductor::graph::Graph;
use conductor::language::catalogue::EmptyCatalogue;
use conductor::language::validate::{Checked, check};
use conductor::rehearsal::{Script, rehearse};
use pgrx::JsonB;
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::sync::Arc;

/// Maximum virtual time that an interval can show, in seconds: a hundred thousand years.
const LONGEST: f64 = 1e5 * 365.25 * 86_400.0;

/// Returns one row per test: `workflow_test` in `sql/define.sql`.
#[pg_extern(sql = false)]
fn workflow_test(
    source: Option<&str>,
    script: Option<JsonB>,
) -> Result<
    TableIterator<
        'static,
        (name!(test, String), name!(passed, bool), name!(differences, JsonB), name!(took, Interval)),
    >,
    ErrorReport,
> {
    let source = source.ok_or_else(|| Error::missing("source"))?;
    let script = script.ok_or_else(|| Error::missing("script"))?.0.to_string();
    Ok(TableIterator::new(play(source, &script)?))
}

fn play(source: &str, script: &str) -> Result<Vec<(String, bool, JsonB, Interval)>, Error> {
    preconditions::utf8()?;
    let bounds = settings::bounds();
    // Actions need not exist yet.
    let Checked { definition, findings } = check(source, &EmptyCatalogue, &bounds);
    let Some(definition) = definition else { return Err(refused(&findings)) };
    let graph = Graph::compile(&definition, bounds).map_err(|error| {
        Error::refused(Code::INVALID_EXPRESSION, "the definition cannot be compiled", "Fix the expression.")
            .with_detail(error.to_string())
    })?;
    let graph = Arc::new(graph);
    let (script, mut findings) = Script::read(script, &bounds);
    if findings.is_empty() {
        findings = script.check(&graph, &bounds);
    }
    if !findings.is_empty() {
        return Err(refused(&findings));
    }
    let verdicts = script.tests.iter().map(|test| {
        let verdict = rehearse(&script, test, &graph);
        let differences = JsonB(serde_json::json!(verdict.differences));
        let took = Interval::from_seconds(verdict.took.min(LONGEST));
        (verdict.test.clone(), verdict.passed(), differences, took)
    });
    Ok(verdicts.collect())
}

fn refused(findings: &[Finding]) -> Error {
    let errors: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    refusal(errors.first().copied(), errors.len(), findings)
}
