//! A draft of a definition: its findings, its graph, the results of its tests; and storing it.

use super::app::{App, Visit};
use super::definitions;
use super::drawing::{self, Subject};
use super::form::{Fields, encoded};
use super::guard::tell;
use super::page::{self, Page};
use super::problem::Problem;
use super::viewer::Viewer;
use crate::check::load;
use crate::picture;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use conductor::bounds::Bounds;
use conductor::language::parse::parse;
use conductor::rehearsal::coverage::Coverage;
use conductor::rehearsal::{Script, Verdict, rehearse};
use maud::{Markup, html};
use pg_workflow_client::{Engine, Finding, Severity};
use sqlx::PgPool;
use std::sync::Arc;

const EXAMPLE: &str = "ref: shop.draft\nlabel: A draft\nversion: 1.0.0\ntasks:\n  - {name: ask, wait_for: {signal: approved}, on_success: done}\n  - {name: done}\n";
const TESTS: &str = "tests:\n  - name: it is approved\n    answers:\n      ask: {signal: {ok: true}}\n    expect:\n      status: completed\n      ran: [ask]\n";

/// Shows an empty draft.
pub async fn show(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| body(&app, pool, EXAMPLE, "").await).await
}

/// Shows the findings, graph and test results of a draft.
pub async fn check(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let source = fields.get("source").unwrap_or_default();
    let made = body(&app, &app.pool, source, fields.get("tests").unwrap_or_default()).await?;
    // While the user types, only a part of the page is requested; drafts are not shared between viewers.
    Ok(app.frame(&viewer, &uri).respond(&headers, &made))
}

async fn body(app: &App, pool: &PgPool, source: &str, tests: &str) -> Result<Page, Problem> {
    let findings = Engine::validate(pool, source).await?;
    let valid = findings.iter().all(|finding| finding.severity != Severity::Error);
    let graph = graph(source);
    let former = match &graph {
        Some((name, _)) => Engine::definition_source(pool, name).await?,
        None => None,
    };
    let results = match valid && !tests.trim().is_empty() {
        true => Some(run(source, tests).await),
        false => None,
    };
    let script = if tests.trim().is_empty() { TESTS } else { tests };
    let body = html! {
        h1 { "Try a draft" }
        div.columns.wide-left {
            section.card aria-labelledby="draft-title" {
                h2 #draft-title { "Draft" }
                (page::form("/draft", "/draft", html! {
                    div.stack data-draft {
                        label { "Definition (YAML or JSON)" textarea #source name="source" rows="24" spellcheck="false" wrap="off" { "\n" (source) } }
                        details #tests-of-draft open[!tests.trim().is_empty()] {
                            summary { "Tests with scripted answers" }
                            label { "Tests (YAML)" textarea name="tests" rows="10" spellcheck="false" wrap="off" data-example=(script) { "\n" (tests) } }
                            p.dim { "Such as:" } pre.json tabindex="0" { (TESTS) }
                        }
                        div.buttons {
                            button.primary { "Check it" }
                            @if !app.read_only && valid { button formaction="/definitions" data-confirm="Store this as the workflow's current version?" { "Define it" } }
                        }
                    }
                }))
            }
            div #verdict aria-live="polite" {
                (page::card("findings", "Findings", &finding_list(&findings)))
                @if let Some(results) = &results { (page::card("results", "Tests", &test_list(results))) }
                @if let Some((name, graph)) = &graph { (page::card("graph", "Graph", &drawing::draw(graph, &Subject::default(), &format!("Graph of {name}")))) }
                @if let Some(former) = &former { (page::card("diff", "Compared with the current version", &definitions::diff(former, source))) }
            }
        }
    };
    Ok(Page::new("Try a draft", body))
}

/// Returns the name of a draft and its graph, if it can be drawn.
fn graph(source: &str) -> Option<(String, picture::Graph)> {
    let parsed = parse(source, &Bounds::default());
    let definition = parsed.definition?;
    Some((definition.reference.clone(), picture::of_definition(&definition)))
}

fn finding_list(findings: &[Finding]) -> Markup {
    if findings.is_empty() {
        return html! { p.good { "There are no findings." } };
    }
    html! { ul.findings { @for finding in findings {
        li class=(if finding.severity == Severity::Error { "is-error" } else { "is-warning" }) {
            strong { (finding.code) } " " (page::text(&finding.message))
            @if let (Some(line), Some(column)) = (finding.line, finding.column) { " " button.link type="button" data-line=(line) data-column=(column) { "line " (line) ", column " (column) } }
            @if let Some(hint) = &finding.hint { p.hint { (page::text(hint)) } }
        }
    } } }
}

/// Results of tests, and their coverage.
struct Played {
    verdicts: Vec<Verdict>,
    percent: f64,
    graph: Option<picture::Graph>,
}

/// Plays tests in memory, without blocking other requests.
async fn run(source: &str, tests: &str) -> Result<Played, Problem> {
    let (source, tests) = (source.as_bytes().to_vec(), tests.as_bytes().to_vec());
    let played = tokio::task::spawn_blocking(move || play(source, &tests)).await;
    played.unwrap_or_else(|_| Err(Problem::invalid("the tests could not be played")))
}

fn play(source: Vec<u8>, tests: &[u8]) -> Result<Played, Problem> {
    let bounds = Bounds::default();
    let loaded = load::definition_of("draft".to_owned(), source).map_err(|why| Problem::invalid(why.message()))?;
    let (script, mut findings) = Script::read(tests, &bounds);
    if findings.is_empty() {
        findings = script.check(&loaded.graph, &bounds);
    }
    if let Some(finding) = findings.first() {
        let problem = Problem::invalid(format!("the tests, line {}: {}", finding.line, finding.message));
        return Err(Problem { hint: finding.hint.clone(), ..problem });
    }
    let mut coverage = Coverage::default();
    let verdicts: Vec<Verdict> = script.tests.iter().map(|test| rehearse(&script, test, &loaded.graph)).collect();
    verdicts.iter().for_each(|verdict| coverage.add(&verdict.coverage));
    let percent = coverage.report(&loaded.graph, &loaded.parsed).percent().floor();
    Ok(Played { verdicts, percent, graph: crate::test::coverage::graph(&loaded, &coverage) })
}

fn test_list(played: &Result<Played, Problem>) -> Markup {
    let played = match played {
        Err(problem) => return html! { p.error { (problem.text()) } },
        Ok(played) => played,
    };
    html! {
        ul.findings { @for verdict in &played.verdicts {
            li class=(if verdict.passed() { "is-good" } else { "is-error" }) {
                strong { (if verdict.passed() { "passed" } else { "failed" }) } " " (verdict.test)
                @for difference in &verdict.differences {
                    p.hint { "line " (difference.line) ", " (difference.what) ": expected " code { (difference.expected) } ", got " code { (difference.got) } " " (difference.hint.as_deref().unwrap_or_default()) }
                }
            }
        } }
        @if let Some(graph) = &played.graph {
            p { (played.percent) " % of tasks and transitions are reached." }
            (drawing::draw(graph, &Subject::default(), "What the tests reach"))
        }
    }
}

/// Stores a draft as the current version of its workflow. Shows it again if it is refused.
pub async fn define(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let defined = async {
        let source = fields.need("source")?;
        app.act(&viewer, async |session| Engine::define(session, source).await).await
    };
    match defined.await {
        Ok(definition) => {
            let to = format!("/definitions/{}", encoded(&definition.r#ref));
            Ok(tell(&to, Ok(format!("{} {} is the current version", definition.r#ref, definition.version))))
        }
        Err(problem) => {
            let source = fields.get("source").unwrap_or_default();
            let made = body(&app, &app.pool, source, fields.get("tests").unwrap_or_default()).await?;
            let viewer = Viewer { notice: Some((false, problem.text())), ..viewer };
            Ok(app.frame(&viewer, &Uri::from_static("/draft")).respond(&headers, &made))
        }
    }
}
