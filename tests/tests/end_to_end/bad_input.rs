//! What is wrong is said in words or set aside in the dead letters, and nothing else suffers.

use crate::{PATIENCE, field, http_sink, reading, this_minute, windows};
use tidegate_tests::gateway::Gateway;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::process::free_port;
use tidegate_tests::publisher::Publisher;
use tidegate_tests::serial::SerialLine;
use tidegate_tests::upstream::Upstream;

/// Year 2500, in milliseconds.
const YEAR_2500_MS: i64 = 16_725_225_600_000;

#[test]
fn frames_that_are_no_readings_become_dead_letters_and_the_rest_goes_on() {
    let mosquitto = Mosquitto::start();
    let mut gateway = Gateway::configured("", &field(&mosquitto.url()));
    gateway.start_ready();
    let now = this_minute();
    let bad = [
        ("not JSON", b"temperature is 21".to_vec()),
        ("cut off", br#"{"device":"a","ts":1"#.to_vec()),
        ("nothing", Vec::new()),
        ("bytes", vec![0xff, 0x00, 0xfe]),
        ("NaN", format!(r#"{{"device":"a","ts":{now},"temp":NaN,"seq":1}}"#).into_bytes()),
        ("no device", format!(r#"{{"ts":{now},"temp":1.0,"seq":1}}"#).into_bytes()),
        ("text for a number", format!(r#"{{"device":"a","ts":{now},"temp":"hot","seq":1}}"#).into_bytes()),
        ("a time in 2500", reading("a", YEAR_2500_MS, 1.0, 1).into_bytes()),
        ("a slash in the device", reading("hall/7", now, 1.0, 1).into_bytes()),
        ("NUL in the device", reading("nul\\u0000", now, 1.0, 1).into_bytes()),
        ("nested too deep", [vec![b'['; 100_000], vec![b']'; 100_000]].concat()),
    ];
    let good = [
        ("a time in 1970", reading("a", 1_000, 1.0, 4)),
        ("a null", format!(r#"{{"device":"a","ts":{now},"temp":null,"seq":5}}"#)),
        ("a field nobody declared", format!(r#"{{"device":"a","ts":{now},"temp":1.0,"seq":6,"rssi":-70}}"#)),
    ];
    let mut devices = Publisher::to(mosquitto.addr(), "devices");
    bad.iter().for_each(|(_, body)| devices.publish("sensors/x", body.clone()));
    // Larger than a packet may be: the broker must keep it from the gateway, and the readings behind it must come.
    devices.publish("sensors/x", vec![b'x'; 10 << 20]);
    good.iter().for_each(|(_, body)| devices.publish("sensors/x", body.as_bytes()));
    devices.flush();
    gateway.eventually(PATIENCE, "every frame is a record or a dead letter", || {
        let (records, letters) = (gateway.appended("readings") as usize, gateway.appended("dead_letters") as usize);
        let done = records + letters >= good.len() + bad.len();
        if done { Ok(()) } else { Err(format!("{records} records, {letters} dead letters")) }
    });
    let stored = gateway.tap("readings", good.len());
    let seqs: Vec<_> = stored.iter().filter_map(|record| record["seq"].as_i64()).collect();
    assert_eq!(seqs, [4, 5, 6], "{stored:#?}");
    let letters = gateway.tap("dead_letters", bad.len());
    assert_eq!(letters.len(), bad.len(), "{letters:#?}");
    for (letter, (what, body)) in letters.iter().zip(&bad) {
        let reason = letter["reason"].as_str().unwrap_or_default();
        assert!(reason.len() > 10, "{what}: {letter}");
        assert_eq!(letter["frame_bytes"].as_u64(), Some(body.len() as u64), "{what}: {letter}");
        assert!(letter["origin"].as_str().is_some_and(|origin| origin.contains("sensors/x")), "{what}: {letter}");
    }
    assert!(gateway.stop().success(), "the drain");
}

#[test]
fn a_broker_and_a_port_that_are_not_there_are_named_and_harm_no_other_source() {
    let mut line = SerialLine::plugged();
    let upstream = Upstream::start();
    let nobody = format!("mqtt://127.0.0.1:{}", free_port());
    let port = |name: &str, port: &str| {
        format!(
            "[streams.{name}]\nfields = {{ temp = \"f64\" }}\n[sources.{name}]\ntype = \"serial\"\nstream = \"{name}\"\n\
             port = \"{port}\"\n[sources.{name}.decode]\nformat = \"csv\"\ncolumns = [\"device\", \"time\", \"temp\"]\n"
        )
    };
    let config = field(&nobody)
        + &port("absent", "/dev/serial/by-id/not-there")
        + &port("present", &line.port().display().to_string())
        + &http_sink("cloud", "present", &upstream.url());
    let mut gateway = Gateway::configured("", &config);
    gateway.start();
    gateway.eventually(PATIENCE, "readiness names both", || match gateway.readiness() {
        (503, reasons) if reasons.contains(&nobody[7..]) && reasons.contains("/dev/serial/by-id/not-there") => Ok(()),
        (status, reasons) => Err(format!("{status} {reasons}")),
    });
    line.send(b"\nm1,1767225600000,21.5\n");
    gateway.eventually(PATIENCE, "the third source's reading is delivered", || {
        match upstream.accepted_count("/cloud") {
            1 => Ok(()),
            count => Err(format!("{count} records")),
        }
    });
    assert!(gateway.stop().success(), "the drain");
}

#[test]
fn a_missing_plugin_and_one_that_is_no_component_are_named_by_check_and_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut gateway = Gateway::configured("", "");
    gateway.plugins_from(folder.path().to_path_buf());
    gateway.reconfigure("", &(field("mqtt://127.0.0.1:1883") + &windows("1s", "3s")));
    let refused = |verb: &str, words: &[&str]| {
        let output = gateway.verb(verb);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.code().is_some_and(|code| code > 0), "{verb}: {}: {said}", output.status);
        words.iter().for_each(|word| assert!(said.contains(word), "{verb}: {word:?} is missing in: {said}"));
        assert!(!said.contains("panicked"), "{verb}: {said}");
    };
    for verb in ["check", "run"] {
        refused(verb, &["windows", "stats.wasm"]);
    }
    // A core module, and no WebAssembly at all.
    for content in [b"\0asm\x01\0\0\0".as_slice(), b"hello"] {
        std::fs::write(folder.path().join("stats.wasm"), content).expect("a file");
        for verb in ["check", "run"] {
            refused(verb, &["windows", "stats.wasm"]);
        }
    }
}

#[test]
fn a_configuration_with_mistakes_is_refused_with_all_of_them() {
    let gateway =
        Gateway::configured("commit_intervall = \"1s\"", "[sinks.cloud]\ntype = \"http\"\nfrom = \"nowhere\"\n");
    let output = gateway.verb("check");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in ["commit_intervall", "commit_interval", "nowhere", "url"] {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}
