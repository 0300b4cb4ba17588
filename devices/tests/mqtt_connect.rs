//! What an MQTT source says when it cannot connect, against a real mosquitto.

mod common;

use common::{Custody, Mosquitto, Running, certificates, eventually, free_port};
use std::process::Command;
use tidegate_devices::State;
use tidegate_devices::mqtt::{Options, Version};

const BOTH: [Version; 2] = [Version::V5, Version::V311];

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_said_and_right_ones_work() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("passwords");
    let made = Command::new("mosquitto_passwd").arg("-b").arg("-c").arg(&file).args(["gateway", "right"]).status();
    assert!(made.unwrap().success());
    let broker = Mosquitto::start_in(dir, "allow_anonymous false\npassword_file {dir}/passwords\n").await;
    for version in BOTH {
        let with = |password: &str| Options {
            username: Some("gateway".into()),
            password: Some(password.to_owned().into()),
            ..broker.options(version)
        };
        let custody = Custody::quick();
        let wrong = Running::mqtt(with("wrong"), &custody);
        let status = wrong.says("the broker refuses the credentials: check username and password").await;
        assert_eq!(status.state, State::Retrying);
        eventually(|| wrong.handle.status().failures, |&n| n >= 2).await;
        wrong.crash().await;
        let right = Running::mqtt(with("right"), &custody);
        right.connected().await;
        right.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_works_with_the_authority_and_names_what_is_wrong_without() {
    let dir = tempfile::tempdir().unwrap();
    let ca = certificates(dir.path(), "127.0.0.1");
    let settings = "allow_anonymous true\ncertfile {dir}/cert\nkeyfile {dir}/key\n";
    let broker = Mosquitto::start_in(dir, settings).await;
    let secure = |ca_file, host: &str| Options {
        url: format!("mqtts://{host}:{}", broker.port),
        ca_file,
        ..broker.options(Version::V5)
    };
    let custody = Custody::quick();
    let right = Running::mqtt(secure(Some(ca.clone()), "127.0.0.1"), &custody);
    right.connected().await;
    right.crash().await;

    let other_dir = tempfile::tempdir().unwrap();
    let other = certificates(other_dir.path(), "elsewhere");
    let refused = |options, words: &'static str| {
        let custody = custody.clone();
        async move {
            let source = Running::mqtt(options, &custody);
            source.says(words).await;
            source.crash().await;
        }
    };
    refused(secure(Some(other), "127.0.0.1"), "is signed by nobody we trust: set ca_file").await;
    refused(secure(None, "127.0.0.1"), "is signed by nobody we trust: set ca_file").await;
    refused(secure(Some(ca.clone()), "localhost"), "is not for localhost: it is for").await;
    let missing = broker.dir.path().join("nowhere");
    refused(secure(Some(missing), "127.0.0.1"), "nowhere: No such file").await;
    let key = broker.dir.path().join("key");
    refused(secure(Some(key), "127.0.0.1"), "holds no PEM certificate").await;
    let plain = Mosquitto::start().await;
    let to_plain = Options { url: format!("mqtts://127.0.0.1:{}", plain.port), ..secure(Some(ca), "127.0.0.1") };
    refused(to_plain, "closed the connection").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_is_waited_for() {
    for version in BOTH {
        let custody = Custody::quick();
        let port = free_port();
        let options = |url: String| Options {
            url,
            topics: vec!["sensors/#".into()],
            client_id: "gateway".into(),
            version,
            decode: common::decode(),
            ..Default::default()
        };
        let source = Running::mqtt(options(format!("mqtt://127.0.0.1:{port}")), &custody);
        let status = source.says("refuses the connection: is the broker running").await;
        assert_eq!(status.state, State::Retrying, "{version:?}");
        assert_eq!(source.drain().await.state, State::Stopped);
        let source = Running::mqtt(options("mqtt://no-such-host.invalid".into()), &custody);
        source.says("the name no-such-host.invalid cannot be resolved").await;
        source.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_filter_is_said() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("acl"), "topic read allowed/#\n").unwrap();
    let broker = Mosquitto::start_in(dir, "allow_anonymous true\nacl_file {dir}/acl\n").await;
    let custody = Custody::quick();
    let topics = vec!["sensors/#".into(), "$SYS/broker/uptime".into()];
    let source = Running::mqtt(Options { topics, ..broker.options(Version::V5) }, &custody);
    source.connected().await;
    // mosquitto grants what it will not deliver; other brokers answer with a code, which the status shows.
    assert_eq!(source.drain().await.state, State::Stopped);
}
