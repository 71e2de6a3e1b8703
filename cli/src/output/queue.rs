//! Standard error behind a queue, for a command that must not wait for whoever reads it: a terminal that is stopped with
//! ^S, a pager, a pipe.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How many lines may wait. Further ones are dropped.
const LINES: usize = 10_000;
/// How often to say how many were dropped.
const BETWEEN: Duration = Duration::from_secs(1);
/// How long the end of the program waits for lines to be read.
const PATIENCE: Duration = Duration::from_secs(1);

static QUEUE: Mutex<Option<Queue>> = Mutex::new(None);

struct Queue {
    lines: SyncSender<Vec<u8>>,
    /// Lines that were dropped and not mentioned yet, and when such lines were last mentioned.
    dropped: usize,
    told: Option<Instant>,
    /// Disconnected once everything has been written.
    written: Receiver<()>,
}

/// From now on, a thread writes standard error.
pub fn open() -> io::Result<()> {
    let (lines, waiting) = sync_channel::<Vec<u8>>(LINES);
    let (writing, written) = channel::<()>();
    std::thread::Builder::new().name("stderr".to_owned()).spawn(move || {
        let _writing = writing;
        // Failures are ignored: without a reader, they could not be reported.
        waiting.iter().for_each(|line| drop(io::stderr().write_all(&line)));
    })?;
    *queue() = Some(Queue { lines, dropped: 0, told: None, written });
    Ok(())
}

/// Writes what is still waiting, but does not wait for long. From now on, standard error is written directly, unless
/// nobody reads it.
pub fn close() {
    let Some(mut queue) = queue().take() else { return };
    queue.tell_of_dropped();
    let Queue { lines, written, .. } = queue;
    drop(lines);
    let _ = written.recv_timeout(PATIENCE);
}

/// Writes text to standard error, by way of the queue if there is one.
pub fn put(text: &[u8]) {
    match &mut *queue() {
        Some(queue) => queue.put(text),
        None => drop(io::stderr().write_all(text)),
    }
}

fn queue() -> MutexGuard<'static, Option<Queue>> {
    QUEUE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Queue {
    fn put(&mut self, text: &[u8]) {
        if self.told.is_none_or(|told| told.elapsed() >= BETWEEN) {
            self.tell_of_dropped();
        }
        self.dropped += usize::from(self.lines.try_send(text.to_vec()).is_err());
    }

    fn tell_of_dropped(&mut self) {
        if self.dropped == 0 {
            return;
        }
        let lines = super::count(self.dropped, "line");
        let text = super::noted("warning", super::Style::Yellow, &format!("{lines} dropped: standard error is not read"));
        if self.lines.try_send(text.into_bytes()).is_ok() {
            (self.dropped, self.told) = (0, Some(Instant::now()));
        }
    }
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
