//! A card of its own for the store: one that is read-only, one that dies, and what is written to one.

use std::fs;
use std::time::Duration;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::publisher::Publisher;
use tidegate_tests::torture::Disk;
use tidegate_tests::wait::eventually;

const DISK_BYTES: u64 = 64 << 20;
/// Longest anything may take that depends on other processes.
const PATIENCE: Duration = Duration::from_secs(120);

struct Site {
    gateway: Gateway,
    disk: Disk,
    mosquitto: Mosquitto,
    sent: u64,
}

impl Site {
    fn with(store: &str) -> Site {
        let mosquitto = Mosquitto::start();
        let config = format!(
            r#"
            [streams.readings]
            fields = {{ seq = "i64" }}
            keep = "1h"
            [sources.field]
            type = "mqtt"
            stream = "readings"
            url = "{}"
            topics = ["sensors/+"]
            client_id = "test-gateway-field"
            [sources.field.decode]
            format = "json"
            device = "/device"
            "#,
            mosquitto.url()
        );
        let mut gateway = Gateway::configured(store, &config);
        let disk = Disk::at(&gateway.folder().join("store"), DISK_BYTES).expect("a disk");
        gateway.start_ready();
        Site { gateway, disk, mosquitto, sent: 0 }
    }

    /// The broker takes so many readings.
    fn send(&mut self, count: u64) {
        let mut devices = Publisher::to(self.mosquitto.addr(), "devices");
        for seq in self.sent..self.sent + count {
            devices.publish("sensors/x", format!(r#"{{"device":"d","seq":{seq}}}"#));
        }
        devices.flush();
        self.sent += count;
    }

    /// All of them are in the stream.
    fn until_stored(&self) {
        self.gateway.eventually(PATIENCE, "everything is stored", || match self.gateway.appended("readings") {
            count if count >= self.sent => Ok(()),
            count => Err(format!("{count} of {}", self.sent)),
        });
    }
}

#[test]
fn a_store_on_a_read_only_file_system_is_refused_in_words_and_left_as_it_is() {
    let mut site = Site::with("");
    site.send(10);
    site.until_stored();
    assert!(site.gateway.stop().success());
    site.disk.mount_again(true).expect("read-only");
    site.gateway.launch();
    let ended = eventually(PATIENCE, "it refuses to start", || site.gateway.ended().ok_or("it runs".to_string()));
    assert_eq!(ended.code(), Some(3));
    let verify = site.gateway.store(&["verify"]);
    assert_eq!(verify.status.code(), Some(3));
    let said = String::from_utf8_lossy(&verify.stderr).into_owned();
    for text in [site.gateway.log(), said] {
        assert!(text.contains("Read-only file system"), "{text}");
    }
    site.gateway.kill();
    site.disk.mount_again(false).expect("as it was");
    site.gateway.start_ready();
    assert_eq!(site.gateway.tap("readings", 10).len(), 10, "nothing was set aside");
    assert!(site.gateway.stop().success());
}

#[test]
fn a_card_that_dies_under_a_gateway_is_told_and_costs_nothing_that_was_acknowledged() {
    let mut site = Site::with("");
    site.send(100);
    site.until_stored();
    site.disk.die().expect("it dies");
    site.send(1);
    site.gateway.eventually(PATIENCE, "it says that it takes nothing", || match site.gateway.probe()? {
        (503, reasons) if reasons.contains("poisoned") && reasons.contains("Check the disk") => Ok(()),
        (status, reasons) => Err(format!("{status} {reasons}")),
    });
    assert_eq!(site.gateway.appended("readings"), 100, "nothing is taken in that cannot be kept");
    site.gateway.kill();
    site.disk.mount_again(false).expect("a card of the same contents");
    site.gateway.start_ready();
    // The one that was never acknowledged comes again from the broker.
    site.until_stored();
    assert!(site.gateway.tap("readings", 101).len() == 101);
    assert!(site.gateway.stop().success());
}

/// The seventh number of a block device's `stat` counts sectors of 512 bytes.
fn written_to(device: &str) -> u64 {
    let stat = fs::read_to_string(format!("/sys/block/{device}/stat")).expect("the kernel counts");
    stat.split_ascii_whitespace().nth(6).and_then(|n| n.parse::<u64>().ok()).expect("a number") * 512
}

#[test]
fn what_is_written_to_the_card_is_told_as_the_kernel_counts_it() {
    let mut site = Site::with("endurance = \"1TB\"");
    site.send(1_000);
    site.until_stored();
    let flash = |site: &Site| site.gateway.status()["flash"].clone();
    let device = flash(&site)["device"].as_str().expect("the device is known").to_string();
    assert!(device.starts_with("loop"), "{device}");
    let before = written_to(&device);
    let told = flash(&site);
    let after = written_to(&device);
    let count = |what: &str| told[what].as_u64().unwrap_or_else(|| panic!("{what}: {told}"));
    assert!((before..=after).contains(&count("device_written_bytes")), "{before} {told} {after}");
    assert!(count("stored_bytes") > 0 && count("process_written_bytes") >= count("stored_bytes"), "{told}");
    assert!(count("device_written_bytes") >= count("stored_bytes"), "{told}");
    assert_eq!(count("endurance_bytes"), 1_000_000_000_000, "{told}");
    assert!(site.gateway.stop().success());
    let kept = fs::read_to_string(site.disk.point().join("flash.json")).expect("the count is kept");
    assert!(kept.contains(&format!("\"device\":\"{device}\"")), "{kept}");
}
