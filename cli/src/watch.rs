//! `pg-workflow watch`: follows an execution until it ends.

use crate::connect::{Connection, wait_for};
use crate::exit_status::{Ending, Failure};
use crate::inspect::{self, Layer, event_cells};
use crate::output::{self, Style, styled, visible};
use crate::picture;
use crate::screen::{Screen, more, share};
use crate::table;
use crate::work::interval;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{Engine, GraphFormat, Page, WorkflowStatus};
use serde_json::Value;
use sqlx::PgConnection;
use std::time::Duration;

/// Maximum number of tasks and reasons shown.
const SHOWN: i32 = 20;

/// Follow an execution until it ends
///
/// On a terminal: its graph with the status of each task, progress, and what it waits for. Otherwise, and with --json:
/// a line for each event. Exit status: 0 if it completed, 1 if it ended otherwise.
#[derive(clap::Args)]
pub struct Arguments {
    /// The execution
    #[arg(value_name = "ID", value_parser = inspect::execution_id)]
    execution: i64,
    /// How often to look
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print events as lines, even on a terminal
    #[arg(long)]
    events: bool,
    /// Print events as JSON, one on each line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Follows an execution.
pub fn run(arguments: Arguments) -> crate::Ended {
    let ended = wait_for(async {
        let mut session = arguments.connection.open_local().await?;
        if arguments.events || arguments.json || !Screen::is_possible() {
            return follow(&mut session, &arguments).await.map(Some);
        }
        let last = draw(&mut session, &arguments).await?;
        if let Some((frame, _)) = &last {
            output::print(frame);
        }
        Ok::<_, Failure>(last.map(|(_, status)| status))
    })??;
    Ok(match ended.map(|status| status.status) {
        None => Ending::Interrupted,
        Some(ExecutionStatus::Completed) => Ending::Good,
        Some(_) => Ending::Bad,
    })
}

/// Draws until the execution has ended. Returns the last picture, or nothing if it was interrupted.
async fn draw(session: &mut PgConnection, arguments: &Arguments) -> Result<Option<(String, WorkflowStatus)>, Failure> {
    let mut screen: Option<Screen> = None;
    loop {
        let (frame, status) = frame(session, arguments.execution).await?;
        if status.ended {
            return Ok(Some((frame, status)));
        }
        let screen = match &mut screen {
            Some(screen) => screen,
            none => none.insert(Screen::open()?),
        };
        screen.draw(&frame);
        if !screen.pause(arguments.interval).await {
            return Ok(None);
        }
    }
}

/// Returns what is shown. While the execution runs, its parts share the screen.
async fn frame(session: &mut PgConnection, execution: i64) -> Result<(String, WorkflowStatus), Failure> {
    let status = Engine::status(&mut *session, execution).await?;
    let graph = Engine::execution_graph(&mut *session, execution, GraphFormat::Dot).await?;
    let mut reasons = Vec::new();
    if !status.ended {
        for reason in Engine::why(&mut *session, execution, SHOWN).await? {
            let hint = reason.hint.as_ref().map(|hint| indented(4, Style::Dim, hint)).unwrap_or_default();
            reasons.push(indented(2, Style::Plain, &reason.to_string()) + &hint);
        }
    }
    let tasks = Engine::list_tasks(&mut *session, execution, Page::of(10_000)).await?;
    let moving = tasks.iter().filter(|task| task.completed_at.is_none());
    let bars =
        moving.filter_map(|task| Some(format!("  {} {}\n", visible(&task.title()), progress(task.progress.as_ref()?))));
    let bars: Vec<String> = bars.take(SHOWN as usize).collect();
    let layers = inspect::graph_layers(&picture::of_dot(&graph));
    let heights = [height(&reasons), height(&bars), layers.iter().map(Layer::height).sum()];
    // The first line and the one above the graph are always there.
    let shares = if status.ended { heights.to_vec() } else { share(Screen::room().saturating_sub(2), &heights) };
    let mut text = inspect::headline(&status) + &first(&reasons, shares[0]) + &first(&bars, shares[1]);
    if let Some(output) = &status.output {
        text += &indented(2, Style::Plain, &format!("output {output}"));
    }
    if let Some(message) = &status.error_message {
        text += &indented(2, Style::Red, message);
    }
    text += &format!("\n{}", around(&layers, shares[2]));
    Ok((text, status))
}

fn height(blocks: &[String]) -> usize {
    blocks.iter().map(|block| block.lines().count()).sum()
}

/// Returns the first blocks that fit into this many lines.
fn first(blocks: &[String], room: usize) -> String {
    if height(blocks) <= room {
        return blocks.concat();
    }
    let fit = (0..blocks.len()).take_while(|count| height(&blocks[..count + 1]) < room).count();
    blocks[..fit].concat() + &dim(&more(blocks.len() - fit))
}

fn dim(text: &str) -> String {
    format!("  {}\n", styled(Style::Dim, text))
}

/// Returns text in lines of the terminal, the first of which is indented by this much.
fn indented(indent: usize, style: Style, text: &str) -> String {
    let most = table::columns().unwrap_or(usize::MAX).saturating_sub(indent);
    let text = visible(text);
    let lines = table::folded(text.split(' '), " ", most, 2);
    lines.lines().map(|line| format!("{}{}\n", " ".repeat(indent), styled(style, line))).collect()
}

/// Returns the layers of a graph around the first that runs, as many as fit into this many lines.
fn around(layers: &[Layer], room: usize) -> String {
    let height = |layers: &[Layer]| layers.iter().map(Layer::height).sum::<usize>();
    let show = |layers: &[Layer]| layers.iter().map(|layer| layer.text.as_str()).collect::<String>();
    if height(layers) <= room {
        return show(layers);
    }
    // Two lines say what is missing.
    let room = room.saturating_sub(2);
    let first = layers.iter().position(|layer| layer.runs).unwrap_or(0);
    let (mut from, mut to) = (first, (first + 1).min(layers.len()));
    loop {
        let before = from;
        let after = to;
        if to < layers.len() && height(&layers[from..to + 1]) <= room {
            to += 1;
        }
        if from > 0 && height(&layers[from - 1..to]) <= room {
            from -= 1;
        }
        if (before, after) == (from, to) {
            break;
        }
    }
    let missing = |count: usize, place: &str| match count {
        0 => String::new(),
        count => dim(&format!("{} {place}", more(count))),
    };
    format!("{}{}{}", missing(from, "above"), show(&layers[from..to]), missing(layers.len() - to, "below"))
}

/// Returns progress as a bar if it is a percentage, or as it is.
fn progress(progress: &Value) -> String {
    let percent =
        progress.get("percent").unwrap_or(progress).as_f64().filter(|percent| (0.0..=100.0).contains(percent));
    match percent {
        Some(percent) => {
            let full = (percent / 5.0) as usize;
            format!("[{}{}] {percent:.0} %", "█".repeat(full), "·".repeat(20 - full))
        }
        None => visible(&table::shortened(&progress.to_string(), 80)),
    }
}

/// Prints events as they come, until the execution has ended.
async fn follow(session: &mut PgConnection, arguments: &Arguments) -> Result<WorkflowStatus, Failure> {
    let mut after = None;
    loop {
        // The status is queried first, so that events between the two calls are always printed.
        let status = Engine::status(&mut *session, arguments.execution).await?;
        loop {
            let page = Page { max_rows: 1000, after };
            let events = Engine::list_events(&mut *session, arguments.execution, page).await?;
            for event in &events {
                match arguments.json {
                    true => output::print(&format!("{}\n", serde_json::to_string(event).map_err(Failure::unusable)?)),
                    false => {
                        let cells = event_cells(event).into_iter().filter(|(text, _)| !text.is_empty());
                        let cells: Vec<String> = cells.map(|(text, style)| styled(style, &visible(&text))).collect();
                        output::print(&format!("{}\n", cells.join("  ")));
                    }
                }
            }
            let Some(last) = events.last() else { break };
            after = Some(last.id);
        }
        if status.ended {
            if !arguments.json {
                output::print(&inspect::headline(&status));
            }
            return Ok(status);
        }
        tokio::time::sleep(arguments.interval).await;
        output::end_if_unread();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_shown_around_what_runs() {
        let layers: Vec<Layer> =
            (0..20).map(|number| Layer { text: format!("  {number}\n"), runs: number == 10 }).collect();
        assert_eq!(around(&layers, 20).lines().count(), 20);
        let blocks = ["1\n2\n".to_owned(), "3\n".to_owned(), "4\n".to_owned()];
        assert_eq!(
            (first(&blocks, 4), first(&blocks, 3)),
            ("1\n2\n3\n4\n".to_owned(), "1\n2\n  … and 2 more\n".to_owned())
        );
        let shown = around(&layers, 7);
        assert_eq!(shown, "  … and 8 more above\n  8\n  9\n  10\n  11\n  12\n  … and 7 more below\n");
    }
}
