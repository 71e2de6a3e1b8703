//! A screen that is redrawn repeatedly, and that restores the terminal afterwards.

use crate::ending::Failure;
use crate::output;
use crate::stop::Stop;
use crate::table;
use std::io::IsTerminal;
use std::time::Duration;

/// The terminal's alternate screen, in use until this value is dropped.
pub struct Screen {
    stop: Stop,
}

impl Screen {
    /// Whether standard output is a terminal.
    pub fn is_possible() -> bool {
        std::io::stdout().is_terminal()
    }

    /// Switches to the alternate screen.
    pub fn open() -> Result<Screen, Failure> {
        let stop = Stop::new()?;
        output::print("\x1b[?1049h\x1b[?25l");
        Ok(Screen { stop })
    }

    /// Draws text: as many lines as there is room for.
    pub fn draw(&self, text: &str) {
        let rows = table::rows().unwrap_or(24);
        let mut frame = String::from("\x1b[H");
        for line in text.lines().take(rows.saturating_sub(1)) {
            frame += line;
            frame += "\x1b[K\r\n";
        }
        output::print(&(frame + "\x1b[J"));
    }

    /// Waits until it is time to draw again. Returns false if the program is to end.
    pub async fn pause(&mut self, duration: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(duration) => true,
            () = self.stop.asked() => false,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore.
        output::try_write(b"\x1b[?25h\x1b[?1049l").ok();
    }
}
