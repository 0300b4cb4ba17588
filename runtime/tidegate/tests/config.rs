//! Configurations and what is said of them: each `fixtures/config/NAME.toml` has its text in `NAME.txt`.
//!
//! `UPDATE_FIXTURES=1 cargo test -p tidegate --test config` writes the texts anew, to be read before they are kept.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use tidegate::config;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/config");

fn tomls(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

/// The environment of the fixtures.
fn variable(name: &str) -> Option<String> {
    match name {
        "SITE" => Some("plant-7".into()),
        "GARBAGE" => Some("${SITE}".into()),
        _ => None,
    }
}

fn said_of(text: &str) -> String {
    match config::parse(Path::new("gateway.toml"), text, &variable) {
        Ok(config) => config.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect(),
        Err(errors) => format!("{errors}\n"),
    }
}

#[test]
fn every_problem_is_said_at_once_with_its_place() {
    let mut wrong = Vec::new();
    let files = tomls(FOLDER);
    for file in &files {
        let said = said_of(&std::fs::read_to_string(file).unwrap());
        let text = file.with_extension("txt");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            std::fs::write(&text, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&text).unwrap_or_default();
        if said != expected {
            wrong.push(format!("--- {} says\n{said}--- and should say\n{expected}", file.display()));
        }
    }
    assert!(files.len() >= 15, "only {} fixtures", files.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let errors = config::load(Path::new("/nowhere/gateway.toml")).unwrap_err();
    assert_eq!(errors.to_string(), "/nowhere/gateway.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn secrets_never_show() {
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("hunter2-{name}\n")).unwrap();
        path.display().to_string()
    };
    let text = format!(
        r#"
        [gateway]
        name = "g"
        [store]
        path = "store"
        [streams.s]
        fields = {{ temp = "f64" }}
        [sources.one]
        type = "mqtt"
        stream = "s"
        url = "mqtts://localhost"
        topics = ["a"]
        client_id = "one"
        password = "${{SECRET}}"
        decode = {{ format = "json", device = "/d" }}
        [sources.two]
        type = "mqtt"
        stream = "s"
        url = "mqtts://localhost"
        topics = ["a"]
        client_id = "two"
        password_file = {password:?}
        decode = {{ format = "json", device = "/d" }}
        [sinks.one]
        type = "http"
        from = "s"
        url = "https://localhost"
        bearer_token = "hunter2"
        headers = {{ X-Key = "hunter2" }}
        [sinks.two]
        type = "kafka"
        from = "s"
        brokers = ["localhost:9092"]
        topic = "t"
        librdkafka = {{ "sasl.password" = "hunter2", "ssl.key.password_file" = {key:?} }}
        "#,
        password = secret("password"),
        key = secret("key"),
    );
    let env = |name: &str| (name == "SECRET").then(|| "hunter2".to_string());
    let config = config::parse(Path::new("gateway.toml"), &text, &env).unwrap();

    let config::SourceKind::Mqtt(from_file) = &config.sources[1].kind else { panic!("an MQTT source") };
    assert_eq!(from_file.password.as_ref().map(|secret| secret.reveal()), Some("hunter2-password"), "newline trimmed");
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    assert_eq!(config.warnings.len(), 2, "files that anyone can read are warned of: {:?}", config.warnings);
}
