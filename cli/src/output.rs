//! Printing: colors only where they are wanted, no control characters from files, and an early exit if nobody reads the
//! output any longer.

pub mod queue;

use clap::ColorChoice;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

static COLORED: AtomicBool = AtomicBool::new(false);
static COLORED_ERRORS: AtomicBool = AtomicBool::new(false);

/// Decides whether to use colors: by the option, then by `NO_COLOR` and `TERM`, then by the kind of output.
pub fn choose_color(choice: ColorChoice) {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    let decide = |terminal: bool| match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && !unwanted,
    };
    COLORED.store(decide(std::io::stdout().is_terminal()), Ordering::Relaxed);
    COLORED_ERRORS.store(decide(std::io::stderr().is_terminal()), Ordering::Relaxed);
}

/// Whether standard output has colors.
pub fn colored() -> bool {
    COLORED.load(Ordering::Relaxed)
}

/// A style of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
}

/// Returns text in a style, if standard output has colors.
pub fn styled(style: Style, text: &str) -> String {
    if colored() { paint(style, text) } else { text.to_owned() }
}

fn paint(style: Style, text: &str) -> String {
    let code = match style {
        Style::Plain => return text.to_owned(),
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Red => "31",
        Style::Green => "32",
        Style::Yellow => "33",
        Style::Blue => "34",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Returns the style that a status of an execution or task has.
pub fn style_of(status: &str) -> Style {
    match status {
        "completed" => Style::Green,
        "failed" | "timeout" | "abandoned" => Style::Red,
        "running" | "canceling" => Style::Blue,
        "cancelled" | "paused" => Style::Yellow,
        "skipped" | "pending" => Style::Dim,
        _ => Style::Plain,
    }
}

/// Returns text in which control characters are replaced: what a file or a database contains must not reach the
/// terminal as commands, or change the order in which other text is shown.
pub fn visible(text: &str) -> String {
    let reorders = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || reorders(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Prints a line, in which control characters are replaced.
pub fn line(text: &str) {
    print(&format!("{}\n", visible(text)));
}

/// Prints a line in a style.
pub fn styled_line(style: Style, text: &str) {
    print(&format!("{}\n", styled(style, &visible(text))));
}

/// Prints text as it is. Ends the program if nobody reads the output any longer, or if it can't be written for another
/// reason.
pub fn print(text: &str) {
    write(text.as_bytes());
}

/// Prints bytes, like `print`.
pub fn write(bytes: &[u8]) {
    if let Err(error) = try_write(bytes) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        fail(&error);
    }
}

/// Prints text like `print`, but lets the program continue if nobody reads the output any longer.
pub fn print_if_read(text: &str) {
    if let Err(error) = try_write(text.as_bytes())
        && error.kind() != ErrorKind::BrokenPipe
    {
        fail(&error);
    }
}

/// Ends the program because output can't be written.
fn fail(error: &std::io::Error) -> ! {
    // The terminal is gone, and SIGHUP is on its way.
    if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) && is_device() {
        std::process::exit(129);
    }
    self::error(&format!("cannot write output: {error}"));
    std::process::exit(2);
}

/// Prints bytes, and returns why that failed.
pub fn try_write(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn is_device() -> bool {
    let stat = rustix::fs::fstat(rustix::stdio::stdout());
    stat.is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_char_device())
}

/// Ends the program if nobody reads the output any longer, which writing would only notice once there is something to
/// print.
pub fn end_if_unread() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let out = rustix::stdio::stdout();
    let mut polled = [PollFd::new(&out, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A pipe without a reader reports an error.
    if poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().contains(PollFlags::ERR) {
        std::process::exit(0);
    }
}

/// Prints an error message.
pub fn error(text: &str) {
    note("error", Style::Red, text);
}

/// Prints a warning.
pub fn warning(text: &str) {
    note("warning", Style::Yellow, text);
}

/// Prints text on standard error and ignores failures: without a reader, they could not be reported.
pub fn note(kind: &str, style: Style, text: &str) {
    queue::put(noted(kind, style, text).as_bytes());
}

fn noted(kind: &str, style: Style, text: &str) -> String {
    let kind = match COLORED_ERRORS.load(Ordering::Relaxed) {
        true => format!("\x1b[1m{}", paint(style, kind)),
        false => kind.to_owned(),
    };
    let text: Vec<String> = text.lines().map(visible).collect();
    format!("{kind}: {}\n", text.join("\n"))
}

/// Prints text on standard error as it is, and ignores failures.
pub fn aside(text: &str) {
    queue::put(text.as_bytes());
}

/// Returns a number with a noun: `1 error`, `2 errors`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_neither_command_the_terminal_nor_reorder_it() {
        assert_eq!(visible("a\x1b[2Jb\u{202e}c\u{2069}ä"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}ä");
    }
}
