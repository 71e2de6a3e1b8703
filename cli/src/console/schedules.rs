//! Schedules.

use super::app::{App, Visit};
use super::form::{Fields, encoded};
use super::guard::tell;
use super::page::{self, Page};
use super::problem::Problem;
use super::viewer::Viewer;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use maud::html;
use pg_workflow_client::{Engine, Page as Range};
use std::sync::Arc;

/// How many are shown at once.
const ROWS: i32 = 100;

/// Shows the schedules.
pub async fn show(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| {
        let fields = Fields::of(&visit.uri);
        let range = Range { max_rows: ROWS, after: fields.number("after")? };
        let schedules = Engine::list_schedules(pool, range).await?;
        let next = range.next(&schedules).and_then(|range| range.after).map(|after| after.to_string());
        let rows = html! { @for schedule in &schedules {
            tr {
                td { strong { (page::text(&schedule.name)) } @if schedule.paused { " " span.tag { "paused" } } }
                td { (page::workflow(&schedule.workflow_ref)) }
                td { code { (schedule.cron) } " " span.dim { (schedule.time_zone) } }
                td { (page::maybe_time(schedule.next_at)) }
                td { (page::maybe_time(schedule.last_at)) " " @if let Some(id) = schedule.last_execution { (page::execution(id)) } }
                td.wide { @if let Some(error) = &schedule.last_error { span.error { (page::text(error)) } } }
                @if !app.read_only { td {
                    @let to = format!("/schedules/{}", encoded(&schedule.name));
                    @if schedule.paused { (page::button(&format!("{to}/resume"), "/schedules", "Resume", &[], None)) }
                    @else { (page::button(&format!("{to}/pause"), "/schedules", "Pause", &[], None)) }
                } }
            }
        } };
        let head = ["Name", "Workflow", "When", "Next", "Last", "Why nothing was started", "Change"];
        let body = html! {
            h1 { "Schedules" }
            (page::list("schedules", &html! {
                @if schedules.is_empty() { (page::nothing("There are no schedules.")) }
                @else { (page::table("Schedules", &head[..head.len() - usize::from(app.read_only)], &rows)) }
            }))
            nav.pages aria-label="Pages" { @if let Some(next) = &next { a rel="next" href=(fields.address("/schedules", &[("after", Some(next))])) { "More" } } }
        };
        Ok(Page::new("Schedules", body))
    })
    .await
}

/// Pauses or resumes a schedule.
pub async fn turn(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Path((name, action)): Path<(String, String)>,
) -> Response {
    let turned = async {
        match action.as_str() {
            "pause" => app.act(&viewer, async |session| Engine::pause_schedule(session, &name).await).await?,
            "resume" => app.act(&viewer, async |session| Engine::resume_schedule(session, &name).await).await?,
            _ => return Err(Problem::invalid(format!("there is no action {action}"))),
        };
        Ok(format!("{action}: schedule {name}"))
    };
    tell("/schedules", turned.await)
}
