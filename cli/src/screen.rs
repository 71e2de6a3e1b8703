//! A screen that is redrawn repeatedly, and that restores the terminal afterwards.

use crate::exit_status::Failure;
use crate::output;
use crate::stop::Stop;
use crate::table::{self, cut};
use rustix::process::{Pid, getpgid, getpgrp, getpid, getppid, getsid, kill_process};
use std::io::IsTerminal;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The terminal's alternate screen, in use until this value is dropped.
pub struct Screen {
    stop: Stop,
    resized: Signal,
    suspended: Signal,
}

impl Screen {
    /// Whether standard output is a terminal that can be redrawn.
    pub fn is_possible() -> bool {
        std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Switches to the alternate screen.
    pub fn open() -> Result<Screen, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::unusable);
        let suspended = listen(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?;
        let screen = Screen { stop: Stop::new()?, resized: listen(SignalKind::window_change())?, suspended };
        output::print(ENTER);
        Ok(screen)
    }

    /// Returns how many lines can be drawn.
    pub fn room() -> usize {
        table::rows().unwrap_or(24).saturating_sub(1)
    }

    /// Draws text: as many lines as there is room for, each as far as there is room for it.
    pub fn draw(&self, text: &str) {
        let columns = table::columns().unwrap_or(80);
        let lines: Vec<&str> = text.lines().collect();
        let mut frame = String::from("\x1b[H");
        let mut add = |line: &str| frame += &format!("{}\x1b[K\r\n", cut(line, columns));
        if lines.len() <= Screen::room() {
            lines.iter().for_each(|line| add(line));
        } else {
            let fit = Screen::room().saturating_sub(1);
            lines[..fit].iter().for_each(|line| add(line));
            add(&more(lines.len() - fit));
        }
        output::print(&(frame + "\x1b[J"));
    }

    /// Waits until it is time to draw again. Returns false if the program is to end.
    pub async fn pause(&mut self, duration: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(duration) => true,
            _ = self.resized.recv() => true,
            _ = self.suspended.recv() => {
                suspend();
                true
            }
            () = self.stop.asked() => false,
        }
    }
}

/// Returns what stands for lines that don't fit.
pub fn more(lines: usize) -> String {
    format!("… and {lines} more")
}

/// Divides lines among sections that want these numbers of them: each gets as many as the others, or as many as it
/// wants.
pub fn share(mut room: usize, wanted: &[usize]) -> Vec<usize> {
    let mut shares = vec![0; wanted.len()];
    while room > 0 && shares != wanted {
        for (share, wanted) in shares.iter_mut().zip(wanted) {
            if *share < *wanted && room > 0 {
                *share += 1;
                room -= 1;
            }
        }
    }
    shares
}

/// Gives the terminal back until the shell continues the program.
fn suspend() {
    if !may_be_continued() {
        return;
    }
    output::print(LEAVE);
    let _ = kill_process(getpid(), rustix::process::Signal::STOP);
    output::print(ENTER);
}

/// Whether a shell of this session looks after the program's process group. Without one, as under `ssh -t`, nobody
/// could continue the program, and ^Z has no effect on other programs either.
fn may_be_continued() -> bool {
    let (Ok(session), group) = (getsid(None), getpgrp()) else { return false };
    let mut parent = getppid();
    while let Some(process) = parent
        && getsid(Some(process)) == Ok(session)
    {
        if getpgid(Some(process)) != Ok(group) {
            return true;
        }
        parent = parent_of(process);
    }
    false
}

fn parent_of(process: Pid) -> Option<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Pid::from_raw(parent.trim().parse().ok()?)
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore.
        output::try_write(LEAVE.as_bytes()).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn lines_are_shared() {
        assert_eq!(share(10, &[1, 20, 4]), [1, 5, 4]);
        assert_eq!(share(10, &[1, 2]), [1, 2]);
        assert_eq!(share(1, &[3, 3]), [1, 0]);
    }
}
