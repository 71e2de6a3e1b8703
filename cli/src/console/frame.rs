//! What surrounds every page: the menu, the person, and the result of their last action. A problem, too, is shown as a
//! page.

use super::page::{Page, TOKEN, hash, text};
use super::problem::Problem;
use super::viewer::Viewer;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use std::time::Duration;

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

/// A request, as far as the frame of its page shows it.
pub struct Frame<'v> {
    pub viewer: &'v Viewer,
    pub uri: &'v Uri,
    pub read_only: bool,
    /// How often an open page looks for changes.
    pub refresh: Duration,
}

impl Frame<'_> {
    /// Answers with a page, or with nothing if the browser already has it.
    pub fn respond(&self, headers: &HeaderMap, page: &Page) -> Response {
        let version = hash(&page.body.0);
        if let Some(known) = headers.get("x-live") {
            if known.as_bytes() == version.as_bytes() {
                return StatusCode::NO_CONTENT.into_response();
            }
            let body = page.body.0.replace(TOKEN.as_str(), &self.viewer.csrf);
            return ([("x-version", version)], Html(body)).into_response();
        }
        Html(self.whole(page, None)).into_response()
    }

    /// Answers a form with the page that it is on.
    pub fn again(&self, page: &Page) -> Html<String> {
        let address = self.uri.path_and_query().map_or("/", |address| address.as_str());
        Html(self.whole(page, Some(address)))
    }

    fn whole(&self, page: &Page, address: Option<&str>) -> String {
        let viewer = self.viewer;
        let notice = viewer.notice.as_ref().map(|(good, text)| {
            // Scripts move the focus there, so that the result of an action is seen and read out.
            html! { p.notice.bad[!good] role=(if *good { "status" } else { "alert" }) tabindex="-1" { (self::text(text)) } }
        });
        let person = html! {
            p.person {
                span.dim { "Acting as" } br; strong { (text(&viewer.person)) }
                @if self.read_only { " (read-only)" }
            }
            @if viewer.signed_in { form method="post" action="/sign-out" { button.quiet { "Sign out" } } }
        };
        let main = html! { @if let Some(notice) = notice { (notice) } div #live data-version=(hash(&page.body.0)) data-address=[address] { (page.body) } };
        let refresh = u64::try_from(self.refresh.as_millis()).unwrap_or(2000);
        frame(&page.title, self.uri.path(), Some(refresh), person, main).0.replace(TOKEN.as_str(), &viewer.csrf)
    }
}

/// Returns what the head of every page contains.
fn head(title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        title { (title) " · pg_workflow" }
        link rel="stylesheet" href="/assets/console.css";
        link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
    }
}

fn frame(title: &str, path: &str, refresh: Option<u64>, person: Markup, main: Markup) -> Markup {
    let here = |address: &str| {
        path == address || address != "/" && path.strip_prefix(address).is_some_and(|rest| rest.starts_with('/'))
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (head(title))
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
fn problem(problem: &Problem) -> Markup {
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
                (head("Sign in"))
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

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Html(problem(&self).0)).into_response()
    }
}
