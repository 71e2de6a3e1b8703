//! The form that applies an operation to all executions that match a search, by means of a bulk job.

use super::app::{App, Visit};
use super::filter;
use super::form::Fields;
use super::page;
use super::problem::Problem;
use maud::{Markup, html};
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{Engine, FoundExecution, SearchFilter};
use sqlx::PgPool;

/// What a rerun does.
pub const RERUN: &str = "A rerun continues at the tasks that failed; completed tasks keep their results.";

/// Maximum number of executions that are counted.
const COUNTED: i32 = 1000;

/// What a job can do, as values and labels. Labels continue as in "Rerun 3 executions?".
const ACTIONS: [(&str, &str); 5] = [
    ("rerun", "Rerun"),
    ("pause", "Pause"),
    ("resume", "Resume"),
    ("cancel", "Cancel"),
    ("signal", "Send a signal to"),
];

/// How many executions match a search.
#[derive(Clone, Copy)]
pub struct Matches {
    number: i64,
    /// Whether there may be more.
    open: bool,
}

impl Matches {
    /// Counts the matches of a search, of which a page has been found.
    pub async fn count(
        pool: &PgPool,
        fields: &Fields,
        filter: &SearchFilter,
        found: &[FoundExecution],
        rows: i32,
    ) -> Result<Matches, Problem> {
        let page = Matches::of(found, rows);
        let first = fields.get("after").is_none();
        if first && !page.open || *filter == SearchFilter::default() {
            return Ok(page);
        }
        Ok(Matches::of(&Engine::search(pool, filter, COUNTED, None).await?, COUNTED))
    }

    fn of(found: &[FoundExecution], most: i32) -> Matches {
        let number = found.iter().filter(|row| row.execution.is_some()).count();
        Matches { number: number as i64, open: found.len() >= most as usize || number < found.len() }
    }

    fn is_none(self) -> bool {
        self.number == 0 && !self.open
    }

    /// Returns the question whether an action should be applied to them.
    fn question(self) -> String {
        match (self.number, self.open) {
            (number, true) => format!("{{action}} all executions that match, at least {}?", page::number(number)),
            (1, false) => "{action} 1 execution?".to_owned(),
            (number, false) => format!("{{action}} {} executions?", page::number(number)),
        }
    }

    fn title(self) -> String {
        match (self.number, self.open) {
            (number, true) => format!("With all that match, at least {}", page::number(number)),
            (1, false) => "With the one that matches".to_owned(),
            (number, false) => format!("With all {} that match", page::number(number)),
        }
    }
}

/// What a rerun can do for the executions with the statuses of a search.
#[derive(Debug, PartialEq, Eq)]
enum Reruns {
    All,
    Some,
    None,
}

fn reruns(fields: &Fields) -> Reruns {
    use ExecutionStatus::{Abandoned, Cancelled, Failed, Timeout};
    let can = |status: &str| [Failed, Timeout, Abandoned, Cancelled].iter().any(|can| can.as_str() == status);
    let mut statuses = fields.all("status").peekable();
    match statuses.peek().is_some() {
        false => Reruns::Some,
        true => {
            let can: Vec<bool> = statuses.map(can).collect();
            match (can.contains(&true), can.contains(&false)) {
                (true, false) => Reruns::All,
                (true, true) => Reruns::Some,
                (false, _) => Reruns::None,
            }
        }
    }
}

/// Returns the form.
pub fn form(app: &App, fields: &Fields, visit: &Visit, matches: Matches) -> Markup {
    let sent = visit.sent("all");
    let Ok(filter) = filter::of_job(fields) else { return html! {} };
    if matches.is_none() && !sent.is_some() {
        return html! {};
    }
    let content = if filter.as_object().is_none_or(|filter| filter.is_empty()) {
        html! { p.dim { "Search for something first: a job cannot apply to every execution." } }
    } else if fields.all("status").all(|status| status == ExecutionStatus::Completed.as_str())
        && fields.all("status").next().is_some()
    {
        html! { p.dim { "Nothing can be done with executions that have completed." } }
    } else {
        let reruns = reruns(fields);
        html! {
            p { "A bulk job applies the action to every execution that exists now and matches this search, including those on other pages:" }
            p { (filter::words(&filter, &app.masks)) }
            @if reruns != Reruns::None { p.dim { (RERUN) } }
            (sent.form("all", "/jobs", visit.address(), html! {
                (page::hidden("filter", &filter.to_string()))
                div.bulk {
                    label { "Do" select name="action" required {
                        @if reruns != Reruns::All { option value="" { "Choose…" } }
                        @for (value, label) in ACTIONS {
                            @if value != "rerun" || reruns != Reruns::None {
                                option value=(value) selected[sent.chose("action", value, false)] { (label) }
                            }
                        }
                    } }
                    label { "Reason" input name="reason" maxlength="500" value=[sent.value("reason", None)]; }
                    details #signal-all open[sent.chose("action", "signal", false)] { summary { "For a signal" }
                        label { "Signal" input name="signal" value=[sent.value("signal", None)]; }
                        label { "Payload (JSON; null if empty)" input name="payload" value=[sent.value("payload", None)]; }
                    }
                    button data-confirm=(matches.question()) { "Create a bulk job" }
                }
            }))
        }
    };
    html! {
        section.card aria-labelledby="all-title" {
            h2 #all-title { (matches.title()) }
            (content)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_how_many() {
        let asked = |number, open| Matches { number, open }.question();
        assert_eq!(asked(250, false), "{action} 250 executions?");
        assert_eq!(asked(1, false), "{action} 1 execution?");
        assert_eq!(asked(1000, true).replace('\u{202f}', " "), "{action} all executions that match, at least 1 000?");
    }

    #[test]
    fn a_rerun_is_offered_where_it_is_possible() {
        let of = |query: &str| reruns(&Fields::of(&format!("/x?{query}").parse().unwrap()));
        assert_eq!(of("status=failed&status=timeout"), Reruns::All);
        assert_eq!(of("status=failed&status=running"), Reruns::Some);
        assert_eq!(of("workflow=a.b"), Reruns::Some);
        assert_eq!(of("status=running"), Reruns::None);
    }
}
