//! JSON text to values and back. Large texts take a long time, so the host can interrupt both.

use crate::interrupt::Checked;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Length in bytes below which a text is read in one go, which is faster and takes less than a millisecond.
const SHORT: usize = 1 << 16;

/// Reads JSON text.
pub fn from_text<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    if text.len() < SHORT { serde_json::from_str(text) } else { serde_json::from_reader(Checked::new(text.as_bytes())) }
}

/// Writes JSON text.
pub fn to_text<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let mut writer = Checked::new(Vec::with_capacity(128));
    serde_json::to_writer(&mut writer, value)?;
    // serde_json writes UTF-8, so this cannot fail; if it did, it would be reported as an error.
    String::from_utf8(writer.into_inner()).map_err(serde::ser::Error::custom)
}
