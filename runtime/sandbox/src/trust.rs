//! Whose plugins are run: signatures by keys that the gateway's owner trusts.
//!
//! A signature is a custom section at the front of a component and holds for every byte behind it (`wasmsign2`, the
//! format of the WebAssembly tool conventions; Ed25519). What is verified is the buffer that is compiled and run
//! afterwards, and in doubt a plugin is refused.

mod key;
mod signature;

pub use key::{KeyError, KeyId, PublicKey, SecretKey};
pub use signature::{SignError, sign, signers};

use signature::Signature;
use std::path::PathBuf;

/// The keys whose plugins are run, and whether there may be others.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    keys: Vec<PublicKey>,
    require_signed: bool,
}

/// Why a plugin is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustProblem {
    /// It has no signature.
    #[error(
        "is not signed, and plugins.require_signed asks for it: `tidegate plugin sign` it with a key whose public half \
         is in plugins.trusted_keys"
    )]
    Unsigned,
    /// It is text (or nothing known), which has no place for a signature.
    #[error(
        "is not binary WebAssembly, which alone can be signed, and plugins.require_signed asks for it: of a .wat \
         `tidegate plugin sign` makes a signed .wasm"
    )]
    Text,
    /// Its signature is not of the one form there is.
    #[error("has a signature that is damaged or made by something else ({0}): sign it with `tidegate plugin sign`")]
    Damaged(&'static str),
    /// Only keys that are not trusted have signed it.
    #[error(
        "is signed by {}, whom this gateway does not trust (it trusts {}): sign it with a trusted key, or add that \
         key's .pub to plugins.trusted_keys", ids(.signers), ids(.trusted)
    )]
    Stranger {
        /// Who claims to have signed it.
        signers: Vec<KeyId>,
        /// The keys that are trusted.
        trusted: Vec<KeyId>,
    },
    /// A trusted key's signature is not over these bytes.
    #[error(
        "is not what {0} signed: its bytes or its signature were changed since; get the file anew from who made it"
    )]
    Altered(KeyId),
}

fn ids(keys: &[KeyId]) -> String {
    if keys.is_empty() { "nobody".into() } else { keys.iter().map(KeyId::to_string).collect::<Vec<_>>().join(", ") }
}

impl Trust {
    /// Reads the keys' files. With `require_signed` what is not signed by one of them is refused; without it, what
    /// is not signed at all is run. The error holds all problems.
    pub fn read(files: &[PathBuf], require_signed: bool) -> Result<Trust, Vec<KeyError>> {
        let (mut keys, mut problems) = (Vec::<PublicKey>::new(), Vec::new());
        for file in files {
            match PublicKey::read(file) {
                Ok(key) if keys.iter().any(|known| known.id() == key.id()) => {}
                Ok(key) => keys.push(key),
                Err(error) => problems.push(error),
            }
        }
        if problems.is_empty() { Ok(Trust { keys, require_signed }) } else { Err(problems) }
    }

    /// Whether it was asked for at all: otherwise signatures are not looked at.
    pub fn is_asked_for(&self) -> bool {
        self.require_signed || !self.keys.is_empty()
    }

    /// Who of the trusted signed these bytes; `None` where nobody did and nobody has to.
    pub fn judge(&self, bytes: &[u8]) -> Result<Option<KeyId>, TrustProblem> {
        if !self.is_asked_for() {
            return Ok(None);
        }
        let unsigned = |problem| if self.require_signed { Err(problem) } else { Ok(None) };
        if !bytes.starts_with(signature::WASM) {
            return unsigned(TrustProblem::Text);
        }
        let Some(signature) = Signature::of(bytes).map_err(TrustProblem::Damaged)? else {
            return unsigned(TrustProblem::Unsigned);
        };
        let signers = signature.signers();
        let named: Vec<&PublicKey> = self.keys.iter().filter(|key| signers.contains(&key.id())).collect();
        if let Some(key) = named.iter().find(|key| key.verifies(bytes)) {
            return Ok(Some(key.id()));
        }
        Err(match named.first() {
            Some(key) => TrustProblem::Altered(key.id()),
            None => TrustProblem::Stranger { signers, trusted: self.keys.iter().map(PublicKey::id).collect() },
        })
    }
}

#[cfg(test)]
mod tests;
