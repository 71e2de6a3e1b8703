//! `pg-workflow timeline`: when the tasks of an execution ran.

use super::drawing::Drawing;
use super::{Many, One, rows};
use crate::connect::wait_for;
use crate::exit_status::{Ending, Failure};
use crate::output::{style_of, styled, visible};
use crate::picture::{self, Bar, Paint, took};
use crate::table;
use chrono::{DateTime, Utc};
use pg_workflow_client::{Engine, TaskDetail};

/// Show when the tasks of an execution ran
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("form").args(["mermaid", "json", "svg", "png"]))]
pub struct Timeline {
    /// Print a Gantt chart in Mermaid
    #[arg(long)]
    mermaid: bool,
    #[command(flatten)]
    drawing: Drawing,
    #[command(flatten)]
    many: Many,
}

/// Shows the timeline.
pub fn show(arguments: Timeline) -> crate::Ended {
    let Timeline { mermaid, drawing, many: Many { one: One { execution, json, connection }, limit } } = arguments;
    let kind = drawing.kind();
    drawing.admit(kind)?;
    if mermaid {
        let most = i32::try_from(limit).unwrap_or(10_000).clamp(1, 10_000);
        let text = wait_for(async {
            let mut session = connection.open().await?;
            Ok::<_, Failure>(Engine::timeline(&mut session, execution, most).await?)
        })??;
        drawing.put(text.as_bytes())?;
        return Ok(Ending::Good);
    }
    let tasks = wait_for(async {
        let mut session = connection.open().await?;
        rows(limit, async |page| Engine::list_tasks(&mut session, execution, page).await).await
    })??;
    let now = Utc::now();
    if json {
        let text = serde_json::to_string_pretty(&tasks).map_err(Failure::unusable)?;
        drawing.put(format!("{text}\n").as_bytes())?;
    } else if let Some(kind) = kind {
        drawing.draw(kind, drawn(execution, &tasks, now))?;
    } else {
        let width = table::columns().unwrap_or(100).saturating_sub(2);
        drawing.put(bars(&tasks, width, now).as_bytes())?;
    }
    Ok(Ending::Good)
}

/// Returns when the first of some tasks was created, and when the last of them ended. Those that have not ended extend
/// to now.
fn span(tasks: &[TaskDetail], now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let first = tasks.iter().map(|task| task.created).min()?;
    let last = tasks.iter().map(|task| task.completed_at.unwrap_or(now)).max()?;
    Some((first, last.max(first)))
}

/// Returns a picture with a bar for each task.
fn drawn(execution: i64, tasks: &[TaskDetail], now: DateTime<Utc>) -> String {
    let Some((first, last)) = span(tasks, now) else {
        return picture::bars(&format!("Execution {execution}: nothing has run yet"), 0, &[]);
    };
    let since = |time: DateTime<Utc>| (time - first).num_milliseconds().max(0);
    let bars = tasks.iter().map(|task| {
        let ended = task.completed_at.unwrap_or(now);
        let begun = task.started_at.map(since);
        let mut notes: Vec<String> = begun.map(|begun| took(since(ended) - begun)).into_iter().collect();
        if task.attempt > 1 {
            notes.push(format!("attempt {}", task.attempt));
        }
        if task.undoes.is_none() && task.closing {
            notes.push("closing".to_owned());
        }
        Bar {
            name: task.title(),
            notes: notes.join(", "),
            paint: Paint::of_status(task.summary.as_str()),
            created: since(task.created),
            begun,
            ended: since(ended),
        }
    });
    let bars: Vec<Bar> = bars.collect();
    let title = format!("Execution {execution}, from {} UTC", first.format("%Y-%m-%d %H:%M:%S"));
    picture::bars(&title, since(last), &bars)
}

/// Returns a bar for each task: waiting is dotted, running is solid.
fn bars(tasks: &[TaskDetail], width: usize, now: DateTime<Utc>) -> String {
    let Some((first, last)) = span(tasks, now) else { return String::new() };
    let whole = (last - first).num_milliseconds().max(1);
    let names = tasks.iter().map(|task| table::width(&task.title())).max().unwrap_or(0).min(30);
    let room = width.saturating_sub(names + 12).max(10);
    let at =
        |time: DateTime<Utc>| ((time - first).num_milliseconds() * room as i64 / whole).clamp(0, room as i64) as usize;
    let mut text = String::new();
    for task in tasks {
        let end = task.completed_at.unwrap_or(now);
        let begun = task.started_at.unwrap_or(end);
        let (created, begun, ended) = (at(task.created), at(begun), at(end));
        let solid = (ended - begun.min(ended)).max(usize::from(task.started_at.is_some()));
        let status = task.summary.as_str();
        let bar = format!("{}{}{}", " ".repeat(created), "·".repeat(begun - created.min(begun)), "█".repeat(solid));
        let name = table::shortened(&visible(&task.title()), names);
        let took = task.started_at.map(|begun| took((end - begun).num_milliseconds())).unwrap_or_default();
        let padding = " ".repeat(names.saturating_sub(table::width(&name)));
        text += &format!("{name}{padding}  {} {took}\n", styled(style_of(status), &format!("{bar:<room$}")));
    }
    text
}
