//! Limits and holds.

use super::app::{App, Visit};
use super::form::Fields;
use super::guard::tell;
use super::page::{self, Page};
use super::problem::Problem;
use super::viewer::Viewer;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{TimeDelta, Utc};
use maud::{Markup, html};
use pg_workflow_client::model::{Hold, HoldTarget, Limit, LimitInput, LimitKey};
use pg_workflow_client::{Engine, Page as Range};
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of limits shown, and of keys of each.
const LIMITS: i32 = 50;
const KEYS: i32 = 20;

/// Shows the limits, or one.
pub async fn show(State(app): State<Arc<App>>, visit: Visit) -> Result<Response, Problem> {
    app.show(&visit, async |pool| {
        let fields = Fields::of(&visit.uri);
        let name = fields.get("name");
        let limits = Engine::list_limits(pool, LIMITS, fields.get("after")).await?;
        let next = limits.last().filter(|_| limits.len() >= LIMITS as usize).map(|limit| limit.name.clone());
        let mut shown = Vec::new();
        for limit in limits.into_iter().filter(|limit| name.is_none_or(|name| limit.name == name)) {
            let keys = Engine::list_limit_keys(pool, &limit.name, KEYS, None).await?;
            shown.push((limit, keys));
        }
        let holds = Engine::list_holds(pool, Range::of(100)).await?;
        let body = html! {
            h1 { "Limits and holds" }
            (page::card("holds", "Holds", &hold_list(&app, &visit, &holds)))
            @if shown.is_empty() { (page::nothing("There are no limits.")) }
            @for (limit, keys) in &shown { (page::card(&format!("limit-{}", limit.name), &limit.name, &one(&app, &visit, limit, keys))) }
            nav.pages aria-label="Pages" {
                @if name.is_some() { a href="/limits" { "All limits" } }
                @if let Some(next) = &next { a rel="next" href=(fields.address("/limits", &[("after", Some(next))])) { "More" } }
            }
        };
        Ok(Page::new("Limits and holds", body))
    })
    .await
}

fn hold_list(app: &App, visit: &Visit, holds: &[Hold]) -> Markup {
    let rows = html! { @for hold in holds {
        tr {
            td { (hold.target) " " strong { (page::text(&hold.name)) } @if !hold.key.is_empty() { ", key " code { (page::text(&hold.key)) } } }
            td { (page::until(hold.until)) }
            td.label { (page::text(&hold.author)) }
            td.wide { (page::text(hold.reason.as_deref().unwrap_or_default())) }
            @if !app.read_only { td { (page::button("/limits/release", "/limits", "Release", &[("target", &hold.target), ("name", &hold.name), ("key", &hold.key)], None)) } }
        }
    } };
    let sent = visit.sent("new-hold");
    let head = ["What", "Until", "Who", "Why", "End it"];
    html! {
        @if holds.is_empty() { (page::nothing("Nothing is held.")) }
        @else { (page::table("Holds", &head[..head.len() - usize::from(app.read_only)], &rows)) }
        @if !app.read_only {
            details #new-hold open[sent.is_some()] { summary { "Hold something" }
                p.dim { "Held tasks do not begin until the hold expires or is released; running tasks continue. Everything has no name. Only a limit has keys; without a key, all of them are held." }
                (sent.form("new-hold", "/limits/hold", "/limits", html! {
                    div.bulk {
                        label { "What" select name="target" { @for target in ["action", "workflow", "limit", "everything"] { option selected[sent.chose("target", target, false)] { (target) } } } }
                        label { "Name" input name="name" placeholder="shop.charge" value=[sent.value("name", None)]; }
                        label { "Key of the limit" input name="key" value=[sent.value("key", None)]; }
                        label { "For (minutes)" input name="minutes" type="number" min="1" value=[sent.value("minutes", Some("30".to_owned()))] required; }
                        label { "Reason" input name="reason" maxlength="500" value=[sent.value("reason", None)]; }
                        button data-confirm="Hold {target} {name} {key} for {minutes} minutes?" { "Hold" }
                    }
                }))
            }
        }
    }
}

fn one(app: &App, visit: &Visit, limit: &Limit, keys: &[LimitKey]) -> Markup {
    let rows = html! { @for key in keys {
        tr {
            td { @if key.key.is_empty() { span.dim { "everything together" } } @else { code { (page::text(&key.key)) } } }
            td.number { @if let Some(running) = key.running { (page::number(running)) @if let Some(most) = limit.max_running { " of " (most) } } }
            td.number { (page::number(key.waiting)) }
            td { (page::maybe_time(key.waiting_since)) }
            td { (page::maybe_time(key.next_at)) }
            td { @if let Some(until) = key.held_until { (page::until(until)) " by " (page::text(key.held_by.as_deref().unwrap_or_default())) } }
        }
    } };
    let name = format!("set-{}", limit.name);
    let sent = visit.sent(&name);
    let value = |name: &str, now: Option<String>| sent.value(name, now);
    html! {
        p.facts {
            @if let Some(most) = limit.max_running { span { "at most " strong { (most) } " running" } }
            @if let (Some(rate), Some(per)) = (limit.rate, limit.per_seconds) { span { strong { (rate) } " may begin in " (per) " s" } }
            @if let Some(burst) = limit.burst { span { "burst " (burst) } }
        }
        @if keys.is_empty() { (page::nothing("No task has used it yet.")) }
        @else { (page::table(&format!("Keys of {}", limit.name), &["Key", "#Running", "#Waiting", "Since", "Next may begin", "Held"], &rows)) }
        @if !app.read_only {
            details id=(name) open[sent.is_some()] { summary { "Change it" }
                (sent.form(&name, "/limits", "/limits", html! {
                    (page::hidden("name", &limit.name))
                    div.bulk {
                        label { "At most running" input name="max_running" type="number" min="1" value=[value("max_running", limit.max_running.map(|most| most.to_string()))]; }
                        label { "May begin" input name="rate" type="number" min="1" value=[value("rate", limit.rate.map(|rate| rate.to_string()))]; }
                        label { "in seconds" input name="per" type="number" min="0.001" step="any" value=[value("per", limit.per_seconds.map(|seconds| seconds.to_string()))]; }
                        label { "Burst" input name="burst" type="number" min="1" value=[value("burst", limit.burst.map(|burst| burst.to_string()))]; }
                        button { "Set" }
                    }
                }))
            }
        }
    }
}

/// Sets a limit.
pub async fn set(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let set = async {
        let small = |name: &str| -> Result<Option<i32>, Problem> {
            let wrong = |_| Problem::invalid(format!("{name} is too large"));
            fields.number(name)?.map(|number| i32::try_from(number).map_err(wrong)).transpose()
        };
        let per = fields
            .get("per")
            .map(|text| text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()));
        let rate = match (small("rate")?, per) {
            (Some(rate), Some(Some(per))) => Some((rate, per)),
            (None, None) => None,
            _ => return Err(Problem::invalid("a rate needs a number and a time in seconds")),
        };
        let name = fields.need("name")?.to_owned();
        let input = LimitInput { name: name.clone(), max_running: small("max_running")?, rate, burst: small("burst")? };
        app.act(&viewer, async |session| Engine::set_limit(session, input).await).await?;
        Ok(format!("limit {name} is set"))
    };
    let done = set.await;
    answer(app, &viewer, &fields, done).await
}

/// Says whether a form on this page was accepted, or shows it again.
async fn answer(app: Arc<App>, viewer: &Viewer, fields: &Fields, done: Result<String, Problem>) -> Response {
    match done {
        Err(problem) => show(State(app), Visit::again(viewer, "/limits", fields, problem)).await.into_response(),
        done => tell("/limits", done),
    }
}

/// Returns what a form puts on hold. A field that would have no effect is refused rather than ignored.
fn target(fields: &Fields) -> Result<HoldTarget<'_>, Problem> {
    let target = fields.need("target")?;
    if target == "everything" && fields.get("name").is_some() {
        return Err(Problem::invalid("everything has no name").hint("Clear the name, or select what it names."));
    }
    if target != "limit" && fields.get("key").is_some() {
        return Err(
            Problem::invalid(format!("only a limit has keys, not: {target}")).hint("Clear the key, or select a limit.")
        );
    }
    Ok(match target {
        "limit" => HoldTarget::Limit { name: fields.need("name")?, key: fields.get("key") },
        "action" => HoldTarget::Action(fields.need("name")?),
        "workflow" => HoldTarget::Workflow(fields.need("name")?),
        "everything" => HoldTarget::Everything,
        other => return Err(Problem::invalid(format!("{other} cannot be held"))),
    })
}

/// Sets a hold.
pub async fn hold(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let held = async {
        let target = target(&fields)?;
        let minutes = fields.number("minutes")?.unwrap_or(30);
        let until = TimeDelta::try_minutes(minutes).and_then(|minutes| Utc::now().checked_add_signed(minutes));
        let until = until.ok_or_else(|| Problem::invalid("that is too long"))?;
        app.act(&viewer, async |session| Engine::hold(session, target, until, fields.get("reason")).await).await?;
        let name =
            ["target", "name", "key"].into_iter().filter_map(|name| fields.get(name)).collect::<Vec<_>>().join(" ");
        Ok(format!("{name}: held until {}", until.format("%H:%M UTC")))
    };
    let done = held.await;
    answer(app, &viewer, &fields, done).await
}

/// Ends holds.
pub async fn release(
    State(app): State<Arc<App>>,
    Extension(viewer): Extension<Viewer>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let released = async {
        let target = target(&fields)?;
        let ended = app.act(&viewer, async |session| Engine::release(session, target).await).await?;
        match ended {
            0 => Err(Problem::invalid("it is no longer held")),
            ended => Ok(format!("{ended} ended: what was held may begin")),
        }
    };
    tell(fields.get("back").unwrap_or("/limits"), released.await)
}
