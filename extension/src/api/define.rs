//! Validating and storing definitions.

use crate::error::{Error, sentence};
use crate::pg::preconditions;
use crate::pg::statements;
use crate::settings;
use conductor::code::Code;
use conductor::finding::{Finding, Severity};
use conductor::graph::Graph;
use conductor::json::{from_text, to_text};
use conductor::language::catalogue::{Action, Catalogue};
use conductor::language::definition::Definition;
use conductor::language::parse::parse;
use conductor::language::validate::validate;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use serde_json::Value;
use std::cell::RefCell;

/// The catalogue of this database.
struct Database<'c, 'conn> {
    client: &'c SpiClient<'conn>,
    /// Error of a failed query: the `Catalogue` trait has no place for it.
    trouble: RefCell<Option<Error>>,
}

impl Database<'_, '_> {
    fn action_row(&self, reference: &str) -> Result<Option<Action>, Error> {
        let rows =
            statements::run(self.client, include_str!("../../queries/find_action.sql"), &[reference.into()])?.first();
        if rows.is_empty() {
            return Ok(None);
        }
        let schema = rows.get::<String>(1)?.and_then(|text| from_text::<Value>(&text).ok());
        Ok(Some(Action {
            param_schema: schema,
            is_workflow: rows.get::<bool>(2)?.unwrap_or_default(),
            enabled: rows.get::<bool>(3)?.unwrap_or(true),
            calls: rows.get::<Vec<String>>(4)?.unwrap_or_default(),
        }))
    }

    fn pack_row(&self, pack: &str) -> Result<bool, Error> {
        let rows = statements::run(self.client, include_str!("../../queries/has_pack.sql"), &[pack.into()])?;
        Ok(!rows.is_empty())
    }

    fn limit_row(&self, name: &str) -> Result<bool, Error> {
        let rows = statements::run(self.client, include_str!("../../queries/has_limit.sql"), &[name.into()])?;
        Ok(!rows.is_empty())
    }

    fn ask<T: Default>(&self, answer: Result<T, Error>) -> T {
        answer.unwrap_or_else(|error| {
            *self.trouble.borrow_mut() = Some(error);
            T::default()
        })
    }
}

impl Catalogue for Database<'_, '_> {
    fn action(&self, reference: &str) -> Option<Action> {
        self.ask(self.action_row(reference))
    }

    fn has_pack(&self, pack: &str) -> bool {
        self.ask(self.pack_row(pack))
    }

    fn has_limit(&self, name: &str) -> bool {
        self.ask(self.limit_row(name))
    }
}

/// Returns the definition, if it has no errors, and all findings for it.
fn checked(client: &SpiClient, source: &str) -> Result<(Option<Definition>, Vec<Finding>), Error> {
    preconditions::utf8()?;
    let catalogue = Database { client, trouble: RefCell::new(None) };
    let bounds = settings::bounds();
    let parsed = parse(source, &bounds);
    let findings = validate(&parsed, &catalogue, &bounds);
    let broken = findings.iter().any(|finding| finding.severity == Severity::Error);
    match catalogue.trouble.into_inner() {
        Some(error) => Err(error),
        None => Ok((parsed.definition.filter(|_| !broken), findings)),
    }
}

/// Returns one row per finding: `workflow_validate` in `sql/define.sql`.
#[pg_extern(sql = false)]
fn workflow_validate(
    source: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(code, String),
            name!(severity, String),
            name!(category, String),
            name!(message, String),
            name!(hint, Option<String>),
            name!(path, String),
            name!(task, Option<String>),
            name!(expression, Option<String>),
            name!(line, Option<i32>),
            name!(column, Option<i32>),
        ),
    >,
    ErrorReport,
> {
    let source =
        source.ok_or_else(|| Error::refused(Code::INVALID_ARGUMENT, "source is null", "Pass a value for source."))?;
    let (_, findings) = Spi::connect(|client| checked(client, source))?;
    let rows = findings.into_iter().map(|finding| {
        (
            finding.code.to_string(),
            severity(finding.severity).to_owned(),
            finding.code.category().to_owned(),
            finding.message,
            finding.hint,
            finding.path,
            finding.task,
            finding.expression,
            i32::try_from(finding.line).ok(),
            i32::try_from(finding.column).ok(),
        )
    });
    Ok(TableIterator::new(rows.collect::<Vec<_>>()))
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Stores a definition that has no errors: `workflow.define` in `sql/define.sql`.
#[pg_extern(sql = false)]
fn workflow_define(source: &str, now: TimestampWithTimeZone) -> Result<i64, ErrorReport> {
    let id = Spi::connect(|client| {
        let (definition, findings) = checked(client, source)?;
        let errors: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
        let definition = match (definition, errors.first()) {
            (Some(definition), None) => definition,
            (_, first) => return Err(refusal(first.copied(), errors.len(), &findings)),
        };
        Graph::compile(&definition, settings::bounds()).map_err(|error| {
            Error::refused(Code::INVALID_EXPRESSION, "the definition cannot be compiled", "Fix the expression.")
                .with_detail(error.to_string())
        })?;
        store(client, source, &definition, now)
    })?;
    Ok(id)
}

pub(super) fn refusal(first: Option<&Finding>, count: usize, findings: &[Finding]) -> Error {
    let Some(first) = first else {
        return Error::refused(Code::SYNTAX, "the definition is empty", "Call workflow_validate to see its findings.");
    };
    let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
    let place = if first.line > 0 { format!(" at line {} column {}", first.line, first.column) } else { String::new() };
    let hint = first.hint.as_deref().map_or("Call workflow_validate to list all findings.".to_owned(), sentence);
    Error::refused(first.code, format!("{}{place}{more}", first.message), hint)
        .with_detail(to_text(findings).unwrap_or_default())
}

fn store(client: &SpiClient, source: &str, definition: &Definition, now: TimestampWithTimeZone) -> Result<i64, Error> {
    let text = |value: &Option<Value>| value.as_ref().map(|value| to_text(value).unwrap_or_default());
    let arguments: [DatumWithOid; 12] = [
        definition.reference.as_str().into(),
        definition.label.as_str().into(),
        definition.description.clone().into(),
        definition.version.as_str().into(),
        text(&definition.parameters).into(),
        text(&definition.output).into(),
        to_text(definition).unwrap_or_default().into(),
        definition.tags.clone().into(),
        definition.enabled.into(),
        source.into(),
        to_text(&Graph::describe(definition)).unwrap_or_default().into(),
        now.into(),
    ];
    let rows = statements::run(client, include_str!("../../queries/store_definition.sql"), &arguments)?.first();
    Ok(rows.get::<i64>(1)?.unwrap_or_default())
}
