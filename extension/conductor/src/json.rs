//! JSON text to values and back. Large text takes long: the host can stop it.

use crate::interrupt::Checked;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Text of fewer bytes is read in one go: that is faster, and takes less than a millisecond.
const SHORT: usize = 1 << 16;

/// Reads JSON text.
pub fn from_text<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    if text.len() < SHORT { serde_json::from_str(text) } else { serde_json::from_reader(Checked::new(text.as_bytes())) }
}

/// Writes JSON text.
pub fn to_text<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let mut writer = Checked::new(Vec::with_capacity(128));
    serde_json::to_writer(&mut writer, value)?;
    // What serde_json writes is UTF-8; an error here cannot be, and would be reported as one.
    String::from_utf8(writer.into_inner()).map_err(serde::ser::Error::custom)
}
