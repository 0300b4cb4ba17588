//! The author's loop, as an author goes it: from an empty folder outside the checkout.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// One folder for all that the tests build, so that the SDK is compiled once; without the last optimisation, which takes
/// most of the time and changes nothing that is tested here.
fn build_environment() -> [(&'static str, PathBuf); 2] {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("author");
    [("CARGO_TARGET_DIR", target), ("CARGO_PROFILE_RELEASE_LTO", "off".into())]
}

fn tidegate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).envs(build_environment()).env_remove("TIDEGATE_SDK").output().unwrap()
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

#[track_caller]
fn fails(arguments: &[&str]) -> String {
    let output = tidegate(arguments);
    assert_eq!(output.status.code(), Some(6), "tidegate {arguments:?}: {}", said(&output));
    said(&output)
}

const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk");

/// A plugin of that kind, begun in an empty folder.
fn begun(kind: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join(format!("my-{kind}")).display().to_string();
    succeeds(&["plugin", "new", &plugin, "--kind", kind, "--sdk", SDK]);
    (folder, plugin)
}

/// Runs the author's own tests; what they print.
#[track_caller]
fn natively(plugin: &str) -> String {
    let native = Command::new("cargo")
        // Released like the component, so that the macros are compiled once for both.
        .args(["test", "--release", "--quiet", "--manifest-path", &format!("{plugin}/Cargo.toml")])
        .envs(build_environment())
        .output()
        .unwrap();
    assert!(native.status.success(), "{}", said(&native));
    said(&native)
}

#[test]
fn every_kind_begins_with_something_that_builds_and_holds() {
    for kind in ["filter", "transform", "detect", "aggregate", "codec"] {
        let (_folder, plugin) = begun(kind);
        assert!(natively(&plugin).contains("2 passed"), "{kind}");
        succeeds(&["plugin", "build", &plugin]);
        let tested = succeeds(&["plugin", "test", &plugin]);
        assert!(tested.starts_with(&format!("my-{kind} 0.1.0 ({kind})\n")), "{tested}");
        assert!(tested.contains(" passed, 0 failed"), "{tested}");
        let inspected = succeeds(&["plugin", "inspect", &plugin, "--json"]);
        let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
        assert_eq!((&inspected["kind"], &inspected["name"]), (&kind.into(), &format!("my-{kind}").into()));
    }
}

/// The file of a plugin that ships.
fn shipped(name: &str) -> String {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let file = target.join("plugins").join(name);
    assert!(file.exists(), "{} is not there: run `cargo xtask plugins`", file.display());
    file.display().to_string()
}

#[test]
fn a_case_that_does_not_hold_is_shown_with_what_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let cases = folder.path().join("cases.yaml");
    let text = "
fields: { temp: f64 }
params: { field: temp, above: 20 }
cases:
  - name: holds
    in: [{ temp: 21 }, { temp: 19 }]
    out: [{ temp: 21.0 }]
  - name: does not
    in: [{ device: d1, temp: 21 }]
    out: [{ device: d2, temp: 21 }]
  - name: refuses too little
    params: { field: hum }
    refused: [/field]
  - name: has a field nobody knows
    in: [{ hum: 1 }]
  - name: reads what is not there
    params: { field: hum, above: 20 }
    in: [{ temp: 1 }]
  - name: has a window that nothing is asked of
    window: { tumbling: 10s }
    in: [{ temp: 21 }]
  - name: has a time nobody knows
    in: [{ temp: 21, time: noon }]
  - name: has a time as it is printed
    in: [{ temp: 21, time: 2026-01-31T08:00:00.5Z }]
    out: [{ time: 1769846400.5, temp: 21.0 }]
  - name: counts other than that
    fields: { temp: f64, count: i64 }
    in: [{ temp: 21, count: 5000000001 }]
    out: [{ temp: 21, count: 5000000000 }]
";
    std::fs::write(&cases, text).unwrap();
    let cases = cases.display().to_string();
    let said = fails(&["plugin", "test", &shipped("threshold.wasm"), "--cases", &cases]);
    let expected = r#"threshold 0.1.0 (filter)
  ok     holds
  FAILED does not
         - {"device":"d2","temp":21}
         + {"device":"d1","temp":21.0,"time":"1970-01-01T00:00:00.000000Z"}
  FAILED refuses too little
         refused at /above too: neither above nor below is given: nothing to do
  FAILED has a field nobody knows
         record 0: there is no field "hum"; name it in fields
  FAILED reads what is not there
         operator 1 (threshold): threshold 0.1.0: /field: the input has no field hum; field is string, needed: The field to look at, a number; the input has temp f64
  FAILED has a window that nothing is asked of
         only an aggregate has a window: leave it out
  FAILED has a time nobody knows
         record 0: time: "noon" is neither seconds since the epoch nor a time like 2026-01-31T08:00:00Z
  ok     has a time as it is printed
  FAILED counts other than that
         - {"count":5000000000,"temp":21}
         + {"count":5000000001,"device":"device","temp":21.0,"time":"1970-01-01T00:00:00.000000Z"}
2 passed, 7 failed
"#;
    assert_eq!(said, expected);
    std::fs::write(&cases, "fields: { temp: f64 }\nparams: { field: temp, above: 20 }\ncases:\n  - name: holds\n")
        .unwrap();
    let said = fails(&["plugin", "test", &shipped("threshold.wasm"), "--cases", &cases]);
    assert!(said.contains("case \"holds\" tries nothing: write in, or refused"), "{said}");
}

/// A filter that keeps the first row of every call: what no plugin may do.
#[test]
fn a_plugin_whose_results_depend_on_the_cuts_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("first").display().to_string();
    succeeds(&["plugin", "new", &plugin, "--kind", "filter", "--sdk", SDK]);
    let lib = r#"
use tidegate::{Batch, Fault, Field, Filter, Issue, Plan, Plugin};
pub struct First;
impl Plugin for First {
    type Params = ();
    fn configure(_: (), _: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
        Ok((First, Plan::default()))
    }
}
impl Filter for First {
    fn keep(&mut self, batch: &Batch, _: &mut Vec<Fault>) -> Vec<u8> {
        (0..batch.rows).map(|row| u8::from(row == 0)).collect()
    }
}
tidegate::export!(filter First);
"#;
    std::fs::write(format!("{plugin}/src/lib.rs"), lib).unwrap();
    let cases = "fields: { temp: f64 }\ncases:\n  - name: three\n    in: [{temp: 1}, {temp: 2}, {temp: 3}]\n    out: [{temp: 1}]\n";
    std::fs::write(format!("{plugin}/cases.yaml"), cases).unwrap();
    succeeds(&["plugin", "build", &plugin]);
    let said = fails(&["plugin", "test", &plugin]);
    assert!(said.contains("results depend on how records are cut into batches: one by one"), "{said}");
    // What is wrong with it is above, and no target to be installed.
    std::fs::write(format!("{plugin}/src/lib.rs"), "fn").unwrap();
    let said = fails(&["plugin", "build", &plugin]);
    assert!(said.ends_with("it does not build: what cargo says is above\n"), "{said}");
}

/// The aggregate in WebAssembly text, with a mistake in it, and what its cases come to.
fn mistaken(right: &str, wrong: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("summary").display().to_string();
    succeeds(&["plugin", "new", &plugin, "--kind", "aggregate", "--lang", "wat"]);
    let file = format!("{plugin}/plugin.wat");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches(right).count(), 1, "{right}");
    std::fs::write(&file, text.replace(right, wrong)).unwrap();
    succeeds(&["plugin", "build", &plugin]);
    fails(&["plugin", "test", &plugin])
}

#[test]
fn a_window_that_two_slots_took_in_has_the_result_of_one() {
    let more = "(if (f64.gt (f64.load $slots (local.get $more)) (f64.const 0))";
    let said = mistaken(more, &more.replace("(f64.const 0)", "(f64.const 1)"));
    assert!(
        said.contains("windows merged, no record in the first slot, all in the second have another result"),
        "{said}"
    );
    assert!(said.contains(r#"- {"count":1,"greatest":30.0,"least":30.0,"mean":30.0}"#), "{said}");
    assert!(said.contains(r#"+ {"count":0}"#), "{said}");
}

#[test]
fn a_window_may_begin_before_the_first_time_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("early").display().to_string();
    succeeds(&["plugin", "new", &plugin, "--kind", "aggregate", "--lang", "wat"]);
    let records = "in: [{time: -9223372036853, temp: 1}, {time: -9223372036852, temp: 2}]\n    out: [{count: 2}]";
    let ignored = "ignore: [greatest, least, mean, window_end]";
    let window = "window: { tumbling: 10s }";
    let cases = format!("fields: {{ temp: f64 }}\n{window}\ncases:\n  - name: early\n    {ignored}\n    {records}\n");
    std::fs::write(format!("{plugin}/cases.yaml"), cases).unwrap();
    succeeds(&["plugin", "build", &plugin]);
    succeeds(&["plugin", "test", &plugin]);
}

#[test]
fn a_slot_that_is_used_again_has_nothing_left_in_it() {
    let forgets = "(memory.fill $slots (call $slot (i32.load (local.get $of))) (i32.const 0) (global.get $slot_bytes))";
    let said = mistaken(forgets, "");
    assert!(said.contains("slots that were released and are used again have another result"), "{said}");
    assert!(said.contains(r#"+ {"count":6,"greatest":25.0,"least":18.0,"mean":21.0}"#), "{said}");
}

/// Warns of every record that comes after noon of the first day, by the gateway's date, and names its device.
const LATE: &str = r#"
use tidegate::{Params, Record, clock, log};

#[derive(Record)]
pub struct Reading { pub device: String, pub temp: f64 }

#[derive(Params)]
pub struct Warm {
    /// Colder ones are not told.
    #[param(default = 0.0, unit = "Cel")]
    pub above: f64,
}

#[tidegate::filter]
pub fn late(r: &Reading, p: &Warm) -> bool {
    let late = clock::wall().is_some_and(|wall| wall >= 43_200_000_000) && clock::arrival() > 0;
    if late && r.temp > p.above {
        log!(warn, "{} came late", r.device);
    }
    late && r.device == "d1"
}

#[test]
fn noon_is_late() {
    let warm = Warm { above: 0.0 };
    let reading = Reading { device: "d1".into(), temp: 1.0 };
    assert!(!late(&reading, &warm));
    tidegate::testing::arrived(1, Some(43_200_000_000));
    assert!(late(&reading, &warm));
    assert_eq!(tidegate::testing::logged(), [(log::Level::Warn, "d1 came late".to_string())]);
}
"#;

#[test]
fn an_author_logs_and_tells_the_time_and_an_operator_grants_it() {
    // A name of its own: builds of the same name in one folder overwrite each other.
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("late").display().to_string();
    succeeds(&["plugin", "new", &plugin, "--kind", "filter", "--sdk", SDK]);
    std::fs::write(format!("{plugin}/src/lib.rs"), LATE).unwrap();
    let records = "in: [{device: d1, temp: 1}, {device: d2, temp: 1}]";
    let cases = format!(
        "fields: {{ temp: f64 }}\ncases:\n  - name: at noon\n    arrival: 43200\n    {records}\n    out: [{{device: d1}}]\n    \
         ignore: [temp]\n  - name: before\n    arrival: 43199\n    {records}\n"
    );
    std::fs::write(format!("{plugin}/cases.yaml"), cases).unwrap();
    natively(&plugin);
    succeeds(&["plugin", "build", &plugin]);
    assert!(succeeds(&["plugin", "test", &plugin]).contains("2 passed, 0 failed"));
    let inspected = succeeds(&["plugin", "inspect", &plugin]);
    assert!(
        inspected.contains("  imports   log, clock (an operator needs grant = [\"log\", \"clock\"])\n"),
        "{inspected}"
    );
    assert!(inspected.contains("    above  number   Cel Colder ones are not told. (default 0.0 Cel)\n"), "{inspected}");
    let check = |grant: &str| {
        let config = format!(
            "[gateway]\nname = \"g\"\n[store]\npath = \"store\"\n[plugins]\ndir = \"late\"\n\
             [streams.a]\nfields = {{ temp = \"f64\" }}\n\
             [pipelines.p]\nfrom = [\"a\"]\nto = \"b\"\n[[pipelines.p.operators]]\nfilter = \"late\"\n{grant}\n"
        );
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, config).unwrap();
        said(&tidegate(&["check", &file.display().to_string()]))
    };
    let refused = check("");
    let remedy =
        "imports tidegate:plugin/log@1.0.0 and tidegate:plugin/clock@1.0.0, which is not granted: write grant = ";
    assert!(refused.contains("pipelines.p, operator 1: plugin ") && refused.contains(remedy), "{refused}");
    let refused = check("grant = [\"log\", \"clok\"]");
    assert!(refused.contains("grant: \"clok\" is none of log, clock, lookup; did you mean"), "{refused}");
    let granted = "grant = [\"log\", \"clock\"]";
    let sound = check(granted);
    assert!(sound.contains("is sound"), "{sound}");
    let refused = check(&format!("{granted}\nparams = {{ above = \"warm\" }}"));
    let told = "/above: expected a number; above is number, in Cel, default 0.0: Colder ones are not told.\n";
    assert!(refused.contains(told), "{refused}");
}

#[test]
fn what_a_plugin_costs_is_measured_and_held_against_a_budget() {
    let plugin = shipped("zscore.wasm");
    let arguments =
        ["plugin", "bench", &plugin, "--field", "temp=f64", "--params", r#"{"field":"temp"}"#, "--time-ms", "5"];
    let measured = succeeds(&[&arguments[..], &["--batch", "1,64", "--json"]].concat());
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    assert_eq!((&measured[0]["batch"], &measured[1]["batch"]), (&1.into(), &64.into()));
    assert!(measured[1]["ns_per_record"].as_f64().unwrap() > 0.0 && measured[1]["faults"] == 0, "{measured}");
    let fuel = |measured: &serde_json::Value, line: usize| measured[line]["fuel_per_record"].as_f64().unwrap();
    assert!(fuel(&measured, 0) > fuel(&measured, 1) && fuel(&measured, 1) > 1.0, "{measured}");
    let again: serde_json::Value =
        serde_json::from_str(&succeeds(&[&arguments[..], &["--batch", "64", "--json"]].concat())).unwrap();
    assert_eq!(fuel(&again, 0), fuel(&measured, 1), "the same at every run");
    let last = ["plugin", "bench", "--params", r#"{"field":"temp"}"#, "--field", "temp=f64", "--time-ms", "5"];
    succeeds(&[&last[..], &["--batch", "16", "--", &plugin]].concat());
    let over = fails(&[&arguments[..], &["--batch", "16", "--budget-fuel", "1.5"]].concat());
    assert!(over.contains(" fuel a record are over the budget of 1.5"), "{over}");
    succeeds(&[&arguments[..], &["--batch", "16", "--budget-fuel", "1e9", "--limit", "call_fuel=1000000000"]].concat());
    let over = fails(&[&arguments[..], &["--batch", "16", "--budget", "0.001"]].concat());
    assert!(over.contains("over the budget of 0.001"), "{over}");
    let nothing = said(&tidegate(&[&arguments[..], &["--batch", "0", "--budget", "1"]].concat()));
    assert!(nothing.contains("expected a number of records, 1 or more"), "{nothing}");
    let list = said(&tidegate(&["plugin", "bench", &plugin, "--field", "temp=f64", "--params", "[1]"]));
    assert!(list.contains("expected a JSON object"), "{list}");
}

#[test]
fn a_plugin_is_tried_within_other_limits_than_the_default_ones() {
    let said = fails(&["plugin", "inspect", &shipped("scale.wasm"), "--limit", "module_bytes=1KiB"]);
    assert!(said.contains("is larger than 1024 bytes; raise plugins.module_bytes"), "{said}");
    succeeds(&["plugin", "inspect", &shipped("scale.wasm"), "--limit", "call_time=1s", "--limit", "instances=64"]);
}

#[test]
fn cases_hold_a_plugin_to_a_limit_of_fuel() {
    let (plugin, cases) =
        (shipped("enrich.wasm"), concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/enrich/cases.yaml"));
    let test = |limit: &str| tidegate(&["plugin", "test", &plugin, "--cases", cases, "--limit", limit]);
    let over = test("call_fuel=1000");
    assert!(
        !over.status.success() && said(&over).contains("faulted: took more fuel than call_fuel allows"),
        "{over:?}"
    );
    let within = test("call_fuel=1000000");
    assert!(within.status.success() && said(&within).contains("3 passed, 0 failed"), "{within:?}");
}

#[test]
fn what_is_there_is_said_of_a_plugin() {
    let said = succeeds(&["plugin", "inspect", &shipped("scale.wasm")]);
    for part in
        ["  kind      transform\n", "  contract  tidegate:plugin@1.0.0\n", "    factor  number   What a value is"]
    {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    assert!(
        said.contains("(default 1.0)") && said.contains("(needed)") && said.contains("(may be left out)"),
        "{said}"
    );
}

#[test]
fn what_is_no_plugin_and_no_folder_of_one_is_told_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    assert!(fails(&["plugin", "test", &path]).contains("build it first: tidegate plugin build"));
    let said = fails(&["plugin", "build", &path]);
    let told = ["there is none of Cargo.toml, plugin.c, ", "tidegate plugin new NAME begins a plugin"];
    assert!(told.iter().all(|part| said.contains(part)), "{said}");
    let bad = format!("{path}/Warm");
    let said = fails(&["plugin", "new", &bad, "--kind", "filter", "--sdk", SDK]);
    assert!(said.contains("\"Warm\" is no name of a plugin"), "{said}");
    let said = fails(&["plugin", "new", &format!("{path}/warm"), "--kind", "filter", "--sdk", &path]);
    assert!(said.contains("the folder sdk of Tidegate's source is meant"), "{said}");
    let said = fails(&["plugin", "new", &format!("{path}/warm"), "--kind", "filter"]);
    assert!(said.contains("a plugin in Rust needs --sdk PATH (or TIDEGATE_SDK)"), "{said}");
    let said = fails(&["plugin", "new", &format!("{path}/warm"), "--kind", "codec", "--lang", "c"]);
    assert!(said.contains("no template of a codec in c: filter, detect and aggregate there are"), "{said}");
}

#[test]
fn a_tool_that_is_missing_is_named_with_what_brings_it() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("warm").display().to_string();
    succeeds(&["plugin", "new", &plugin, "--kind", "filter", "--lang", "c"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = command.args(["plugin", "build", &plugin]).env("PATH", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let remedy = "wasm-ld is not there: install clang and lld: apt-get install clang lld";
    assert!(said(&output).contains(remedy), "{}", said(&output));
}

#[test]
fn what_a_plugin_exports_must_be_what_its_world_says() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("warm").display().to_string();
    succeeds(&["plugin", "new", &plugin, "--kind", "filter", "--lang", "wat"]);
    let world = "package my:plugin;\nworld plugin { include tidegate:plugin/detect-plugin@1.0.0; }\n";
    std::fs::write(format!("{plugin}/wit/world.wit"), world).unwrap();
    let said = fails(&["plugin", "build", &plugin]);
    assert!(said.contains("does it export what wit/world.wit says, and import nothing else?"), "{said}");
    assert!(said.contains("failed to find export of interface `tidegate:plugin/state@1.0.0`"), "{said}");
}

#[test]
fn a_plugin_that_chokes_the_compiler_costs_a_child() {
    // Shown by the folder the child's files are in: without a place for them nothing is compiled.
    let nowhere = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["plugin", "inspect", &shipped("scale.wasm")])
        .env("TMPDIR", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(6));
    assert!(said(&nowhere).contains("no temporary folder to compile in: "), "{}", said(&nowhere));
}

/// A transform that has its device's row as a field.
const PLACED: &str = r#"
use tidegate::{Emits, Record};

#[derive(Record)]
struct Reading {
    /// Of the air.
    #[record(unit = "Cel")]
    temp: f64,
    #[record(table = "sites")]
    site: Option<Site>,
}

#[derive(Record)]
struct Site {
    target: f64,
}

#[derive(Emits)]
struct Placed {
    /// How much warmer than it should be.
    #[record(unit = "K")]
    above: Option<f64>,
}

#[tidegate::transform]
fn placed(r: &Reading) -> Placed {
    Placed { above: r.site.as_ref().map(|site| r.temp - site.target) }
}

#[test]
fn a_reading_is_compared_with_its_sites_target() {
    tidegate::testing::table("sites", "device,target:f64\nd1,20\n");
    let expected = "device time temp above\nd1 0 21.5 1.5\nd9 1 21.5 -";
    tidegate::testing::plugin!().check("device time temp\nd1 0 21.5\nd9 1 21.5", expected);
}
"#;

#[test]
fn an_author_looks_things_up_once_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("placed").display().to_string();
    succeeds(&["plugin", "new", &plugin, "--kind", "transform", "--sdk", SDK]);
    std::fs::write(format!("{plugin}/src/lib.rs"), PLACED).unwrap();
    let cases = "fields: { temp: f64 }\ntables:\n  sites: { key: device, rows: [{ device: d1, target: 20.0 }] }\ncases:\n  \
                 - name: two\n    in: [{ device: d1, temp: 21.5 }, { device: d9, temp: 1 }]\n    \
                 out: [{ device: d1, temp: 21.5, above: 1.5 }, { device: d9, temp: 1.0, above: null }]\n  \
                 - name: a target that is text\n    \
                 tables: { sites: { key: device, rows: [{ device: d1, target: warm }] } }\n    refused: ['']\n";
    std::fs::write(format!("{plugin}/cases.yaml"), cases).unwrap();
    assert!(natively(&plugin).contains("1 passed"));
    succeeds(&["plugin", "build", &plugin]);
    let tested = succeeds(&["plugin", "test", &plugin]);
    assert!(tested.contains("2 passed, 0 failed"), "{tested}");
    let inspected = succeeds(&["plugin", "inspect", &plugin]);
    let fields = "  reads:\n    temp    f64, in Cel, never null: Of the air.\n    device  text\n    target  f64, of table sites\n  \
                  emits:\n    above  f64, in K: How much warmer than it should be.\n";
    assert!(inspected.contains("  imports   lookup (an operator needs grant = [\"lookup\"])\n"), "{inspected}");
    assert!(inspected.ends_with(fields), "{inspected}");
}

#[test]
fn lines_go_through_a_sources_decoder_and_the_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gateway.toml");
    let text = r#"
[gateway]
name = "g"
[store]
path = "store"
[streams.readings]
fields = { temp = "f64" }
[tables.sites]
file = "sites.csv"
key = "device"
[sources.field]
type = "mqtt"
stream = "readings"
url = "mqtt://localhost"
topics = ["sensors/+"]
client_id = "g"
[sources.field.decode]
format = "json"
topic = "sensors/{device}"
[pipelines.p]
from = ["readings"]
to = "out"
[[pipelines.p.operators]]
transform = "enrich"
params = { table = "sites", unknown = "reject" }
grant = ["lookup"]
"#;
    std::fs::write(&config, text).unwrap();
    std::fs::write(folder.path().join("sites.csv"), "device,site\nd1,north\n").unwrap();
    let lines = "[sensors/d1] {\"temp\":21.5}\n\n[sensors/d9] {\"temp\":1}\n[sensors/d1] {\"temp\":}\n";
    let config = config.display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["plugin", "test", &shipped("enrich.wasm"), "--source", "field", "--config", &config]);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let made = String::from_utf8(output.stdout.clone()).unwrap();
    let made: Vec<&str> = made.lines().collect();
    assert!(output.status.success(), "{}", said(&output));
    let record: serde_json::Value = serde_json::from_str(made[0]).unwrap();
    assert_eq!((&record["device"], &record["site"], &record["temp"]), (&"d1".into(), &"north".into(), &21.5.into()));
    assert_eq!(made[1], "# record 1: table sites has no row of its device");
    assert!(made[2].starts_with("# line 3 does not decode: "), "{made:?}");
    assert!(said(&output).ends_with("3 lines, 1 records made, 2 set aside\n"), "{}", said(&output));
    let unknown = fails(&["plugin", "test", &shipped("enrich.wasm"), "--source", "fields", "--config", &config]);
    assert!(unknown.contains("gateway.toml: there is no source \"fields\"; there are field"), "{unknown}");
}
