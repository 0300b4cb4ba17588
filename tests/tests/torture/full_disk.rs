//! A disk of 64 MB that runs full: by the gateway's own backlog, and by another process.
//!
//! The store says so, drains when the upstream is back and takes in again by itself; the ledger has what is missing.

use rand::distr::Alphanumeric;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::Duration;
use tidegate_tests::accounts::Deliveries;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::parts;
use tidegate_tests::publisher::Publisher;
use tidegate_tests::torture::Disk;
use tidegate_tests::upstream::Upstream;

const DISK_BYTES: u64 = 64 << 20;
const STORE: &str = "commit_interval = \"50ms\"\nreserve = \"12MiB\"\nstaged_bytes = \"2MiB\"\n";
/// Longest anything may take that depends on other processes.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a reading carries beside its number: it hardly compresses, so that a disk is full soon.
const PAD_BYTES: usize = 2_000;
/// More than the disk holds.
const TOO_MANY: u32 = 30_000;
const CHUNK: u32 = 500;
const DEVICES: u32 = 8;

/// A gateway with a small disk of its own, its broker, its upstream.
struct Site {
    gateway: Gateway,
    disk: Disk,
    upstream: Upstream,
    mosquitto: Mosquitto,
    sent: u32,
    blocks: bool,
}

impl Site {
    fn with(policy: &str) -> Site {
        let (mosquitto, upstream) = (Mosquitto::start(), Upstream::start());
        let config = format!(
            r#"
            [streams.readings]
            fields = {{ seq = "i64", pad = "text" }}
            {policy}
            [sources.field]
            type = "mqtt"
            stream = "readings"
            url = "{}"
            topics = ["sensors/+"]
            client_id = "test-gateway-field"
            receive_max = 256
            [sources.field.decode]
            format = "json"
            device = "/device"
            time = "/ts"
            [sinks.cloud]
            type = "http"
            from = "readings"
            url = "{}/cloud"
            backoff_min = "100ms"
            backoff_max = "1s"
            "#,
            mosquitto.url(),
            upstream.url()
        );
        let mut gateway = Gateway::configured(STORE, &config);
        let disk = Disk::at(&gateway.folder().join("store"), DISK_BYTES).expect("a disk");
        gateway.start_ready();
        Site { gateway, disk, upstream, mosquitto, sent: 0, blocks: policy.contains("block") }
    }

    /// The broker takes so many readings; when the gateway does is its own affair.
    fn send(&mut self, count: u32) {
        let mut devices = Publisher::to(self.mosquitto.addr(), "devices");
        for seq in self.sent..self.sent + count {
            let device = seq % DEVICES;
            let (ts, pad) = (1_780_272_000_000_i64 + i64::from(seq / DEVICES) * 10, pad(seq));
            let body = format!(r#"{{"device":"d{device}","ts":{ts},"seq":{seq},"pad":"{pad}"}}"#);
            devices.publish(&format!("sensors/d{device}"), body);
        }
        devices.flush();
        self.sent += count;
    }

    /// Sends more than the disk holds, no faster than it is taken in; ends early when the gateway says it is full.
    fn send_too_many(&mut self) {
        while self.sent < TOO_MANY {
            self.send(CHUNK);
            let full = self.gateway.eventually(PATIENCE, "readings are taken in, or the disk is full", || {
                let appended = self.gateway.appended("readings");
                let full = self.blocks && self.gateway.readiness().1.contains("nothing is taken in");
                if full || appended >= u64::from(self.sent) { Ok(full) } else { Err(format!("{appended} appended")) }
            });
            if full {
                break;
            }
        }
    }

    fn until_it_says(&self, words: &str) {
        self.gateway.eventually(PATIENCE, words, || match self.gateway.probe()? {
            (503, reasons) if reasons.contains(words) => Ok(()),
            (status, reasons) => Err(format!("{status} {reasons}")),
        });
    }

    fn until_appended(&self, count: u32) {
        self.gateway.eventually(PATIENCE, "readings are taken in", || {
            let appended = self.gateway.appended("readings");
            if appended >= u64::from(count) { Ok(()) } else { Err(format!("{appended} of {count}")) }
        });
    }

    /// Numbers of the readings that came upstream, and how many records those were.
    fn delivered(&self) -> (HashSet<i64>, usize) {
        let mut deliveries = Deliveries::default();
        self.upstream.accepted().iter().for_each(|line| deliveries.add_line(line));
        (deliveries.records().filter_map(|record| record["seq"].as_i64()).collect(), deliveries.count())
    }

    fn until_delivered(&self, count: u32) {
        self.gateway.eventually(PATIENCE, "everything comes upstream", || {
            let delivered = self.upstream.accepted_count("/cloud");
            if delivered >= count as usize { Ok(()) } else { Err(format!("{delivered} lines of {count}")) }
        });
    }

    /// Every reading came upstream.
    fn assert_everything_came(&self) {
        self.until_delivered(self.sent);
        self.gateway.eventually(PATIENCE, "every reading comes upstream", || {
            let (came, _) = self.delivered();
            let missing = (0..i64::from(self.sent)).filter(|seq| !came.contains(seq)).count();
            if missing == 0 { Ok(()) } else { Err(format!("{missing} missing")) }
        });
        assert_eq!((self.gateway.lost("cap"), self.gateway.lost("full")), (0, 0));
    }

    /// A reading sent from now on comes upstream, and the gateway is ready.
    fn assert_it_goes_on(&mut self) {
        let before = self.upstream.accepted_count("/cloud");
        self.send(1);
        self.until_delivered(before as u32 + 1);
        self.gateway.ready(PATIENCE);
    }

    /// Never poisoned, and sound when it has ended.
    fn assert_sound(mut self) {
        let store = &self.gateway.status()["store"];
        println!("at the end the store takes {} bytes, free are {}", store["disk_bytes"], store["disk_free_bytes"]);
        assert!(!self.gateway.log().contains("poisoned"), "{}", self.gateway.log());
        assert!(self.gateway.stop().success(), "the drain");
        let verify = Command::new(parts::gateway_binary())
            .args(["store", "verify", "--dir"])
            .arg(self.disk.point())
            .output()
            .expect("the gateway's binary");
        assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
    }
}

/// Text that does not compress well, another one for each number.
fn pad(seq: u32) -> String {
    StdRng::seed_from_u64(seq.into()).sample_iter(Alphanumeric).take(PAD_BYTES).map(char::from).collect()
}

#[test]
fn a_stream_that_blocks_on_a_full_disk_is_drained_and_takes_in_again() {
    let mut site = Site::with("when_full = \"block\"");
    site.upstream.disconnect();
    site.send_too_many();
    site.until_it_says("kept in reserve");
    let taken = site.gateway.appended("readings");
    assert!(taken < u64::from(TOO_MANY), "the disk holds it all");
    site.gateway.kill();
    site.gateway.start();
    site.upstream.connect();
    site.assert_everything_came();
    site.assert_it_goes_on();
    println!("{taken} of {} were taken in before the disk was full", site.sent);
    site.assert_sound();
}

#[test]
fn a_stream_that_drops_its_oldest_goes_on_at_a_full_disk_and_says_what_it_dropped() {
    let mut site = Site::with("when_full = \"drop_oldest\"");
    site.upstream.disconnect();
    site.send_too_many();
    site.until_appended(TOO_MANY);
    site.upstream.connect();
    let (count, dropped) = site.accounted_for(&["cap"]);
    assert!(dropped > 1_000, "{dropped} dropped");
    site.assert_it_goes_on();
    println!("{count} came, {dropped} were dropped");
    site.assert_sound();
}

#[test]
fn a_stream_that_is_thinned_goes_on_at_a_full_disk_and_becomes_coarser() {
    let mut site = Site::with("when_full = \"thin\"\nthin_every = \"1s\"");
    site.upstream.disconnect();
    site.send_too_many();
    site.until_appended(TOO_MANY);
    site.upstream.connect();
    let (count, lost) = site.accounted_for(&["thinned", "cap"]);
    let (thinned, dropped) = (site.gateway.lost("thinned"), site.gateway.lost("cap"));
    assert!(thinned > 1_000, "{thinned} of {lost} thinned");
    site.assert_it_goes_on();
    println!("{count} came, {thinned} were made coarser, {dropped} dropped");
    site.assert_sound();
}

#[test]
fn a_disk_that_another_process_fills_is_drained_and_survives_a_restart() {
    let mut site = Site::with("when_full = \"block\"");
    site.upstream.disconnect();
    site.send(2_000);
    site.until_appended(2_000);
    let filler = site.disk.point().join("filler");
    fill(&filler);
    site.until_it_says("file system");
    site.send(3_000);
    site.gateway.kill();
    site.gateway.start();
    site.until_it_says("file system");
    site.upstream.connect();
    // What was acknowledged drains, though nobody has freed a byte.
    site.until_delivered(2_000);
    std::fs::remove_file(&filler).expect("the other's file");
    site.assert_everything_came();
    site.assert_it_goes_on();
    site.assert_sound();
}

/// Another's file, until there is no room for a byte more.
fn fill(path: &std::path::Path) {
    let mut file = File::create(path).expect("a file");
    for bytes in [1 << 20, 4096, 1] {
        while file.write_all(&vec![7; bytes]).is_ok() {}
    }
}

impl Site {
    /// How many records came upstream and how many the ledger has; together they are all that were taken in, and maybe
    /// more: what was dropped while its delivery was under way is both.
    fn accounted_for(&self, reasons: &[&str]) -> (usize, u64) {
        self.gateway.eventually(PATIENCE, "every reading came or is in the ledger", || {
            let lost: u64 = reasons.iter().map(|reason| self.gateway.lost(reason)).sum();
            let (_, count) = self.delivered();
            match count as u64 + lost {
                all if all >= u64::from(self.sent) => Ok((count, lost)),
                all => Err(format!("{count} came, {lost} lost: {all} of {}", self.sent)),
            }
        })
    }
}
