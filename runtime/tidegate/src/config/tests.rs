//! `config/gateway.toml`, the reference, held against the readers.

use super::context::{Asked, Context};
use super::{StreamConfig, read};
use std::collections::BTreeSet;
use std::path::Path;
use toml::de::DeTable;

const REFERENCE: &str = include_str!("../../../../config/gateway.toml");

/// Options that have no default: the reference shows an example.
const WITHOUT_DEFAULT: [&str; 28] = [
    "control.token_file",
    "pipelines.*.operators.codec",
    "pipelines.*.operators.keep",
    "pipelines.*.operators.release_after",
    "pipelines.*.operators.transform",
    "sinks.*.bearer_token",
    "sinks.*.bearer_token_file",
    "sinks.*.ca_file",
    "sources.*.ca_file",
    "sources.*.cert_file",
    "sources.*.client_ca_file",
    "sources.*.decode.topic",
    "sources.*.key_file",
    "sources.*.password",
    "sources.*.password_file",
    "sources.*.username",
    "store.endurance",
    "store.write_budget",
    "streams.*.max_age",
    "tables.*.fields.*.type",
    "tables.*.fields.*.unit",
    "tables.*.file",
    "tables.*.format",
    "tables.*.key",
    "tables.*.query",
    "tables.*.table",
    "uplink.max_bytes_per_hour",
    "uplink.send_window",
];

/// The reference with every option and section that it shows in a comment.
fn uncommented() -> String {
    let uncomment = |line: &str| {
        let shown = line.strip_prefix("# ").filter(|rest| {
            let key = rest.split(" = ").next().unwrap_or_default();
            let is_option = rest.contains(" = ") && !key.trim_matches('"').contains([' ', '`', ':']);
            is_option || (rest.starts_with('[') && rest.ends_with(']'))
        });
        format!("{}\n", shown.unwrap_or(line))
    };
    REFERENCE.lines().map(uncomment).collect()
}

/// What the readers asked for, which of it was given, and what was wrong.
fn asked(text: &str) -> (Vec<Asked>, Vec<String>) {
    let env = |name: &str| Some(format!("value-of-{name}"));
    let context = Context::new(Path::new("gateway.toml"), "gateway.toml", text, &env);
    let table = DeTable::parse(text).unwrap();
    let config = read(Path::new("gateway.toml"), table.get_ref(), &context);
    assert_eq!(config.gateway, "plant-7");
    let asked = context.asked();
    (asked, context.finish().map_or_else(|errors| errors.lines(), |_| Vec::new()))
}

/// The path with chosen names as `*`: `sources.field.url` is `sources.*.url`.
fn pattern(path: &str) -> String {
    let mut levels: Vec<String> = path.split('.').map(str::to_string).collect();
    let named = ["streams", "sources", "pipelines", "sinks", "tables"].contains(&levels[0].as_str());
    let own = levels.get(1).is_some_and(|name| name == "dead_letters" || name == "ledger");
    if named && levels.len() > 1 && !own {
        levels[1] = "*".into();
    }
    if named && levels.get(2).is_some_and(|level| level == "fields") && levels.len() > 3 {
        levels[3] = "*".into();
    }
    let level = |level: &String| level.split('[').next().unwrap_or_default().to_string();
    levels.iter().map(level).collect::<Vec<_>>().join(".")
}

fn given(asked: &[Asked]) -> BTreeSet<String> {
    asked.iter().filter(|asked| asked.given).map(|asked| pattern(&asked.path)).collect()
}

#[test]
fn the_reference_shows_every_option_there_is() {
    let (asked, problems) = asked(&uncommented());
    assert_eq!(problems, Vec::<String>::new());

    let shown = given(&asked);
    let known: BTreeSet<String> = asked.iter().map(|asked| pattern(&asked.path)).collect();
    // What holds for dead_letters holds for the ledger, which the reference names beside it.
    let missing: Vec<_> = known
        .difference(&shown)
        .filter(|path| !path.starts_with("streams.dead_letters.") && !path.starts_with("streams.ledger."))
        .collect();
    assert!(missing.is_empty(), "config/gateway.toml does not show {missing:#?}");
    assert!(known.len() > 100, "only {} options", known.len());
}

#[test]
fn the_reference_as_it_stands_is_sound() {
    let (_, problems) = asked(REFERENCE);
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn the_defaults_shown_are_the_defaults() {
    let (as_it_stands, _) = asked(REFERENCE);
    let stands: BTreeSet<&str> =
        as_it_stands.iter().filter(|asked| asked.given).map(|asked| asked.path.as_str()).collect();
    let (all, _) = asked(&uncommented());
    let mut without_default = BTreeSet::new();
    let mut compared = 0;
    for Asked { path, default, read, .. } in &all {
        let Some(read) = read.as_ref().filter(|_| !stands.contains(path.as_str())) else { continue };
        match default {
            Some(default) => assert_eq!(default, read, "{path}: the default, and what config/gateway.toml shows"),
            None => {
                without_default.insert(pattern(path));
            }
        }
        compared += 1;
    }
    let expected: BTreeSet<String> = WITHOUT_DEFAULT.iter().map(|path| path.to_string()).collect();
    assert_eq!(without_default, expected);
    assert!(compared > 60, "only {compared} options were compared");
}

#[test]
fn streams_that_are_not_declared_have_the_defaults_of_those_that_are() {
    let text = "[gateway]\nname = \"plant-7\"\n[store]\npath = \"s\"\n[streams.s]\nfields = { a = \"f64\" }\n";
    let config = super::parse(Path::new("gateway.toml"), text, &|_| None).unwrap();
    let retention = |name: &str| config.streams.iter().find(|s| s.name == name).map(|s| s.retention.clone()).unwrap();
    assert_eq!(retention("s"), StreamConfig::made_by_pipelines("s").retention);
    assert_eq!(retention("dead_letters"), retention("ledger"));
    assert_eq!(retention("dead_letters").max_bytes, 64 << 20);
}

/// `drop_oldest` is never a default: where the configuration does not say so, a source that can wait has to.
#[test]
fn nothing_is_dropped_where_the_configuration_does_not_say_so() {
    let text = "[gateway]\nname = \"plant-7\"\n[store]\npath = \"s\"\n[streams.s]\nfields = { a = \"f64\" }\n\
                [pipelines.p]\nfrom = [\"s\"]\nto = \"made\"\n[[pipelines.p.operators]]\nfilter = \"threshold\"\n";
    let parse = |more: &str| super::parse(Path::new("gateway.toml"), &format!("{text}{more}"), &|_| None).unwrap();
    let when_full = |config: &super::Config, name: &str| {
        let stream = config.streams.iter().find(|stream| stream.name == name).unwrap();
        (stream.retention.when_full, stream.retention.max_age)
    };
    let config = parse("");
    for name in ["s", "made"] {
        assert_eq!(when_full(&config, name), (tidegate_store::WhenFull::Block, None), "{name}");
    }
    let asked = parse("[streams.made]\nfields = { a = \"f64\" }\nwhen_full = \"drop_oldest\"\n");
    assert_eq!(when_full(&asked, "made").0, tidegate_store::WhenFull::DropOldest);
}

#[test]
fn a_limit_of_fuel_that_nothing_would_hold_to_is_refused() {
    let text =
        "[gateway]\nname = \"plant-7\"\n[store]\npath = \"s\"\n[streams.s]\nfields = { a = \"f64\" }\n[plugins]\n";
    let parse = |plugins: &str| super::parse(Path::new("gateway.toml"), &format!("{text}{plugins}"), &|_| None);
    let refused = parse("call_fuel = 1000000\n").unwrap_err().to_string();
    let told = "plugins.call_fuel: is a limit only where fuel is counted: write fuel = true";
    assert!(refused.contains(told), "{refused}");
    let config = parse("fuel = true\ncall_fuel = 1000000\n").unwrap();
    assert_eq!((config.plugins.fuel, config.plugins.limits.call_fuel), (true, Some(1_000_000)));
    let default = parse("call_fuel = 0\n").unwrap();
    assert_eq!((default.plugins.fuel, default.plugins.limits.call_fuel), (false, None));
}
