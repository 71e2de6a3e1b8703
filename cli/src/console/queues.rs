//! Queues: what waits for a worker, what nobody serves, and the first tasks in line.

use super::app::App;
use super::form::encoded;
use super::page;
use super::problem::Problem;
use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};
use pg_workflow_client::model::Hold;
use pg_workflow_client::{Engine, Page as Range, QueueSummary, QueuedTask};
use sqlx::PgPool;

/// How long the tasks of an action may wait without any worker having one, before the page points it out.
const UNSERVED: TimeDelta = TimeDelta::seconds(30);

/// Number of queued tasks shown.
const ROWS: i32 = 50;

/// The queue of an action.
pub struct Queue {
    pub summary: QueueSummary,
    pub state: State,
}

/// Whether the tasks of a queue can be expected to begin.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    Served,
    Held,
    /// No worker has a task of the action, although some have waited for a while; and when one was last claimed.
    Unserved(Option<DateTime<Utc>>),
}

/// Reads the queues, longest waiting first.
pub async fn read(pool: &PgPool) -> Result<Vec<Queue>, Problem> {
    let summaries = Engine::queue_summary(pool).await?;
    if summaries.is_empty() {
        return Ok(Vec::new());
    }
    let served = Engine::served_actions(pool).await?;
    let holds = Engine::list_holds(pool, Range::of(1000)).await?;
    let now = Utc::now();
    let mut queues: Vec<Queue> =
        summaries.into_iter().map(|summary| Queue { state: state(&summary, &served, &holds, now), summary }).collect();
    let unserved = queues.iter().filter(|queue| queue.is_unserved());
    let unserved: Vec<String> = unserved.map(|queue| queue.summary.action_ref.clone()).collect();
    if !unserved.is_empty() {
        for last in Engine::last_claims(pool, &unserved).await? {
            let queue = queues.iter_mut().find(|queue| queue.summary.action_ref == last.action_ref);
            queue.into_iter().for_each(|queue| queue.state = State::Unserved(last.claimed));
        }
    }
    Ok(queues)
}

fn state(queue: &QueueSummary, served: &[String], holds: &[Hold], now: DateTime<Utc>) -> State {
    let holds_it =
        |hold: &Hold| hold.target == "everything" || hold.target == "action" && hold.name == queue.action_ref;
    if holds.iter().any(holds_it) {
        State::Held
    } else if now - queue.oldest > UNSERVED && !served.contains(&queue.action_ref) {
        State::Unserved(None)
    } else {
        State::Served
    }
}

impl Queue {
    pub fn is_unserved(&self) -> bool {
        matches!(self.state, State::Unserved(_))
    }

    /// Says what is wrong with it, if anything is.
    fn badge(&self) -> Markup {
        match self.state {
            State::Served => html! {},
            State::Held => html! { a.tag href="/limits" { "held" } },
            State::Unserved(last) => html! { span.warn { "no worker serves this action" } " " (claimed(last)) },
        }
    }

    fn address(&self) -> String {
        format!("/work?action={}#waiting", encoded(&self.summary.action_ref))
    }
}

fn claimed(last: Option<DateTime<Utc>>) -> Markup {
    html! { span.dim {
        @match last {
            Some(last) => { "last claimed " (page::time(last)) },
            None => "none of its recent tasks was claimed",
        }
    } }
}

/// Shows what is waiting for a worker, and what seems to be waiting in vain.
pub fn table(queues: &[Queue]) -> Markup {
    if queues.is_empty() {
        return page::nothing("Nothing waits for a worker.");
    }
    let rows = html! { @for queue in queues {
        tr {
            td { a href=(queue.address()) { code { (queue.summary.action_ref) } } }
            td.number data-head="ready" { (page::number(queue.summary.ready)) }
            td data-head="first queued" { (page::time(queue.summary.oldest)) }
            td.wide { (queue.badge()) }
        }
    } };
    page::wrapped_table("Queues", &["Action", "#Ready", "First queued", "Workers"], &rows)
}

/// Says which queues nobody serves.
pub fn unserved(queues: &[Queue]) -> Markup {
    html! { @for queue in queues {
        @if let State::Unserved(last) = queue.state {
            p.error {
                a href=(queue.address()) { (queue.summary.action_ref) }
                ": no worker serves this action. "
                (page::number(queue.summary.ready)) @if queue.summary.ready == 1 { " task waits" } @else { " tasks wait" }
                "; the first was queued " (page::time(queue.summary.oldest)) "; " (claimed(last))
            }
        }
    } }
}

/// Shows the tasks of an action that are first in line.
pub async fn waiting(app: &App, pool: &PgPool, action: &str) -> Result<Markup, Problem> {
    let tasks = Engine::queued_tasks(pool, action, ROWS).await?;
    if tasks.is_empty() {
        return Ok(page::nothing("None of its tasks waits for a worker."));
    }
    let rows = html! { @for task in &tasks { (row(task)) } };
    Ok(html! {
        (page::table("Waiting tasks", &["Task", "Execution", "Queued"], &rows))
        @if tasks.len() >= ROWS as usize { p.dim { "The first " (ROWS) "." } }
        @if !app.read_only { p.dim { "They begin once a worker that serves the action is running." } }
    })
}

fn row(task: &QueuedTask) -> Markup {
    html! { tr {
        td { a href=(format!("/executions/{}/tasks/{}", task.execution, task.task)) { (task.task_name) @if let Some(index) = task.task_index { "[" (index) "]" } } }
        td { (page::execution(task.execution)) }
        td { (page::time(task.since)) }
    } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_nobody_serves_is_told_from_one_that_is_held_or_new() {
        let now = Utc::now();
        let queue = |seconds| QueueSummary {
            action_ref: "shop.mail".into(),
            ready: 1,
            oldest: now - TimeDelta::seconds(seconds),
        };
        let served = ["shop.mail".to_owned()];
        assert_eq!(state(&queue(31), &[], &[], now), State::Unserved(None));
        assert_eq!(state(&queue(29), &[], &[], now), State::Served);
        assert_eq!(state(&queue(31), &served, &[], now), State::Served);
        let hold = |target: &str, name: &str| Hold {
            id: 1,
            target: target.into(),
            name: name.into(),
            key: String::new(),
            until: now,
            reason: None,
            author: "x".into(),
            created: now,
        };
        assert_eq!(state(&queue(31), &[], &[hold("action", "shop.mail")], now), State::Held);
        assert_eq!(state(&queue(31), &[], &[hold("everything", "")], now), State::Held);
        assert_eq!(state(&queue(31), &[], &[hold("action", "shop.other")], now), State::Unserved(None));
    }
}
