//! When the tasks of an execution ran, as bars colored by style sheets: one for all items of a task, with retries and
//! undo marked.

use super::page;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use pg_workflow_client::{TaskCount, WorkflowStatus};

/// Width of a bar from the start of the execution to its end, and the least width of one.
const WIDTH: f64 = 1000.0;
const LEAST: f64 = 4.0;
const BAR: f64 = 16.0;

/// Maximum number of bars shown.
const BARS: usize = 100;

/// Draws the tasks that have begun. Those that have not ended extend to now.
pub fn draw(status: &WorkflowStatus, counts: &[TaskCount], now: DateTime<Utc>) -> Markup {
    let now = if status.ended { status.updated } else { now };
    let whole = (now - status.created).num_milliseconds().max(1) as f64;
    let at = |time: DateTime<Utc>| ((time - status.created).num_milliseconds() as f64 / whole).clamp(0.0, 1.0) * WIDTH;
    let mut begun: Vec<_> = counts.iter().filter_map(|count| Some((count, count.started_at?))).collect();
    let all = begun.len();
    begun.truncate(BARS);
    if begun.is_empty() {
        return page::nothing("Nothing has run yet.");
    }
    html! {
        (legend(&begun))
        // Only the bars are pictures: texts keep their size in a narrow window, where they are above the bars.
        ol.timeline { @for (count, start) in &begun {
            @let end = count.ended_at.unwrap_or(now);
            @let from = at(*start).min(WIDTH - LEAST);
            @let width = (at(end) - from).max(LEAST);
            li {
                span.name { (page::text(&name(count))) }
                (bar(count, from, width))
                span.took { (notes(count, page::took((end - *start).num_milliseconds()))) }
            }
        } }
        @if all > BARS { p.dim { "Only the first " (BARS) " of " (all) " tasks are shown." } }
    }
}

fn bar(count: &TaskCount, from: f64, width: f64) -> Markup {
    let (x, wide) = (format!("{from:.1}"), format!("{width:.1}"));
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {BAR}")) preserveAspectRatio="none" aria-hidden="true" {
            g class=(kind(count)) {
                rect class=(format!("b-{}", dominant_status(count))) x=(x) y="0" width=(wide) height=(BAR) {}
                @if let Some(share) = failed_share(count) {
                    rect.b-failed x=(x) y=(format!("{:.1}", BAR * (1.0 - share))) width=(wide) height=(format!("{:.1}", BAR * share)) {}
                }
            }
        }
    }
}

/// Explains the signs that occur.
fn legend(begun: &[(&TaskCount, DateTime<Utc>)]) -> Markup {
    let any = |has: fn(&TaskCount) -> bool| begun.iter().any(|(count, _)| has(count));
    let signs = [
        (any(|count| count.has_items || count.total > 1), "×3 number of items"),
        (any(|count| count.retries > 0), "↻ retries"),
        (any(|count| count.is_undo), "↶ undo"),
        (any(|count| count.closing && !count.is_undo), "⤓ closing"),
    ];
    html! {
        @if signs.iter().any(|(occurs, _)| *occurs) {
            p.legend.dim { @for (_, sign) in signs.iter().filter(|(occurs, _)| *occurs) { span { (sign) } } }
        }
    }
}

/// Returns the name of a bar, which distinguishes an undo from the task that it undoes, and several items from one.
fn name(count: &TaskCount) -> String {
    let items =
        if count.has_items || count.total > 1 { format!(" ×{}", page::number(count.total)) } else { String::new() };
    let mark = match count {
        TaskCount { is_undo: true, .. } => "↶ ",
        TaskCount { closing: true, .. } => "⤓ ",
        _ => "",
    };
    // The mark stands for the prefix.
    let name = if count.is_undo { count.task_name.trim_start_matches("undo:") } else { &count.task_name };
    format!("{mark}{name}{items}")
}

fn kind(count: &TaskCount) -> &'static str {
    match count {
        TaskCount { is_undo: true, .. } => "bar undo",
        TaskCount { closing: true, .. } => "bar closing",
        _ => "bar",
    }
}

/// Returns how long it took, with its failures and retries.
fn notes(count: &TaskCount, took: String) -> String {
    let mut notes = vec![took];
    if count.total > 1 && count.failed > 0 {
        notes.push(format!("{} failed", page::number(count.failed)));
    }
    if count.retries > 0 {
        notes.push(format!("↻ {}", page::number(count.retries)));
    }
    notes.join(", ")
}

/// Returns the share of its items that failed, if only some of them did.
fn failed_share(count: &TaskCount) -> Option<f64> {
    let some = count.total > 1 && (1..count.total).contains(&count.failed);
    some.then(|| (count.failed as f64 / count.total as f64).max(0.2))
}

/// Returns the status that stands for all rows of a task. If only some have failed, it is that of the others.
fn dominant_status(count: &TaskCount) -> &'static str {
    match count {
        TaskCount { running: 1.., .. } => "running",
        TaskCount { pending: 1.., .. } => "pending",
        TaskCount { failed: 1.., completed: 1.., .. } => "completed",
        TaskCount { failed: 1.., .. } => "failed",
        TaskCount { cancelled: 1.., .. } => "cancelled",
        TaskCount { completed: 1.., .. } => "completed",
        _ => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(change: impl FnOnce(&mut TaskCount)) -> TaskCount {
        let mut count = TaskCount {
            task_name: "ship".into(),
            is_undo: false,
            closing: false,
            has_items: false,
            total: 1,
            pending: 0,
            running: 0,
            completed: 1,
            failed: 0,
            skipped: 0,
            cancelled: 0,
            retries: 0,
            first_task: 1,
            child_execution: None,
            started_at: None,
            ended_at: None,
        };
        change(&mut count);
        count
    }

    #[test]
    fn items_retries_undo_and_closing_are_told_apart() {
        let told =
            |count: TaskCount| (name(&count), kind(&count), notes(&count, "1 s".into()), dominant_status(&count));
        assert_eq!(told(count(|_| {})), ("ship".into(), "bar", "1 s".into(), "completed"));
        let items = |count: &mut TaskCount| {
            (count.has_items, count.total, count.completed, count.failed, count.retries) = (true, 10, 7, 3, 2);
        };
        assert_eq!(told(count(items)), ("ship ×10".into(), "bar", "1 s, 3 failed, ↻ 2".into(), "completed"));
        assert_eq!(failed_share(&count(items)), Some(0.3));
        assert_eq!(failed_share(&count(|count| (count.completed, count.failed) = (0, 1))), None);
        assert_eq!(told(count(|count| (count.is_undo, count.task_name) = (true, "undo:ship".into()))).0, "↶ ship");
        assert_eq!(told(count(|count| count.closing = true)).1, "bar closing");
    }
}
