//! Tables for people.

use crate::output::{self, Style, styled, visible};
use chrono::{DateTime, Local, Utc};

/// A cell: text and its style.
pub type Cell = (String, Style);

/// Returns a plain cell.
pub fn cell(text: impl ToString) -> Cell {
    (text.to_string(), Style::Plain)
}

/// Returns a cell with a status, in its color.
pub fn status(status: impl ToString) -> Cell {
    let status = status.to_string();
    let style = output::style_of(&status);
    (status, style)
}

/// Returns a cell for an optional value.
pub fn optional(text: Option<impl ToString>) -> Cell {
    text.map_or_else(|| (String::new(), Style::Plain), cell)
}

/// Returns a point in time in local notation.
pub fn time(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns a point in time near now: the time of day alone, if it is today.
pub fn clock(at: DateTime<Utc>) -> String {
    let (at, now) = (at.with_timezone(&Local), Local::now());
    let format = if at.date_naive() == now.date_naive() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    at.format(format).to_string()
}

/// Returns how long ago something was, roughly.
pub fn ago(time: DateTime<Utc>) -> String {
    let seconds = (Utc::now() - time).num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// Returns how many columns a line may have: those of the terminal, if standard output is one.
pub fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Returns how many lines the terminal has.
pub fn rows() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    Some(usize::from(size.ws_row)).filter(|rows| *rows > 0)
}

/// Returns a table: columns as wide as they need to be, the last one as wide as the terminal allows.
pub fn table(head: &[&str], rows: &[Vec<Cell>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
    let rows: Vec<Vec<Cell>> =
        rows.iter().map(|row| row.iter().map(|(text, style)| (visible(text), *style)).collect()).collect();
    for row in &rows {
        for (width, (text, _)) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let room = columns().unwrap_or(usize::MAX);
    let mut lines =
        vec![line(&head.iter().map(|name| ((*name).to_owned(), Style::Bold)).collect::<Vec<_>>(), &widths, room)];
    lines.extend(rows.iter().map(|row| line(row, &widths, room)));
    lines.concat()
}

fn line(cells: &[Cell], widths: &[usize], room: usize) -> String {
    let mut line = String::new();
    let mut used = 0;
    for (number, ((text, style), width)) in cells.iter().zip(widths).enumerate() {
        if number > 0 {
            line.push_str("  ");
            used += 2;
        }
        let last = number + 1 == cells.len();
        let text = shortened(text, room.saturating_sub(used));
        let padding = if last { 0 } else { width.saturating_sub(text.chars().count()) };
        line.push_str(&styled(*style, &text));
        line.extend(std::iter::repeat_n(' ', padding));
        used += text.chars().count() + padding;
    }
    format!("{}\n", line.trim_end())
}

/// Returns the first characters of a text.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_are_not_printed() {
        let rows = [vec![cell(1), cell("a\x1b[31m")], vec![cell(100), cell("")]];
        assert_eq!(table(&["ID", "NAME"], &rows), "ID   NAME\n1    a\u{fffd}[31m\n100\n");
    }
}
