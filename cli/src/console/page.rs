//! The frame of every page, and the elements that pages consist of. `app.rs` decides when a page is made again.

use super::app::App;
use super::form::encoded;
use super::guard::Viewer;
use super::problem::Problem;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use maud::{DOCTYPE, Markup, html};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;
use std::time::Duration;

/// A page without its frame, the same for everybody.
pub struct Page {
    pub title: String,
    pub body: Markup,
    /// How long it may be shown as long as nothing changes in the database.
    pub lasts: Duration,
}

/// How long a page lasts if nothing on it changes by itself except the minute, and what is late.
const LASTS: Duration = Duration::from_secs(60);

impl Page {
    pub fn new(title: impl Into<String>, body: Markup) -> Page {
        Page { title: title.into(), body, lasts: LASTS }
    }
}

/// Placeholder in shared pages for the token of each viewer. Random, so that no content can contain it.
static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let mut bytes = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .expect("the system has random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
});

const MENU: [(&str, &str); 10] = [
    ("/", "Overview"),
    ("/executions", "Executions"),
    ("/approvals", "Approvals"),
    ("/jobs", "Bulk jobs"),
    ("/work", "Queues and workers"),
    ("/limits", "Limits and holds"),
    ("/schedules", "Schedules"),
    ("/definitions", "Definitions"),
    ("/draft", "Try a draft"),
    ("/check", "Health"),
];

/// Whether the browser only looks for changes.
pub fn is_live(headers: &HeaderMap) -> bool {
    headers.contains_key("x-live")
}

/// Answers with a page, or with nothing if the browser already has it.
pub fn respond(app: &App, viewer: &Viewer, uri: &Uri, headers: &HeaderMap, page: &Page) -> Response {
    let version = hash(&page.body.0);
    if let Some(known) = headers.get("x-live") {
        if known.as_bytes() == version.as_bytes() {
            return StatusCode::NO_CONTENT.into_response();
        }
        let body = page.body.0.replace(TOKEN.as_str(), &viewer.csrf);
        return ([("x-version", version)], Html(body)).into_response();
    }
    Html(whole(app, viewer, uri, page, None)).into_response()
}

/// Answers to a form with the page that it is on.
pub fn again(app: &App, viewer: &Viewer, uri: &Uri, page: &Page) -> Html<String> {
    let address = uri.path_and_query().map_or("/", |address| address.as_str());
    Html(whole(app, viewer, uri, page, Some(address)))
}

fn whole(app: &App, viewer: &Viewer, uri: &Uri, page: &Page, address: Option<&str>) -> String {
    let notice = viewer.notice.as_ref().map(|(good, text)| {
        // Scripts move the focus there, so that the result of an action is seen and read out.
        html! { p.notice.bad[!good] role=(if *good { "status" } else { "alert" }) tabindex="-1" { (self::text(text)) } }
    });
    let person = html! {
        p.person {
            span.dim { "Acting as" } br; strong { (text(&viewer.person)) }
            @if app.read_only { " (read-only)" }
        }
        @if viewer.signed_in { form method="post" action="/sign-out" { button.quiet { "Sign out" } } }
    };
    let main = html! { @if let Some(notice) = notice { (notice) } div #live data-version=(hash(&page.body.0)) data-address=[address] { (page.body) } };
    let refresh = u64::try_from(app.refresh.as_millis()).unwrap_or(2000);
    frame(&page.title, uri.path(), Some(refresh), person, main).0.replace(TOKEN.as_str(), &viewer.csrf)
}

fn frame(title: &str, path: &str, refresh: Option<u64>, person: Markup, main: Markup) -> Markup {
    let here = |address: &str| {
        path == address || address != "/" && path.strip_prefix(address).is_some_and(|rest| rest.starts_with('/'))
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · pg_workflow" }
                link rel="stylesheet" href="/assets/console.css";
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                script src="/assets/console.js" defer {}
            }
            body data-refresh=[refresh] {
                a.skip href="#main" { "Skip to content" }
                header.side {
                    a.brand href="/" { img src="/assets/icon.svg" alt="" width="22" height="22"; "pg_workflow" }
                    nav aria-label="Main" {
                        ul { @for (address, name) in MENU {
                            li { a href=(address) aria-current=[here(address).then_some("page")] { (name) } }
                        } }
                    }
                    (person)
                }
                main #main tabindex="-1" { p #away.notice.bad role="status" hidden {} (main) }
            }
        }
    }
}

/// Returns the page of a problem.
pub fn problem(problem: &Problem) -> Markup {
    let away = problem.status == StatusCode::SERVICE_UNAVAILABLE;
    let main = html! {
        div #live data-version="" {
            h1 { (problem.status.canonical_reason().unwrap_or("Problem")) }
            section.card.trouble {
                p { strong { (text(&problem.message)) } }
                @if !problem.list.is_empty() { ul { @for one in &problem.list { li { (text(one)) } } } }
                @if let Some(hint) = &problem.hint { p { (text(hint)) } }
                p { a href="/" { "Go to the overview" } }
            }
        }
    };
    frame("Problem", "", away.then_some(2000), html! {}, main)
}

/// Answers a request for an unknown address.
pub async fn nowhere() -> Problem {
    Problem::missing("There is no such page")
}

/// Returns the page where people sign in.
pub fn sign_in(trouble: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Sign in · pg_workflow" }
                link rel="stylesheet" href="/assets/console.css";
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
            }
            body.alone {
                main #main {
                    section.card {
                        h1 { "Sign in to pg_workflow" }
                        @if let Some(trouble) = trouble { p.notice.bad role="alert" { (trouble) } }
                        form.stack method="post" action="/sign-in" {
                            label { "Your name" input name="person" required maxlength="100" autocomplete="username"; }
                            label { "Token" input name="token" type="password" required autocomplete="current-password"; }
                            button.primary { "Sign in" }
                        }
                        p.dim { "Your name is recorded with everything that you do." }
                    }
                }
            }
        }
    }
}

fn hash(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:x}", hasher.finish())
}

/// Returns a part of a page that is replaced when it changes.
pub fn part(id: &str, content: &Markup) -> Markup {
    html! { div id=(id) data-part=(hash(&content.0)) { (content) } }
}

/// Returns a part with a heading, in a box.
pub fn card(id: &str, title: &str, content: &Markup) -> Markup {
    part(
        id,
        &html! { section.card aria-labelledby=(format!("{id}-title")) { h2 id=(format!("{id}-title")) { (title) } (content) } },
    )
}

/// Returns a list as a part of a page, in a box without a heading.
pub fn list(id: &str, content: &Markup) -> Markup {
    part(id, &html! { div.card { (content) } })
}

/// Returns a form that performs an action and returns to a page.
pub fn form(action: &str, back: &str, content: Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            (hidden("csrf", TOKEN.as_str())) (hidden("back", back)) (content)
        }
    }
}

pub fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// Returns a button that performs an action with these values.
pub fn button(action: &str, back: &str, label: &str, values: &[(&str, &str)], confirm: Option<&str>) -> Markup {
    let content = html! {
        @for (name, value) in values { (hidden(name, value)) }
        button data-confirm=[confirm] { (label) }
    };
    html! { div.inline { (form(action, back, content)) } }
}

/// Returns text that somebody else has written. It is isolated: characters that change the direction of text have no
/// effect on what is around it.
pub fn text(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// Returns a status as a colored dot and a word.
pub fn status(status: &str) -> Markup {
    html! { span class=(format!("status s-{status}")) { (status) } }
}

/// Returns a time; scripts show how long ago it was.
pub fn time(time: DateTime<Utc>) -> Markup {
    html! { time datetime=(time.to_rfc3339_opts(SecondsFormat::Millis, true)) { (time.format("%Y-%m-%d %H:%M:%S UTC")) } }
}

/// Returns until when something lasts; scripts show how much longer that is.
pub fn until(time: DateTime<Utc>) -> Markup {
    html! { time datetime=(time.to_rfc3339_opts(SecondsFormat::Millis, true)) data-until { "until " (time.format("%Y-%m-%d %H:%M:%S UTC")) } }
}

pub fn maybe_time(moment: Option<DateTime<Utc>>) -> Markup {
    moment.map_or_else(|| html! { span.dim { "–" } }, time)
}

/// Returns how long something took.
pub fn took(milliseconds: i64) -> String {
    match milliseconds {
        ..1000 => format!("{} ms", milliseconds.max(0)),
        1000..60_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        60_000..3_600_000 => format!("{} min {:02} s", milliseconds / 60_000, milliseconds / 1000 % 60),
        3_600_000..172_800_000 => format!("{} h {:02} min", milliseconds / 3_600_000, milliseconds / 60_000 % 60),
        _ => format!("{} days {:02} h", milliseconds / 86_400_000, milliseconds / 3_600_000 % 24),
    }
}

/// Returns a number with separated thousands.
pub fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Returns a link to an execution.
pub fn execution(id: i64) -> Markup {
    html! { a.id href=(format!("/executions/{id}")) { (id) } }
}

/// Returns a link to a workflow.
pub fn workflow(name: &str) -> Markup {
    html! { a href=(format!("/definitions/{}", encoded(name))) { (name) } }
}

/// Returns a table that can be scrolled sideways. The heads of numbers begin with `#`.
pub fn table(caption: &str, head: &[&str], rows: &Markup) -> Markup {
    columns(caption, head, rows, false)
}

/// Returns a table whose rows are broken into lines if the window is narrow. Cells that need their head then have
/// another one as `data-head`.
pub fn wrapped_table(caption: &str, head: &[&str], rows: &Markup) -> Markup {
    columns(caption, head, rows, true)
}

fn columns(caption: &str, head: &[&str], rows: &Markup, wrapped: bool) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(caption) {
            table.wrapped[wrapped] {
                caption.hidden { (caption) }
                thead { tr { @for name in head { th.number[name.starts_with('#')] scope="col" { (name.trim_start_matches('#')) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// Returns the text shown in place of an empty list.
pub fn nothing(text: &str) -> Markup {
    html! { p.empty { (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_readable() {
        assert_eq!(number(1_234_567).replace('\u{202f}', " "), "1 234 567");
        assert_eq!([number(0), number(-999)], ["0", "-999"]);
        assert_eq!(
            [took(12), took(1500), took(61_000), took(7_320_000), took(176_400_000)],
            ["12 ms", "1.5 s", "1 min 01 s", "2 h 02 min", "2 days 01 h"]
        );
    }

    #[test]
    fn what_is_shown_is_text() {
        let shown = html! { (status("<b>")) (workflow("<script>alert(1)</script>")) (nothing("<i>")) }.into_string();
        assert_eq!(text("a\u{202e}<b>").into_string(), "<bdi>a\u{202e}&lt;b&gt;</bdi>");
        assert!(!shown.contains("<b>") && !shown.contains("<script>") && !shown.contains("<i>"), "{shown}");
    }
}
