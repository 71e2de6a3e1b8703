//! `pg-workflow timeline`: when the tasks of an execution ran.

use super::{Many, One, rows};
use crate::connect::wait_for;
use crate::ending::{Ending, Failure};
use crate::output::{self, style_of, styled, visible};
use crate::table;
use chrono::{DateTime, Utc};
use pg_workflow_client::{Engine, TaskDetail};

/// Show when the tasks of an execution ran
#[derive(clap::Args)]
pub struct Timeline {
    /// Print a Gantt chart in Mermaid
    #[arg(long, conflicts_with = "json")]
    mermaid: bool,
    #[command(flatten)]
    many: Many,
}

/// Shows the timeline.
pub fn show(arguments: Timeline) -> crate::Ended {
    let Many { one: One { execution, json, connection }, limit } = arguments.many;
    if arguments.mermaid {
        let most = i32::try_from(limit).unwrap_or(10_000).clamp(1, 10_000);
        let text = wait_for(async {
            let mut session = connection.open().await?;
            Ok::<_, Failure>(Engine::timeline(&mut session, execution, most).await?)
        })??;
        output::print(&text);
        return Ok(Ending::Good);
    }
    let tasks = wait_for(async {
        let mut session = connection.open().await?;
        rows(limit, async |page| Engine::list_tasks(&mut session, execution, page).await).await
    })??;
    if json {
        return super::print(true, &tasks, &[], |_| Vec::new());
    }
    let width = table::columns().unwrap_or(100).saturating_sub(2);
    output::print(&bars(&tasks, width, Utc::now()));
    Ok(Ending::Good)
}

/// Returns a bar for each task: waiting is dotted, running is solid.
fn bars(tasks: &[TaskDetail], width: usize, now: DateTime<Utc>) -> String {
    let Some(first) = tasks.iter().map(|task| task.created).min() else { return String::new() };
    let last = tasks.iter().map(|task| task.completed_at.unwrap_or(now)).max().unwrap_or(now);
    let whole = (last - first).num_milliseconds().max(1);
    let names = tasks.iter().map(|task| task.title().chars().count()).max().unwrap_or(0).min(30);
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
        let took = seconds((end - task.started_at.unwrap_or(end)).num_milliseconds());
        text += &format!("{name:<names$}  {} {took}\n", styled(style_of(status), &format!("{bar:<room$}")));
    }
    text
}

fn seconds(milliseconds: i64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds}ms"),
        1000..60_000 => format!("{:.1}s", milliseconds as f64 / 1000.0),
        _ => format!("{}m{:02}s", milliseconds / 60_000, milliseconds / 1000 % 60),
    }
}
