//! What every source's options share.

use std::fmt;

/// When a sender that waits for an acknowledgement gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ack {
    /// When the records of its frame are durable.
    #[default]
    OnStore,
    /// When its frame is decoded: what waits for the group commit is lost in a crash, and what there is no room for at a
    /// drain is lost too (ledgered).
    OnReceive,
}

/// A text that is never shown: passwords.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the wire only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Options that make no source. The sentence names the option, what was given and what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {problem}")]
pub struct OptionsError {
    /// The option's name in the configuration (`url`, `decode.time`).
    pub option: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl OptionsError {
    /// An error about `option`.
    pub fn new(option: impl Into<String>, problem: impl Into<String>) -> Self {
        OptionsError { option: option.into(), problem: problem.into() }
    }
}
