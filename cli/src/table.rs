//! Tables for people.

use crate::output::{self, Style, styled, visible};
use chrono::{DateTime, Local, Utc};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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

/// Width to which a column may shrink if the terminal is too narrow.
const NARROW: usize = 12;

/// Returns how many columns of a terminal a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Returns a table: columns as wide as they need to be. If the terminal is too narrow, the last one gives way, then the
/// widest ones.
pub fn table(head: &[&str], rows: &[Vec<Cell>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|name| width(name)).collect();
    let rows: Vec<Vec<Cell>> =
        rows.iter().map(|row| row.iter().map(|(text, style)| (visible(text), *style)).collect()).collect();
    for row in &rows {
        for (widest, (text, _)) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(text));
        }
    }
    let room = columns().unwrap_or(usize::MAX);
    fit(&mut widths, room);
    let head: Vec<Cell> = head.iter().map(|name| ((*name).to_owned(), Style::Bold)).collect();
    let lines = [&head].into_iter().chain(&rows);
    lines.map(|cells| format!("{}\n", cut(line(cells, &widths).trim_end(), room))).collect()
}

/// Makes columns narrower until they fit, if they can.
fn fit(widths: &mut [usize], room: usize) {
    let over =
        |widths: &[usize]| (widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)).saturating_sub(room);
    if let (excess, Some(last)) = (over(widths), widths.last_mut()) {
        *last -= excess.min(last.saturating_sub(NARROW));
    }
    while over(widths) > 0
        && let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > NARROW)
    {
        *widest -= 1;
    }
}

fn line(cells: &[Cell], widths: &[usize]) -> String {
    let mut line = String::new();
    for (number, ((text, style), room)) in cells.iter().zip(widths).enumerate() {
        if number > 0 {
            line.push_str("  ");
        }
        let text = shortened(text, *room);
        line.push_str(&styled(*style, &text));
        line.extend(std::iter::repeat_n(' ', room.saturating_sub(width(&text))));
    }
    line
}

/// Returns the beginning of a text, as much as fits into this many columns.
pub fn shortened(text: &str, most: usize) -> String {
    cut(text, most)
}

/// Returns the beginning of a line, as much as fits into this many columns. Its styles take no room, and end with it.
pub fn cut(line: &str, most: usize) -> String {
    const END: &str = "\x1b[0m";
    let plain = if line.contains('\x1b') { unstyled(line) } else { line.to_owned() };
    if width(&plain) <= most {
        return line.to_owned();
    }
    let (mut text, mut used, mut in_style) = (String::new(), 0, false);
    for c in line.chars() {
        let wide = if in_style || c == '\x1b' { 0 } else { c.width().unwrap_or(0) };
        if used + wide >= most {
            break;
        }
        in_style = c == '\x1b' || in_style && c != 'm';
        text.push(c);
        used += wide;
    }
    if most > 0 {
        text.push('…');
    }
    if line.contains('\x1b') { text + END } else { text }
}

fn unstyled(line: &str) -> String {
    let mut in_style = false;
    let is_text = |c: &char| {
        let before = in_style;
        in_style = *c == '\x1b' || in_style && *c != 'm';
        !before && !in_style
    };
    line.chars().filter(is_text).collect()
}

/// Returns words in lines of at most this many columns. All but the first are indented by this many more spaces.
pub fn folded<'w>(words: impl IntoIterator<Item = &'w str>, between: &str, most: usize, indent: usize) -> String {
    let (mut text, mut used) = (String::new(), 0);
    for word in words {
        let wide = width(&unstyled(word));
        if used > indent && used + between.len() + wide > most {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        } else if used > 0 {
            text += between;
            used += between.len();
        }
        text += word;
        used += wide;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_are_not_printed() {
        let rows = [vec![cell(1), cell("a\x1b[31m")], vec![cell(100), cell("")]];
        assert_eq!(table(&["ID", "NAME"], &rows), "ID   NAME\n1    a\u{fffd}[31m\n100\n");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = [vec![cell("値段"), cell("x")], vec![cell("ab"), cell("y")]];
        assert_eq!(table(&["A", "B"], &rows), "A     B\n値段  x\nab    y\n");
        assert_eq!(shortened("値段表", 5), "値段…");
        assert_eq!(shortened("値段表", 6), "値段表");
    }

    #[test]
    fn columns_give_way_to_the_terminal() {
        let mut widths = [5, 30, 40];
        fit(&mut widths, 60);
        assert_eq!(widths, [5, 30, 21]);
        fit(&mut widths, 40);
        assert_eq!((widths.iter().sum::<usize>(), widths[0]), (36, 5));
        fit(&mut widths, 10);
        assert_eq!(widths, [5, 12, 12]);
    }

    #[test]
    fn a_line_is_cut_without_its_styles_being_counted() {
        assert_eq!(cut("\x1b[1mabc\x1b[0m def", 7), "\x1b[1mabc\x1b[0m def");
        assert_eq!(cut("\x1b[1mabcdef\x1b[0m", 4), "\x1b[1mabc…\x1b[0m");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn what_is_folded_is_indented() {
        assert_eq!(folded(["aa", "\x1b[1mbb\x1b[0m", "cc"], "  ", 6, 2), "aa  \x1b[1mbb\x1b[0m\n  cc");
        assert_eq!(folded(["long word"], " ", 3, 2), "long word");
    }
}
