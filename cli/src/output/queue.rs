//! Standard error behind a queue, for a command that must not wait for whoever reads it: a terminal that is stopped
//! with ^S, a pager, a pipe.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How many lines may wait. Further ones are dropped.
const LINES: usize = 10_000;
/// How often to report how many were dropped.
const BETWEEN: Duration = Duration::from_secs(1);
/// How long the end of the program waits for lines to be read.
const PATIENCE: Duration = Duration::from_secs(1);

static QUEUE: Mutex<Option<Queue>> = Mutex::new(None);

struct Queue {
    lines: SyncSender<Vec<u8>>,
    /// Lines that were dropped and not mentioned yet.
    dropped: Arc<AtomicUsize>,
    /// Disconnected once everything has been written.
    written: Receiver<()>,
}

/// Makes a thread write standard error from now on.
pub fn open() -> io::Result<()> {
    let (lines, waiting) = sync_channel(LINES);
    let (writing, written) = channel::<()>();
    let dropped = Arc::<AtomicUsize>::default();
    let queue = Queue { lines, dropped: dropped.clone(), written };
    std::thread::Builder::new().name("stderr".to_owned()).spawn(move || {
        write(&waiting, &dropped);
        drop(writing);
    })?;
    *self::queue() = Some(queue);
    Ok(())
}

/// Writes lines until there is nobody left who sends any. Failures are ignored: without a reader, they could not be
/// reported.
fn write(waiting: &Receiver<Vec<u8>>, dropped: &AtomicUsize) {
    let tell = || {
        let number = dropped.swap(0, Ordering::Relaxed);
        if number > 0 {
            let lines = super::count(number, "line");
            let text = format!("{lines} dropped, because standard error was not read in time");
            drop(io::stderr().write_all(super::noted("warning", super::Style::Yellow, &text).as_bytes()));
        }
    };
    let mut told: Option<Instant> = None;
    for line in waiting {
        drop(io::stderr().write_all(&line));
        if dropped.load(Ordering::Relaxed) > 0 && told.is_none_or(|told| told.elapsed() >= BETWEEN) {
            tell();
            told = Some(Instant::now());
        }
    }
    tell();
}

/// Writes what is still waiting, but does not wait for long. From now on, standard error is written directly.
pub fn close() {
    let Some(Queue { lines, written, .. }) = queue().take() else { return };
    drop(lines);
    let _ = written.recv_timeout(PATIENCE);
}

/// Writes text to standard error, by way of the queue if there is one.
pub fn put(text: &[u8]) {
    match &*queue() {
        Some(queue) => {
            if queue.lines.try_send(text.to_vec()).is_err() {
                queue.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        None => drop(io::stderr().write_all(text)),
    }
}

fn queue() -> MutexGuard<'static, Option<Queue>> {
    QUEUE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A writer for what logs: each call of `write` is a line.
pub struct Writer;

impl Write for Writer {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        put(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
