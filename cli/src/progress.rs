//! Progress bars on standard error: only on terminals, and only for what takes longer than a second.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Anything quicker needs no bar.
const SOON: Duration = Duration::from_secs(1);

/// A bar, or a counter if the total is unknown. It disappears when this value is dropped.
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    is_shown: bool,
}

impl Progress {
    /// Returns a bar for a known number of things.
    pub fn of(what: &'static str, total: usize) -> Progress {
        Progress::new(what, Some(total as u64), "{msg} {bar:30} {pos} of {len}, {eta} left")
    }

    /// Returns a counter for an unknown number of things.
    pub fn counting(what: &'static str) -> Progress {
        Progress::new(what, None, "{msg} {spinner} {pos}, {elapsed}")
    }

    /// Returns a bar without colors, which would mean nothing here.
    fn new(what: &'static str, total: Option<u64>, template: &str) -> Progress {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_message(what);
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("█▓░"));
        Progress { bar, begun: Instant::now(), is_shown: false }
    }

    /// Sets how many are done.
    pub fn set(&mut self, done: u64) {
        if !self.is_shown && self.begun.elapsed() >= SOON {
            self.is_shown = true;
            // It stays hidden if standard error is not a terminal.
            if std::env::var_os("TERM").is_none_or(|term| term != "dumb") {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
        }
        self.bar.set_position(done);
    }

    /// Sets the total, once it is known.
    pub fn grow(&mut self, total: u64) {
        self.bar.set_length(total);
    }

    /// Counts one more as done.
    pub fn one(&mut self) {
        self.set(self.bar.position() + 1);
    }

    /// Hides the bar while something else is printed.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
