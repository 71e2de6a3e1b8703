//! Lets the host stop the conductor: every loop whose length depends on user data calls [`check`].
//!
//! The host sets one function. It either returns or unwinds, which ends the call: work in progress is dropped, and
//! nothing that outlives the call is left half-done. Destructors must therefore not call it.

use std::io::{self, Read, Write};
use std::sync::OnceLock;

static CHECK: OnceLock<fn()> = OnceLock::new();

/// Number of bytes read or written between two checks.
const BYTES_BETWEEN_CHECKS: usize = 1 << 14;

/// Sets the function that [`check`] calls. It may unwind.
pub fn set(check: fn()) {
    // A second host in the same process would set the same check.
    let _ = CHECK.set(check);
}

/// Unwinds if the host wants to stop. Cheap enough for every iteration of a loop.
#[inline]
pub fn check() {
    if let Some(check) = CHECK.get() {
        check();
    }
}

/// Passes items through, checking before each.
pub fn checked<I: IntoIterator>(items: I) -> impl Iterator<Item = I::Item> {
    items.into_iter().inspect(|_| check())
}

/// A reader or writer that checks from time to time.
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

    /// Returns the wrapped reader or writer.
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
