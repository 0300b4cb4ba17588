//! Text that must not appear in logs, status or error messages.

use std::fmt;
use std::path::Path;

/// Most bytes a file holding a secret may have.
pub const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Text that its `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself: only where it goes onto the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The text of a file, without the line break at its end. The error is a sentence that names the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let wrong = |what: String| format!("the file {} {what}", path.display());
        let bytes = std::fs::metadata(path).map_err(|e| wrong(format!("cannot be read: {e}")))?.len();
        if bytes > SECRET_FILE_BYTES_MAX {
            return Err(wrong(format!("has {bytes} bytes; a secret has at most {SECRET_FILE_BYTES_MAX}")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(wrong("is empty".into()));
        }
        Ok(Secret(text.to_owned()))
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
