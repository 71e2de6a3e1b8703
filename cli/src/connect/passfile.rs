//! The password file, which sqlx reads: what is wrong with it, which sqlx does not say.

use super::variable;
use crate::exit_status::Failure;
use crate::output;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Warns of a password file that is ignored, and refuses one that would have to be waited for.
pub fn check() -> Result<(), Failure> {
    static TOLD: Once = Once::new();
    let own = variable("HOME").map(|home| Path::new(&home).join(".pgpass"));
    for path in variable("PGPASSFILE").map(PathBuf::from).into_iter().chain(own) {
        // A missing one is not wrong.
        let Ok(data) = std::fs::metadata(&path) else { continue };
        let kind = data.file_type();
        if kind.is_fifo() || kind.is_socket() {
            let message = format!("the password file {} is not a plain file", path.display());
            return Err(Failure::unusable(message).hint("Name a file with PGPASSFILE, or set PGPASSWORD."));
        }
        // /dev/null stands for no file.
        if !kind.is_char_device()
            && let Some(why) = trouble(&path, &data)
        {
            TOLD.call_once(|| output::warning(&format!("the password file {} {why}", path.display())));
        }
    }
    Ok(())
}

/// Says why a file is ignored.
fn trouble(path: &Path, data: &std::fs::Metadata) -> Option<String> {
    if !data.is_file() {
        return Some("is ignored: it is not a plain file".to_owned());
    }
    if data.permissions().mode() & 0o77 != 0 {
        return Some("is ignored: others may use it, too (chmod 600 makes it yours alone)".to_owned());
    }
    match std::fs::read(path) {
        Err(error) => Some(format!("is ignored: {error}")),
        Ok(text) => {
            let error = std::str::from_utf8(&text).err()?;
            let line = text[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            Some(format!("is ignored from line {line} on: it is not UTF-8"))
        }
    }
}
