//! How far something has got, on standard error: only on a terminal, and only once it has taken a second.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// What takes less is not worth a bar.
const SOON: Duration = Duration::from_secs(1);

/// A bar, or a count if nobody knows how much there is to do. It goes when this is dropped.
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    is_shown: bool,
}

impl Progress {
    /// Returns one for so many things.
    pub fn of(what: &'static str, total: usize) -> Progress {
        Progress::new(what, Some(total as u64), "{msg} {bar:30} {pos} of {len}, {eta} left")
    }

    /// Returns one for an unknown number of things.
    pub fn counting(what: &'static str) -> Progress {
        Progress::new(what, None, "{msg} {spinner} {pos}, {elapsed}")
    }

    /// Colors say nothing here, so there are none.
    fn new(what: &'static str, total: Option<u64>, template: &str) -> Progress {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_message(what);
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("█▓░"));
        Progress { bar, begun: Instant::now(), is_shown: false }
    }

    /// Says how many are done.
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

    /// Says how many there are, once that is known.
    pub fn grow(&mut self, total: u64) {
        self.bar.set_length(total);
    }

    /// Says that one more is done.
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
