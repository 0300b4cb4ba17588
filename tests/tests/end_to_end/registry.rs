//! Plugins by way of an OCI registry: what comes out is what went in, or nothing.

use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;
use tidegate_tests::registry::Registry;
use tidegate_tests::{parts, process};

/// A folder with a signed plugin, the key and another one, and an empty folder `plugins`.
struct Author {
    folder: TempDir,
}

impl Author {
    fn new() -> Author {
        let author = Author { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(author.path("plugins")).expect("a folder");
        fs::copy(parts::plugins().join("threshold.wasm"), author.path("warm.wasm")).expect("a plugin");
        for name in ["ops", "other"] {
            author.succeeds(&["keygen", &author.text(name)]);
        }
        author.succeeds(&["sign", &author.text("warm.wasm"), "--key", &author.text("ops.key")]);
        author
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// `tidegate plugin …`, with nobody's login.
    fn plugin(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(parts::gateway_binary());
        command.arg("plugin").args(arguments).env("DOCKER_CONFIG", self.folder.path());
        command.env_remove("TIDEGATE_REGISTRY_USER").env_remove("TIDEGATE_REGISTRY_PASSWORD");
        command.output().expect("it runs")
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.plugin(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    /// It fails and says so, and `plugins` is as it was.
    #[track_caller]
    fn fails(&self, arguments: &[&str], parts: &[&str]) {
        let before = self.plugins();
        let output = self.plugin(arguments);
        assert_eq!(output.status.code(), Some(6), "{arguments:?}: {}", said(&output));
        parts.iter().for_each(|part| assert!(said(&output).contains(part), "{}\ndoes not say\n{part}", said(&output)));
        assert_eq!(self.plugins(), before, "nothing was written");
    }

    /// What is in `plugins`, leftovers too.
    fn plugins(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.path("plugins")).expect("the folder");
        let read = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.expect("an entry");
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file"))
        };
        let mut files: Vec<_> = entries.map(read).collect();
        files.sort();
        files
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The digest that a push or pull says pins it.
fn digest(said: &str) -> String {
    said.split("pinned as ").nth(1).expect("a digest").trim().to_owned()
}

#[test]
fn a_plugin_comes_out_of_a_registry_as_it_went_in() {
    let (author, registry) = (Author::new(), Registry::start());
    let place = format!("{}/plant/warm:1.0", registry.host());
    let pushed = author.succeeds(&["push", &place, &author.text("warm.wasm")]);
    let sent = fs::read(author.path("warm.wasm")).expect("the plugin");
    let (dir, key) = (author.text("plugins"), author.text("ops.pub"));

    let pulled = author.succeeds(&["pull", &place, "--dir", &dir, "--key", &key]);
    assert!(pulled.contains("bytes, signed by ") && digest(&pulled) == digest(&pushed), "{pulled}{pushed}");
    assert_eq!(author.plugins(), [("warm.wasm".to_owned(), sent.clone())]);

    // By its digest, under another name, into the folder of a configuration that trusts the key.
    let config = "[gateway]\nname = \"g\"\n[store]\npath = \"store\"\n[plugins]\ndir = \"plugins\"\n\
                  trusted_keys = [\"ops.pub\"]\nrequire_signed = true\n[streams.a]\nfields = { temp = \"f64\" }\n";
    fs::write(author.path("gateway.toml"), config).expect("a configuration");
    let pinned = format!("{}/plant/warm@{}", registry.host(), digest(&pushed));
    author.succeeds(&["pull", &pinned, "--config", &author.text("gateway.toml"), "--name", "hot"]);
    assert_eq!(author.plugins().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["hot.wasm", "warm.wasm"]);

    // In the form of the guidance: other tools know what it is.
    let manifest = fs::read(registry.blob(digest(&pushed).trim_start_matches("sha256:"))).expect("the manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.title"], "threshold");
    let config = manifest["config"]["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
    let config: Value = serde_json::from_slice(&fs::read(registry.blob(config)).expect("the config")).expect("JSON");
    assert_eq!(config["component"]["exports"][1], "tidegate:plugin/filter@1.0.0");
}

#[test]
fn what_was_changed_in_the_registry_is_not_taken() {
    let (author, registry) = (Author::new(), Registry::start());
    let place = format!("{}/plant/warm:1.0", registry.host());
    let pushed = author.succeeds(&["push", &place, &author.text("warm.wasm")]);
    let dir = author.text("plugins");
    let manifest_file = registry.blob(digest(&pushed).trim_start_matches("sha256:"));
    let manifest = fs::read(&manifest_file).expect("the manifest");
    let parsed: Value = serde_json::from_slice(&manifest).expect("JSON");
    let layer = parsed["layers"][0]["digest"].as_str().expect("a digest").trim_start_matches("sha256:");

    let whole = fs::read(registry.blob(layer)).expect("the component");
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    fs::write(registry.blob(layer), &altered).expect("altered");
    let refused = "what came is not what its digest says, and was not kept";
    author.fails(&["pull", &place, "--dir", &dir], &["plant/warm:1.0: ", refused]);
    fs::write(registry.blob(layer), &whole).expect("as it was");

    // Somebody else's manifest under the pinned digest.
    let other = String::from_utf8(manifest).expect("text").replace("threshold", "thresh0ld");
    fs::write(&manifest_file, other).expect("altered");
    let pinned = format!("{}/plant/warm@{}", registry.host(), digest(&pushed));
    author.fails(&["pull", &pinned, "--dir", &dir], &[refused]);
}

#[test]
fn what_is_not_trusted_not_there_or_too_large_is_not_taken() {
    let (author, registry) = (Author::new(), Registry::start());
    let (host, dir) = (registry.host(), author.text("plugins"));
    let place = format!("{host}/plant/warm:1.0");
    author.succeeds(&["push", &place, &author.text("warm.wasm")]);
    let unknown = "has no such plugin or tag";
    author.fails(&["pull", &format!("{host}/plant/warm:2.0"), "--dir", &dir], &["plant/warm:2.0: registry ", unknown]);
    author.fails(&["pull", &format!("{host}/plant/cold:1.0"), "--dir", &dir], &[unknown]);
    let other = author.text("other.pub");
    author.fails(&["pull", &place, "--dir", &dir, "--key", &other], &["is signed by ", "does not trust"]);
    author
        .fails(&["pull", &place, "--dir", &dir, "--name", "../warm"], &["\"../warm\" is no name for a plugin's file"]);
    let config = "[gateway]\nname = \"g\"\n[store]\npath = \"store\"\n[plugins]\nmodule_bytes = \"1KiB\"\n\
                  [streams.a]\nfields = { temp = \"f64\" }\n";
    fs::write(author.path("gateway.toml"), config).expect("a configuration");
    let small = author.text("gateway.toml");
    author.fails(&["pull", &place, "--config", &small], &["is larger than 1024 bytes; raise plugins.module_bytes"]);
    author.fails(&["push", &format!("{host}/plant/warm"), &author.text("warm.wasm")], &["write REGISTRY/REPO:TAG"]);
    fs::write(author.path("text.wasm"), "(component)").expect("no component");
    author.fails(&["push", &place, &author.text("text.wasm")], &["is no component: build it"]);

    registry.stop();
    author.fails(&["pull", &place, "--dir", &dir], &["cannot be reached: ", "refused"]);
    let nobody = format!("127.0.0.1:{}/plant/warm:1.0", process::free_port());
    author.fails(&["push", &nobody, &author.text("warm.wasm")], &["cannot be reached: "]);
}
