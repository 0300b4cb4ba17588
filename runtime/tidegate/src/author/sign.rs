//! Keys, and plugins signed by them.

use super::place::place;
use std::path::{Path, PathBuf};
use tidegate_sandbox::{KeyId, SecretKey, Trust};

/// Makes a key: `NAME.key` signs and is a secret, `NAME.pub` is what gateways are given.
pub fn keygen(name: &Path) -> Result<(KeyId, PathBuf, PathBuf), String> {
    let with = |extension: &str| {
        let mut file = name.as_os_str().to_os_string();
        file.push(extension);
        PathBuf::from(file)
    };
    let (secret, public) = (with(".key"), with(".pub"));
    let key = SecretKey::generate();
    key.write(&secret, &public).map_err(|error| error.to_string())?;
    Ok((key.public().id(), secret, public))
}

/// Signs a plugin where it lies, or as `out`; of a `.wat` a `.wasm` is made. Others' signatures on it stay.
pub fn sign(file: &Path, key: &Path, out: Option<&Path>) -> Result<(KeyId, PathBuf), String> {
    let key = SecretKey::read(key).map_err(|error| error.to_string())?;
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let signed = tidegate_sandbox::sign(&bytes, &key).map_err(|error| format!("{}: {error}", file.display()))?;
    let out = out.map_or_else(|| file.with_extension("wasm"), Path::to_path_buf);
    place(&out, &signed)?;
    Ok((key.public().id(), out))
}

/// Who of `keys` signed a plugin; an error where none of them did.
pub fn verify(file: &Path, keys: &[PathBuf]) -> Result<KeyId, String> {
    let trust = Trust::read(keys, true)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    verify_with(file, &trust)
}

/// The same, by keys that are read already.
pub fn verify_with(file: &Path, trust: &Trust) -> Result<KeyId, String> {
    if !trust.is_asked_for() {
        return Err("nobody is trusted here: name public keys in plugins.trusted_keys, or give --key".into());
    }
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let signer = trust.judge(&bytes).map_err(|problem| format!("plugin {}: {problem}", file.display()))?;
    signer.ok_or_else(|| format!("plugin {}: is not signed", file.display()))
}
