//! Lets the host stop the conductor: every loop whose length user data decides calls [`check`].
//!
//! The host sets one function. It returns, or it unwinds, which ends the call: whatever is on the way is dropped, and
//! nothing that outlives the call is left half done. So no destructor may call it.

use std::io::{self, Read, Write};
use std::sync::OnceLock;

static CHECK: OnceLock<fn()> = OnceLock::new();

/// How many bytes are read or written between two checks.
const BYTES_BETWEEN_CHECKS: usize = 1 << 14;

/// Sets the function that [`check`] calls. It may unwind.
pub fn set(check: fn()) {
    // A second host in one process would bring the same check.
    let _ = CHECK.set(check);
}

/// Unwinds if the host wants to stop. Cheap enough for every turn of a loop.
#[inline]
pub fn check() {
    if let Some(check) = CHECK.get() {
        check();
    }
}

/// Passes items on and checks before each.
pub fn checked<I: IntoIterator>(items: I) -> impl Iterator<Item = I::Item> {
    items.into_iter().inspect(|_| check())
}

/// A reader or writer that checks once in a while.
pub struct Checked<T> {
    inner: T,
    /// Bytes until the next check.
    left: usize,
}

impl<T> Checked<T> {
    /// Wraps a reader or writer.
    pub fn new(inner: T) -> Self {
        Checked { inner, left: BYTES_BETWEEN_CHECKS }
    }

    /// Returns what was wrapped.
    pub fn into_inner(self) -> T {
        self.inner
    }

    #[inline]
    fn pass(&mut self, bytes: usize) {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => {
                self.left = BYTES_BETWEEN_CHECKS;
                check();
            }
        }
    }
}

impl<T: Read> Read for Checked<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pass(buffer.len());
        self.inner.read(buffer)
    }
}

impl<T: Write> Write for Checked<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pass(bytes.len());
        self.inner.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pass(bytes.len());
        self.inner.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
