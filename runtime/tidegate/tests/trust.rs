//! Whose plugins a gateway runs: keys, signatures, and what `check` and `run` make of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder with a configuration, a plugin `threshold` and keys `ops` and `other`.
struct Site {
    folder: TempDir,
}

/// What is said of the keys and a plugin's place in the configuration.
const TRUSTED: &str = "trusted_keys = [\"ops.pub\"]";
const REQUIRED: &str = "trusted_keys = [\"ops.pub\"]\nrequire_signed = true";

impl Site {
    fn new() -> Site {
        let site = Site { folder: tempfile::tempdir().unwrap() };
        let shipped = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("plugins/threshold.wasm");
        assert!(shipped.exists(), "{} is not there: run `cargo xtask plugins`", shipped.display());
        std::fs::copy(shipped, site.plugin()).unwrap();
        for name in ["ops", "other"] {
            succeeds(&["plugin", "keygen", &site.path(name)]);
        }
        site
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn plugin(&self) -> PathBuf {
        self.folder.path().join("threshold.wasm")
    }

    fn sign(&self, key: &str) {
        succeeds(&["plugin", "sign", &self.path("threshold.wasm"), "--key", &self.path(&format!("{key}.key"))]);
    }

    fn alter(&self) {
        let mut bytes = std::fs::read(self.plugin()).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(self.plugin(), bytes).unwrap();
    }

    fn configure(&self, trust: &str) -> String {
        let dir = self.folder.path();
        let config = format!(
            "[gateway]\nname = \"g\"\n[store]\npath = \"store\"\n[control]\nlisten = \"127.0.0.1:0\"\n\
             [plugins]\ndir = {dir:?}\n{trust}\n[streams.a]\nfields = {{ temp = \"f64\" }}\n\
             [sources.s]\ntype = \"mqtt\"\nstream = \"a\"\nurl = \"mqtt://127.0.0.1:1\"\ntopics = [\"a\"]\n\
             client_id = \"g\"\ndecode = {{ format = \"json\", device = \"/d\" }}\n\
             [pipelines.p]\nfrom = [\"a\"]\nto = \"b\"\n[[pipelines.p.operators]]\nfilter = \"threshold\"\n\
             params = {{ field = \"temp\", above = 1 }}\n[streams.b]\n"
        );
        let file = self.path("gateway.toml");
        std::fs::write(&file, config).unwrap();
        file
    }

    fn check(&self, trust: &str) -> String {
        said(&tidegate(&["check", &self.configure(trust)]))
    }

    /// Both `check` and `run` refuse the plugin, and say why.
    #[track_caller]
    fn refuses(&self, trust: &str, parts: &[&str]) {
        let file = self.configure(trust);
        for verb in ["check", "run"] {
            let output = tidegate(&[verb, &file]);
            assert!(!output.status.success(), "{verb}: {}", said(&output));
            for part in parts {
                assert!(said(&output).contains(part), "{verb}: {}\ndoes not say\n{part}", said(&output));
            }
        }
    }
}

fn tidegate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn succeeds(arguments: &[&str]) -> String {
    let output = tidegate(arguments);
    assert!(output.status.success(), "tidegate {arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_signed_plugin_passes_the_check_and_says_who_signed_it() {
    let site = Site::new();
    site.sign("ops");
    assert!(
        site.check(REQUIRED).ends_with("is sound: 1 source, 4 streams, 1 pipeline, 0 sinks\n"),
        "{}",
        site.check(REQUIRED)
    );
    let verified = succeeds(&["plugin", "verify", &site.path("threshold.wasm"), "--key", &site.path("ops.pub")]);
    let id = verified.split("signed by ").nth(1).unwrap().split(',').next().unwrap();
    let by_config =
        succeeds(&["plugin", "verify", &site.path("threshold.wasm"), "--config", &site.path("gateway.toml")]);
    assert_eq!(verified, by_config);
    let inspected = succeeds(&["plugin", "inspect", &site.path("threshold.wasm")]);
    assert!(inspected.contains(&format!("  signed    by {id}, it says: tidegate plugin verify\n")), "{inspected}");
    let nobody = tidegate(&["plugin", "verify", &site.path("threshold.wasm"), "--config", &site.configure("")]);
    assert!(
        said(&nobody).contains("nobody is trusted here: name public keys in plugins.trusted_keys"),
        "{}",
        said(&nobody)
    );
    site.sign("other");
    assert!(site.check(REQUIRED).contains("is sound"), "a second signature takes nothing away");
}

#[test]
fn what_is_not_signed_as_it_has_to_be_is_not_run() {
    let site = Site::new();
    let plugin = |what: &str| format!("pipelines.p, operator 1: plugin {}: {what}", site.path("threshold.wasm"));
    site.refuses(REQUIRED, &[&plugin("is not signed, and plugins.require_signed asks for it: `tidegate plugin sign`")]);
    let warned = site.check(TRUSTED);
    assert!(
        warned.contains("warning: pipelines.p, operator 1: plugin threshold is not signed and is run all the same"),
        "{warned}"
    );
    assert!(warned.contains("is sound") && !site.check("").contains("warning"), "{warned}");

    site.sign("other");
    site.refuses(REQUIRED, &[&plugin("is signed by "), "whom this gateway does not trust (it trusts "]);
    site.refuses(TRUSTED, &[&plugin("is signed by "), "add that key's .pub to plugins.trusted_keys"]);

    site.sign("ops");
    site.alter();
    site.refuses(
        REQUIRED,
        &[&plugin("is not what "), "its bytes or its signature were changed since; get the file anew"],
    );
    site.refuses(TRUSTED, &[&plugin("is not what ")]);
    let verified = tidegate(&["plugin", "verify", &site.path("threshold.wasm"), "--key", &site.path("ops.pub")]);
    assert_eq!(verified.status.code(), Some(6), "{}", said(&verified));
}

#[test]
fn text_is_signed_by_making_a_binary_of_it() {
    let site = Site::new();
    std::fs::remove_file(site.plugin()).unwrap();
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/deadband/deadband.wat");
    std::fs::copy(text, site.path("threshold.wat")).unwrap();
    site.refuses(
        REQUIRED,
        &["threshold.wat: is not binary WebAssembly, which alone can be signed", "`tidegate plugin sign`"],
    );
    succeeds(&["plugin", "sign", &site.path("threshold.wat"), "--key", &site.path("ops.key")]);
    let checked = site.check(REQUIRED);
    assert!(!checked.contains("signed"), "what is wrong now are its parameters: {checked}");
}

#[test]
fn keys_that_cannot_be_relied_on_stop_the_gateway() {
    let site = Site::new();
    site.sign("ops");
    site.refuses("require_signed = true", &["plugins.require_signed: needs trusted_keys: name the .pub files"]);
    site.refuses(
        "trusted_keys = [\"none.pub\"]",
        &["plugins.trusted_keys: key ", "none.pub: cannot be read: No such file"],
    );
    site.refuses("trusted_keys = [\"ops.key\"]", &["ops.key: is no Ed25519 public key in PEM"]);
    std::fs::set_permissions(site.path("ops.pub"), std::fs::Permissions::from_mode(0o666)).unwrap();
    site.refuses(
        REQUIRED,
        &["ops.pub: whoever may write to it decides whose plugins run here: chmod 644 (its mode is 666)"],
    );
}
