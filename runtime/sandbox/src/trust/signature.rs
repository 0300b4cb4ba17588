//! The signature section of a component: read strictly, written in one form.
//!
//! `wasmsign2` knows more forms than are of use here: signatures over the first sections only, so that others may be
//! added, and several sets of hashes. Whoever verifies must then ask for exactly the right one; so there is one form
//! here, every signature is over all bytes behind the section, and the section has no second spelling. It is looked at
//! before the library takes it apart, which believes the lengths it reads.

use super::{KeyId, SecretKey};
use wasmsign2::{CustomSection, Module, Section, SignatureData, SignatureForHashes, SignedHashes};

/// First bytes of every binary.
pub(crate) const WASM: &[u8] = b"\0asm";
/// First bytes of a component; no signature covers them, so they are looked at here.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const SECTION_NAME: &[u8] = b"signature";
/// Most bytes of the section, and most signatures in it.
const SECTION_BYTES_MAX: usize = 2048;
const SIGNATURES_MAX: usize = 16;
const HASH_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
/// Version 1, of a module (or component), hashed by SHA-256, one set of signed hashes.
const HEAD: [u8; 4] = [1, 1, 1, 1];
const ED25519: u8 = 1;

/// Who says to have signed a component, and what; nothing of it is verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    hash: [u8; HASH_BYTES],
    signed: Vec<(KeyId, [u8; SIGNATURE_BYTES])>,
}

/// Why something was not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// It is no component.
    #[error("is no WebAssembly component (or the text of one): only those are signed")]
    NotComponent,
    /// It is signed by as many as may sign.
    #[error("has {SIGNATURES_MAX} signatures, and more there may not be: sign the file as it was before them")]
    Many,
}

/// A component with a signature by this key over all of it; signatures by others that hold for the same bytes stay.
/// Text is assembled first.
pub fn sign(bytes: &[u8], key: &SecretKey) -> Result<Vec<u8>, SignError> {
    let assembled = wat::parse_bytes(bytes).map_err(|_| SignError::NotComponent)?;
    if !assembled.starts_with(COMPONENT) {
        return Err(SignError::NotComponent);
    }
    let not_component = |_| SignError::NotComponent;
    let before = Signature::of(&assembled).ok().flatten();
    let module = Module::deserialize(&mut &assembled[..]).map_err(not_component)?;
    let id = key.public().id();
    let mut module = key.key.sign(module, Some(&id.0.to_vec())).map_err(not_component)?;
    let mut signed = Vec::new();
    module.serialize(&mut signed).map_err(not_component)?;
    if let (Some(before), Ok(Some(mut now))) = (before, Signature::of(&signed)) {
        now.signed.extend(before.signed.into_iter().filter(|(other, _)| before.hash == now.hash && *other != id));
        if now.signed.len() > SIGNATURES_MAX {
            return Err(SignError::Many);
        }
        module.sections[0] = Section::Custom(now.section().ok_or(SignError::NotComponent)?);
        signed.clear();
        module.serialize(&mut signed).map_err(not_component)?;
    }
    Ok(signed)
}

/// Who claims to have signed a component, which nobody has verified yet.
pub fn signers(bytes: &[u8]) -> Vec<KeyId> {
    Signature::of(bytes).ok().flatten().map(|signature| signature.signers()).unwrap_or_default()
}

impl Signature {
    /// The signature at the front of a component; `None` where there is none. The error says what is wrong with it.
    pub(super) fn of(bytes: &[u8]) -> Result<Option<Signature>, &'static str> {
        let Some(rest) = bytes.strip_prefix(COMPONENT) else { return Ok(None) };
        let mut rest = Bytes(rest);
        let Some((0, len)) = rest.take(1).map(|id| id[0]).zip(rest.number()) else { return Ok(None) };
        let Some(mut section) = rest.take(len).map(Bytes) else { return Ok(None) };
        let name = section.number().and_then(|len| section.take(len));
        if name != Some(SECTION_NAME) {
            return Ok(None);
        }
        if section.0.len() > SECTION_BYTES_MAX {
            return Err("it is too long");
        }
        let end = bytes.len() - rest.0.len();
        let signature = Signature::parse(section).ok_or("it is not one signature or several over the whole file")?;
        // Numbers have long spellings; the section as it stands must be the one that is written for what it says.
        let mut written = COMPONENT.to_vec();
        let section = signature.section().map(Section::Custom);
        let same = section.is_some_and(|section| section.serialize(&mut written).is_ok() && written == bytes[..end]);
        if same { Ok(Some(signature)) } else { Err("it is spelled in another way than it is written") }
    }

    fn parse(mut section: Bytes<'_>) -> Option<Signature> {
        if section.take(HEAD.len())? != HEAD {
            return None;
        }
        let len = section.number()?;
        let mut set = Bytes(section.take(len)?);
        let hashes = set.number()?;
        let hash = set.take(HASH_BYTES)?.try_into().ok()?;
        let count = set.number()?;
        if hashes != 1 || !(1..=SIGNATURES_MAX).contains(&count) {
            return None;
        }
        let mut signed = Vec::with_capacity(count);
        for _ in 0..count {
            let len = set.number()?;
            let mut one = Bytes(set.take(len)?);
            let id = one.number().and_then(|len| one.take(len))?.try_into().ok()?;
            let algorithm = one.take(1)?[0];
            let signature = one.number().and_then(|len| one.take(len))?.try_into().ok()?;
            if algorithm != ED25519 || !one.0.is_empty() {
                return None;
            }
            signed.push((KeyId(id), signature));
        }
        (set.0.is_empty() && section.0.is_empty()).then_some(Signature { hash, signed })
    }

    fn section(&self) -> Option<CustomSection> {
        let signature = |(id, signature): &(KeyId, [u8; SIGNATURE_BYTES])| SignatureForHashes {
            key_id: Some(id.0.to_vec()),
            alg_id: ED25519,
            signature: signature.to_vec(),
        };
        let signatures = self.signed.iter().map(signature).collect();
        let data = SignatureData {
            specification_version: HEAD[0],
            content_type: HEAD[1],
            hash_function: HEAD[2],
            signed_hashes_set: vec![SignedHashes { hashes: vec![self.hash.to_vec()], signatures }],
        };
        let name = String::from_utf8_lossy(SECTION_NAME).into_owned();
        Some(CustomSection::new(name, data.serialize().ok()?))
    }

    pub(super) fn signers(&self) -> Vec<KeyId> {
        self.signed.iter().map(|(id, _)| *id).collect()
    }
}

/// What is left to read; nothing is believed about lengths.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// LEB128 of 32 bits.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).ok()?.try_into().ok();
            }
        }
        None
    }
}
