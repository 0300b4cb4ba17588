#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;

/// A component with a section of every common kind, nested ones too.
const TEXT: &str = r#"(component
    (core module $m (memory (export "memory") 1) (func (export "f") (result i32) i32.const 7) (data (i32.const 0) "data"))
    (core instance $i (instantiate $m))
    (func (export "f") (result u32) (canon lift (core func $i "f")))
    (@custom "notes" "somebody's"))"#;

static KEYS: LazyLock<[SecretKey; 2]> = LazyLock::new(|| [SecretKey::generate(), SecretKey::generate()]);

fn ours() -> &'static SecretKey {
    &KEYS[0]
}

fn theirs() -> &'static SecretKey {
    &KEYS[1]
}

fn trusting(keys: &[&SecretKey], require_signed: bool) -> Trust {
    Trust { keys: keys.iter().map(|key| key.public().clone()).collect(), require_signed }
}

fn signed() -> Vec<u8> {
    sign(TEXT.as_bytes(), ours()).unwrap()
}

fn judged(bytes: &[u8]) -> Result<Option<KeyId>, TrustProblem> {
    trusting(&[ours()], true).judge(bytes)
}

#[test]
fn what_a_trusted_key_signed_is_trusted_and_still_a_component() {
    let signed = signed();
    assert_eq!(judged(&signed), Ok(Some(ours().public().id())));
    assert_eq!(signers(&signed), [ours().public().id()]);
    let engine = wasmtime::Engine::new(&crate::compile::config(false)).unwrap();
    engine.precompile_component(&signed).unwrap();
    assert_eq!(sign(&signed, ours()).unwrap(), signed, "signed again it is the same");
}

#[test]
fn a_byte_changed_anywhere_is_refused() {
    let signed = signed();
    for at in 0..signed.len() {
        for bit in 0..8 {
            let mut changed = signed.clone();
            changed[at] ^= 1 << bit;
            assert!(judged(&changed).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_file_cut_short_or_made_longer_is_refused() {
    let signed = signed();
    for len in 0..signed.len() {
        assert!(judged(&signed[..len]).is_err(), "cut to {len}");
    }
    for more in [&b"\0"[..], b"\0\x06\x05notes", &signed, &signed[8..]] {
        assert!(judged(&[&signed[..], more].concat()).is_err(), "with {more:?}");
    }
}

proptest! {
    #[test]
    fn what_was_not_signed_is_never_trusted(at in any::<prop::sample::Index>(), with in prop::collection::vec(any::<u8>(), 0..40), drop in 0usize..200) {
        let signed = signed();
        let from = at.index(signed.len());
        let to = (from + drop).min(signed.len());
        let changed = [&signed[..from], &with, &signed[to..]].concat();
        prop_assume!(changed != signed);
        prop_assert!(judged(&changed).is_err());
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let section = [COMPONENT_AND_SECTION, &bytes].concat();
        prop_assert!(judged(&section).is_err() && judged(&bytes).is_err());
    }
}

/// A component that begins with a section of 300 bytes called `signature`.
const COMPONENT_AND_SECTION: &[u8] = b"\0asm\x0d\0\x01\0\0\xac\x02\x09signature";

#[test]
fn another_key_is_a_stranger() {
    let signed = sign(TEXT.as_bytes(), theirs()).unwrap();
    let problem = judged(&signed).unwrap_err();
    let (theirs, ours) = (theirs().public().id(), ours().public().id());
    assert_eq!(problem, TrustProblem::Stranger { signers: vec![theirs], trusted: vec![ours] });
    let sentence = format!("is signed by {theirs}, whom this gateway does not trust (it trusts {ours}): ");
    assert!(problem.to_string().starts_with(&sentence), "{problem}");
}

#[test]
fn another_key_that_takes_a_trusted_ones_name_is_found_out() {
    let signed = sign(TEXT.as_bytes(), theirs()).unwrap();
    let at = signed.windows(12).position(|bytes| bytes == theirs().public().id().0).unwrap();
    let mut renamed = signed;
    renamed[at..at + 12].copy_from_slice(&ours().public().id().0);
    assert_eq!(judged(&renamed), Err(TrustProblem::Altered(ours().public().id())));
}

#[test]
fn a_signature_of_another_plugin_does_not_hold() {
    // Of one length in both: its number, its length in two bytes, and that.
    let section = |bytes: &[u8]| 8 + 3 + usize::from(bytes[9] & 0x7f) + (usize::from(bytes[10]) << 7);
    let (one, other) = (signed(), sign(TEXT.replace("i32.const 7", "i32.const 8").as_bytes(), ours()).unwrap());
    let transplanted = [&one[..section(&one)], &other[section(&other)..]].concat();
    assert_eq!(transplanted.len(), other.len());
    assert_ne!(transplanted, other);
    assert_eq!(judged(&transplanted), Err(TrustProblem::Altered(ours().public().id())));
}

#[test]
fn two_signatures_are_each_enough() {
    let both = sign(&signed(), theirs()).unwrap();
    assert_eq!(signers(&both).len(), 2);
    assert_eq!(judged(&both), Ok(Some(ours().public().id())));
    assert_eq!(trusting(&[theirs()], true).judge(&both), Ok(Some(theirs().public().id())));
    let mut hurt = both.clone();
    *hurt.last_mut().unwrap() ^= 1;
    assert!(trusting(&[ours(), theirs()], true).judge(&hurt).is_err());
    assert_eq!(sign(&both, theirs()).unwrap().len(), both.len(), "signed again it has no third");
}

#[test]
fn a_second_signature_section_is_part_of_what_is_signed() {
    let signed = signed();
    let twice = [&signed[..], &signed[8..]].concat();
    assert!(judged(&twice).is_err());
}

#[test]
fn signatures_over_a_part_of_a_file_are_refused() {
    // What the library can do too: a signature that still holds when sections are taken off the end.
    let module = wasmsign2::Module::deserialize(&mut &wat::parse_str(TEXT).unwrap()[..]).unwrap();
    let id = ours().public().id().0.to_vec();
    let mut section = 0;
    let parts = module.split(|_| {
        section += 1;
        section % 2 == 0
    });
    let (mut module, _) = ours().key.sign_multi(parts.unwrap(), Some(&id), true, false).unwrap();
    let (_, signature) = ours().key.sign_multi(module.clone(), Some(&id), true, false).unwrap();
    let name = "signature".to_string();
    module.sections.insert(0, wasmsign2::Section::Custom(wasmsign2::CustomSection::new(name, signature)));
    module.sections.truncate(3);
    let mut bytes = Vec::new();
    module.serialize(&mut bytes).unwrap();
    ours().public().clone().verifies(&bytes).then_some(()).unwrap();
    let problem = judged(&bytes).unwrap_err();
    assert!(matches!(problem, TrustProblem::Damaged(_)), "{problem}");
}

#[test]
fn what_is_not_signed_is_run_only_where_it_may() {
    let unsigned = wat::parse_str(TEXT).unwrap();
    let lax = trusting(&[ours()], false);
    assert_eq!((judged(&unsigned), lax.judge(&unsigned)), (Err(TrustProblem::Unsigned), Ok(None)));
    assert_eq!((judged(TEXT.as_bytes()), lax.judge(TEXT.as_bytes())), (Err(TrustProblem::Text), Ok(None)));
    assert!(lax.judge(&sign(TEXT.as_bytes(), theirs()).unwrap()).is_err(), "a wrong signature is worse than none");
    let mut hurt = signed();
    *hurt.last_mut().unwrap() ^= 1;
    assert_eq!(lax.judge(&hurt), Err(TrustProblem::Altered(ours().public().id())));
    assert_eq!(Trust::default().judge(&hurt), Ok(None), "nobody asked");
    assert!(trusting(&[], true).judge(&signed()).is_err(), "no key is nobody's key");
}

#[test]
fn only_components_are_signed() {
    for bytes in [&b"hello"[..], b"", b"(module)", b"\0asm\x01\0\0\0", &COMPONENT_AND_SECTION[..12]] {
        assert_eq!(sign(bytes, ours()), Err(SignError::NotComponent), "{bytes:?}");
    }
}

#[test]
fn keys_are_files_only_their_owner_may_write() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let mode = |name: &str, mode: u32| fs::set_permissions(file(name), fs::Permissions::from_mode(mode)).unwrap();
    ours().write(&file("ops.key"), &file("ops.pub")).unwrap();
    assert_eq!(fs::metadata(file("ops.key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SecretKey::read(&file("ops.key")).unwrap().public().id(), ours().public().id());
    let trust = Trust::read(&[file("ops.pub"), file("ops.pub")], true).unwrap();
    assert_eq!(trust.judge(&signed()), Ok(Some(ours().public().id())));

    let refused = |name: &str| Trust::read(&[file(name)], true).unwrap_err()[0].to_string();
    for open in [0o666, 0o646, 0o664] {
        mode("ops.pub", open);
        let error = refused("ops.pub");
        assert!(
            error.ends_with(&format!("decides whose plugins run here: chmod 644 (its mode is {open:o})")),
            "{error}"
        );
    }
    mode("ops.pub", 0o644);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refused("ops.pub").contains("anybody may replace it: chmod o-w "), "{}", refused("ops.pub"));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(refused("none.pub").contains("none.pub: cannot be read: No such file"), "{}", refused("none.pub"));
    assert!(refused("ops.key").contains("is no Ed25519 public key in PEM"), "{}", refused("ops.key"));
    mode("ops.key", 0o640);
    let error = SecretKey::read(&file("ops.key")).unwrap_err().to_string();
    assert!(error.contains("others may read or write it: chmod 600 (its mode is 640)"), "{error}");
    let again = theirs().write(&file("ops.key"), &file("other.pub")).unwrap_err().to_string();
    assert!(again.contains("is there already, and a key is not written over"), "{again}");
    assert!(!Path::new(&file("other.pub")).exists());
}
