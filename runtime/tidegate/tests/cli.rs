//! The command line, as a person meets it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;
use tidegate::http::{self, Access, View};
use tidegate::readiness::Ready;
use tidegate_record::{BatchBuilder, Field, Scalar, Schema};
use tidegate_store::{Append, Commit, Keep, MemoryStore, Options, Retention, Store, StreamSpec, WhenFull};
use tokio_util::sync::CancellationToken;

fn tidegate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

const BAD: &str = "[gateway]\nname = \"plant-7\"\n[store]\npth = \"store\"\n";

#[test]
fn check_says_what_is_wrong_and_fails() {
    let (_folder, path) = file(BAD);
    let checked = tidegate(&["check", &path]);
    let expected = format!(
        "{path}:3:1: store.path: is needed and not given\n\
         {path}:4:1: store.pth: unknown option; did you mean \"path\"?\n"
    );
    assert_eq!((checked.status.code(), text(&checked.stderr)), (Some(1), expected));
    assert_eq!(text(&checked.stdout), "");

    let json = tidegate(&["check", &path, "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json.status.code(), &said["ok"]), (Some(1), &serde_json::json!(false)));
    assert_eq!(said["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn an_outage_is_held_against_the_caps_and_the_disk() {
    let config = |max_bytes: &str| {
        format!(
            "[gateway]\nname = \"plant-7\"\n[control]\nlisten = \"127.0.0.1:1\"\n[store]\npath = \"store\"\n\
             max_bytes = {max_bytes:?}\n[streams.readings]\nfields = {{ temp = \"f64\" }}\nmax_bytes = \"16MiB\"\n\
             when_full = \"thin\"\n[sources.a]\ntype = \"mqtt\"\nstream = \"readings\"\n\
             url = \"mqtt://127.0.0.1:1\"\ntopics = [\"a\"]\nclient_id = \"a\"\n\
             decode = {{ format = \"json\", device = \"/d\" }}\n\
             [sinks.cloud]\ntype = \"http\"\nfrom = \"readings\"\nurl = \"http://127.0.0.1:1\"\n"
        )
    };
    let (_folder, path) = file(&config("1GiB"));
    let fits = tidegate(&["check", &path, "--outage", "1h", "--rate", "100"]);
    assert_eq!((fits.status.code(), text(&fits.stderr)), (Some(0), String::new()));
    let said = text(&fits.stdout);
    assert!(said.starts_with("an outage of 60 min, at 100 records a second into each stream, as given\n"), "{said}");
    assert!(said.contains("readings         100.0          16.0       5.5 MiB      16.0 MiB\n"), "{said}");

    let short = tidegate(&["check", &path, "--outage", "72h", "--rate", "100"]);
    let expected = "warning: streams.readings.max_bytes: 16.0 MiB last 2 h of the outage, then its oldest records become \
                    coarser: it needs 395.5 MiB\n";
    assert_eq!((short.status.code(), text(&short.stderr)), (Some(0), expected.into()));

    let (_folder, path) = file(&config("60000GiB"));
    let refused = tidegate(&["check", &path, "--outage", "1h", "--rate", "1"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.starts_with("store.max_bytes: 58.6 TiB are more than this disk has for it: "), "{said}");

    let unmeasured = tidegate(&["check", &path, "--outage", "1h"]);
    assert_eq!(unmeasured.status.code(), Some(3));
    assert!(text(&unmeasured.stderr).contains("Start it, or give --rate"), "{}", text(&unmeasured.stderr));
}

/// With the plugins that ship, and with files where they say there are some.
#[test]
fn every_shipped_configuration_passes_the_check() {
    let shipped = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config")).unwrap();
    let shipped: Vec<_> = shipped.map(|entry| entry.unwrap().path()).collect();
    assert!(shipped.len() >= 4, "{shipped:?}");
    let folder = tempfile::tempdir().unwrap();
    let authority = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap().cert.pem();
    for (name, text) in [("mqtt-password", "m"), ("kafka-password", "k"), ("token", "t")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    for name in ["broker-ca.pem", "kafka-ca.pem"] {
        std::fs::write(folder.path().join(name), &authority).unwrap();
    }
    // `cargo xtask plugins` builds them; `cargo xtask test` does so first.
    let plugins = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("plugins");
    for file in shipped {
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text
            .replace("/etc/tidegate", &folder.path().display().to_string())
            .replace("/usr/lib/tidegate/plugins", &plugins.display().to_string())
            .replace("# dir = \"plugins\"", &format!("dir = {plugins:?}"));
        let here = folder.path().join(file.file_name().unwrap());
        std::fs::write(&here, text).unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let checked = check.arg("check").arg(&here).env("TIDEGATE_PLUGINS", &plugins).output().unwrap();
        assert!(checked.status.success(), "{}: {}", file.display(), text_of(&checked));
    }
}

fn text_of(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn run_does_not_begin_with_a_bad_configuration() {
    let (folder, path) = file(BAD);
    let run = tidegate(&["run", &path]);
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run.stderr).contains("store.path: is needed"), "{}", text(&run.stderr));
    assert!(!folder.path().join("store").exists(), "nothing was made");
}

#[test]
fn wrong_usage_is_told_from_bad_configuration() {
    assert_eq!(tidegate(&[]).status.code(), Some(2));
    assert_eq!(tidegate(&["check"]).status.code(), Some(2));
    let help = tidegate(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("Exit codes"), "{}", text(&help.stdout));
    assert!(!text(&help.stdout).contains("compile-plugin"), "not a command for people");
}

#[test]
fn a_tap_without_a_gateway_says_so() {
    // A port nobody listens on: it was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tap = tidegate(&["tap", "readings", "--url", &format!("http://127.0.0.1:{port}")]);
    assert_eq!(tap.status.code(), Some(3));
    let said = text(&tap.stderr);
    assert!(said.contains(&format!("no gateway answers at http://127.0.0.1:{port}")), "{said}");
    assert!(said.contains("refused"), "{said}");
}

struct Shown(Arc<MemoryStore>);

impl View for Shown {
    fn pipeline(&self, _name: &str) -> Option<tidegate_pipeline::Handle> {
        None
    }

    fn sink(&self, _name: &str) -> Option<tidegate_sinks::Handle> {
        None
    }

    fn ready(&self) -> Ready {
        Ready { ready: true, reasons: Vec::new() }
    }

    fn status(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
}

/// A store with ten durable records in the stream `readings`.
async fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::new(Options { commit_interval: Duration::from_millis(1), ..Options::new("", "g") }, 7);
    fill(&store).await;
    Arc::new(store)
}

async fn fill(store: &dyn Store) {
    let retention =
        Retention { max_bytes: 1 << 24, max_age: None, keep: Keep::UntilRead, when_full: WhenFull::DropOldest };
    let spec = |name: &str, schema| StreamSpec {
        name: name.into(),
        schema: Arc::new(schema),
        partitions: 1,
        retention: retention.clone(),
        readers: Vec::new(),
    };
    let schema = Schema::new(vec![Field::new("n", Scalar::Integer)]).unwrap();
    let own = [
        spec("dead_letters", tidegate_record::streams::dead_letters()),
        spec("ledger", tidegate_record::streams::ledger()),
    ];
    let mut streams = vec![spec("readings", schema.clone())];
    streams.extend(own);
    store.declare(streams).unwrap();
    let mut builder = BatchBuilder::new(Arc::new(schema));
    for n in 0..10 {
        assert!(builder.integer(0, n));
        builder.end_row("d1", n).unwrap();
    }
    let mut commit = Commit::by(&store.attach("source/test").unwrap());
    commit.appends.push(Append { stream: "readings".into(), batch: Arc::new(builder.finish()) });
    store.commit(commit).expect("there is room").await.unwrap();
}

/// A local HTTP over that store, for as long as the runtime lives.
fn served(access: Access) -> (tokio::runtime::Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let address = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(http::serve(listener, Arc::new(Shown(store().await)), access, CancellationToken::new()));
        address
    });
    (runtime, address)
}

#[test]
fn a_store_is_changed_beside_its_gateway_by_who_has_the_token() {
    let token = "0123456789abcdef0123456789abcdef";
    let (_runtime, address) = served(Access { token: Some(token.to_string().into()) });
    let (folder, config) = file(&format!(
        "[gateway]\nname = \"g\"\n[store]\npath = \"s\"\n[control]\nlisten = \"{address}\"\ntoken_file = \"token\"\n"
    ));
    let put = |token: &str, mode| {
        let file = folder.path().join("token");
        std::fs::write(&file, format!("{token}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    put("short", 0o600);
    let checked = tidegate(&["check", &config]);
    assert!(text(&checked.stderr).contains("token holds no usable token"), "{}", text(&checked.stderr));
    put(token, 0o644);
    let checked = tidegate(&["check", &config]);
    assert!(text(&checked.stderr).contains("token: anyone on this machine can read it"), "{}", text(&checked.stderr));
    put(token, 0o600);
    assert_eq!(text(&tidegate(&["check", &config]).stderr), "");

    let store = |arguments: &[&str]| tidegate(&[&["store"], arguments].concat());
    let verified = store(&["verify", "--config", &config]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stderr));
    assert!(text(&verified.stdout).contains("sound: every block is whole"), "{}", text(&verified.stdout));
    let url = format!("http://{address}");
    let purge = ["purge", "readings", "--before", "9223372036854775807"];
    let refused = store(&[&purge[..], &["--url", &url]].concat());
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stdout));
    assert!(text(&refused.stderr).contains("401 Unauthorized: this changes the store"), "{}", text(&refused.stderr));
    let purged = store(&[&purge[..], &["--config", &config]].concat());
    assert_eq!(text(&purged.stdout), "10 records of readings were given up; they are in the ledger (purged)\n");

    for (tool, why) in [
        (vec!["compact"], "a compaction puts a database written anew"),
        (vec!["repair"], "a repair writes a new database"),
        (vec!["restore", "a.pack"], "a restore puts another database"),
    ] {
        let refused = store(&[&tool[..], &["--config", &config]].concat());
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains(why) && said.contains("Stop the gateway first"), "{said}");
    }
}

#[test]
fn tap_prints_a_stream() {
    let (_runtime, address) = served(Access::default());
    let url = format!("http://{address}");
    let tap = tidegate(&["tap", "readings", "--url", &url, "-n", "3", "--from", "start"]);
    assert_eq!(tap.status.code(), Some(0), "{}", text(&tap.stderr));
    let numbers: Vec<i64> = text(&tap.stdout)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, [0, 1, 2]);

    let (_folder, config) =
        file(&format!("[gateway]\nname = \"g\"\n[store]\npath = \"s\"\n[control]\nlisten = \"{address}\"\n"));
    let tap = tidegate(&["tap", "reading", "--config", &config, "-n", "1"]);
    assert_eq!(tap.status.code(), Some(3));
    assert!(text(&tap.stderr).contains("404 Not Found: there is no stream \"reading\""), "{}", text(&tap.stderr));
}

#[test]
fn a_store_is_verified_while_no_gateway_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let dir = path.display().to_string();
    let verify = |more: &[&str]| tidegate(&[&["store", "verify", "--dir", &dir], more].concat());

    let none = verify(&[]);
    assert_eq!(none.status.code(), Some(3), "{}", text(&none.stdout));
    assert!(text(&none.stderr).contains("there is no store in this folder"), "{}", text(&none.stderr));
    assert!(!path.exists(), "and none is made by looking");

    let store = tidegate_store::sled::open(Options::new(&path, "plant-7")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(fill(&store));
    let held = verify(&[]);
    assert_eq!(held.status.code(), Some(3), "{}", text(&held.stdout));
    assert!(text(&held.stderr).contains("another process has it open"), "{}", text(&held.stderr));
    runtime.block_on(store.close()).unwrap();
    drop(store);

    let sound = verify(&[]);
    assert_eq!(sound.status.code(), Some(0), "{}", text(&sound.stderr));
    let lines = text(&sound.stdout);
    let readings = lines.lines().find(|line| line.starts_with("readings/0")).unwrap_or_else(|| panic!("{lines}"));
    let numbers: Vec<&str> = readings.split_whitespace().collect();
    assert_eq!((numbers[1], numbers[2], numbers[4]), ("1", "10", "10"), "{lines}");
    assert!(lines.ends_with("appended = stored + released + lost everywhere\n"), "{lines}");

    let (_config, file) = file(&format!("[gateway]\nname = \"plant-7\"\n[store]\npath = \"{dir}\"\n"));
    let json = tidegate(&["store", "verify", "--json", "--config", &file]);
    let told: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json.status.code(), &told["sound"]), (Some(0), &serde_json::json!(true)), "{told}");
    assert_eq!(told["report"]["gateway"], "plant-7");

    std::fs::write(path.join("streams/db"), "").unwrap();
    let damaged = verify(&[]);
    assert_eq!(damaged.status.code(), Some(5), "{}{}", text(&damaged.stdout), text(&damaged.stderr));
    assert_ne!(text(&damaged.stderr), "", "it says what is wrong");
}
