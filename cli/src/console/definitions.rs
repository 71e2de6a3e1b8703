//! Definitions: their graphs, texts, versions, and how they differ.

use super::app::{App, Visit};
use super::drawing::{self, Subject};
use super::form::{Fields, encoded};
use super::page::{self, Page};
use super::problem::Problem;
use super::search;
use crate::picture;
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use pg_workflow_client::repository::{FindByRef, List, WorkflowDefinitionRepository};
use pg_workflow_client::{DefinitionVersion, Engine, GraphFormat, Page as Range};
use similar::{ChangeTag, TextDiff};
use std::sync::Arc;

/// How many are shown at once.
const ROWS: i32 = 100;

/// Shows all definitions.
pub async fn list(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| {
        let fields = Fields::of(&visit.uri);
        let range = Range { max_rows: ROWS, after: fields.number("after")? };
        let found = WorkflowDefinitionRepository::list(pool, range).await?;
        let next = range.next(&found).and_then(|range| range.after).map(|after| after.to_string());
        let rows = html! { @for definition in &found {
            tr {
                td { (page::workflow(&definition.r#ref)) }
                td.wide { (page::text(&definition.label)) @if !definition.enabled { " " span.tag { "disabled" } } }
                td { (page::text(&definition.version)) }
                td { @for tag in &definition.tags { span.tag { (page::text(tag)) } " " } }
                td { (page::time(definition.updated)) }
                td { a href=(search::of_workflow(&definition.r#ref)) { "Executions" } }
            }
        } };
        let body = html! {
            h1 { "Definitions" }
            (page::list("definitions", &html! {
                @if found.is_empty() { (page::nothing("No workflow is defined yet.")) }
                @else { (page::table("Definitions", &["Workflow", "Label", "Version", "Tags", "Changed", "Look at"], &rows)) }
            }))
            nav.pages aria-label="Pages" { @if let Some(next) = &next { a rel="next" href=(fields.address("/definitions", &[("after", Some(next))])) { "More" } } }
        };
        Ok(Page::new("Definitions", body))
    })
    .await
}

/// Shows a definition.
pub async fn show(State(app): State<Arc<App>>, Path(name): Path<String>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| {
        let fields = Fields::of(&visit.uri);
        let definition = WorkflowDefinitionRepository::find_by_ref(pool, &name).await?;
        let definition = definition.ok_or_else(|| Problem::missing(format!("there is no workflow {name}")))?;
        let versions = Engine::list_definition_versions(pool, &name, Range::of(ROWS)).await?;
        let version = fields.number("version")?.and_then(|number| i32::try_from(number).ok());
        let version = version.or(versions.first().map(|version| version.number));
        let source = match version {
            Some(number) => Engine::definition_version_source(pool, &name, number).await?,
            None => None,
        };
        let against = fields.number("against")?.and_then(|number| i32::try_from(number).ok());
        let against = against.or(version.map(|number| number - 1)).filter(|number| *number > 0);
        let former = match against {
            Some(number) => Engine::definition_version_source(pool, &name, number).await?,
            None => None,
        };
        let dot = match definition.current_version {
            Some(_) => Engine::graph(pool, &name, GraphFormat::Dot).await?,
            None => String::new(),
        };
        let address = format!("/definitions/{}", encoded(&name));
        let sent = visit.sent("start");
        let body = html! {
            p.crumbs { a href="/definitions" { "Definitions" } }
            h1 { (page::text(&definition.label)) " " span.dim { (definition.r#ref) } }
            p.facts {
                span { "version " (page::text(&definition.version)) } @if !definition.enabled { span.tag { "disabled" } }
                span { a href=(search::of_workflow(&name)) { "Its executions" } }
            }
            @if let Some(about) = &definition.description { p { (page::text(about)) } }
            (page::card("graph", "Graph", &drawing::draw(&picture::of_dot(&dot), &Subject::default(), &format!("Graph of {name}"))))
            @if !app.read_only && definition.enabled {
                (page::card("start", "Start an execution", &sent.form("start", &format!("{address}/start"), &address, html! {
                    div.stack {
                        label { "Parameters (JSON)" textarea name="parameters" rows="4" spellcheck="false" { "\n" (sent.value("parameters", Some(skeleton(definition.param_schema.as_ref()))).unwrap_or_default()) } }
                        label { "Idempotency key" input name="key" value=[sent.value("key", None)]; }
                        div.buttons { button { "Start" } }
                    }
                })))
            }
            (page::card("versions", "Versions", &versions_table(&address, &versions, version)))
            @if let (Some(former), Some(source), Some(against), Some(version)) = (&former, &source, against, version) {
                (page::card("diff", &format!("Version {version} beside {against}"), &diff(former, source)))
            }
            @if let Some(source) = &source {
                (page::card("source", &format!("Text of version {}", version.unwrap_or_default()), &html! {
                    pre.json tabindex="0" { (source) }
                    (page::form("/draft", &address, html! { (page::hidden("source", source)) button { "Try a change of it" } }))
                }))
            }
        };
        Ok(Page::new(name.clone(), body))
    })
    .await
}

/// Returns an object with the required parameters and their defaults, for the user to fill in.
fn skeleton(schema: Option<&serde_json::Value>) -> String {
    let required = schema.and_then(|schema| schema.get("required")?.as_array()).cloned().unwrap_or_default();
    let default =
        |name: &str| schema.and_then(|schema| schema.pointer(&format!("/properties/{name}/default"))).cloned();
    let object: serde_json::Map<String, serde_json::Value> = required
        .iter()
        .filter_map(|name| Some((name.as_str()?.to_owned(), default(name.as_str()?).unwrap_or_default())))
        .collect();
    format!("{:#}", serde_json::Value::Object(object))
}

fn versions_table(address: &str, versions: &[DefinitionVersion], shown: Option<i32>) -> Markup {
    if versions.is_empty() {
        return page::nothing("It was not defined from text.");
    }
    let rows = html! { @for version in versions {
        tr aria-current=[(shown == Some(version.number)).then_some("true")] {
            td.number { (version.number) }
            td { (page::text(version.version.as_deref().unwrap_or_default())) }
            td { (page::time(version.created)) }
            td { a href=(format!("{address}?version={}#source", version.number)) { "Show" } }
            td { @if let Some(shown) = shown.filter(|shown| *shown != version.number) { a href=(format!("{address}?version={shown}&against={}#diff", version.number)) { "Compare with " (shown) } } }
        }
    } };
    page::table("Versions", &["#Number", "Version", "Stored", "Text", "Difference"], &rows)
}

/// Shows how two texts differ.
pub fn diff(former: &str, text: &str) -> Markup {
    let diff = TextDiff::from_lines(former, text);
    let groups = diff.grouped_ops(3);
    html! {
        @if groups.is_empty() { (page::nothing("There is no difference.")) }
        @else { pre.diff tabindex="0" { @for (number, group) in groups.iter().enumerate() {
            @if number > 0 { span.hunk { "⋯\n" } }
            @for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                @match change.tag() {
                    ChangeTag::Delete => del { "- " (change.value()) },
                    ChangeTag::Insert => ins { "+ " (change.value()) },
                    ChangeTag::Equal => span { "  " (change.value()) },
                }
            }
        } } }
    }
}
