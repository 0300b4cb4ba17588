use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use tempfile::TempDir;
use tidegate_record::ManualClock;
use tidegate_store::{MemoryStore, Options as StoreOptions};

/// A machine whose disk and process have written what the test says.
struct Machine {
    root: TempDir,
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["sys/dev/block", "sys/devices/sda", "proc/self", "proc/sys/kernel/random", "store"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let dev = fs::metadata(root.path()).unwrap().dev();
        let link = root.path().join(format!("sys/dev/block/{}:{}", libc::major(dev), libc::minor(dev)));
        symlink("../../devices/sda", link).unwrap();
        fs::write(root.path().join("proc/sys/kernel/random/boot_id"), "boot-1\n").unwrap();
        let clock = Arc::new(ManualClock::at(1_780_272_000_000_000));
        let options = StoreOptions { clock: clock.clone(), ..StoreOptions::new("", "test") };
        let machine = Machine { root, clock, store: Arc::new(MemoryStore::new(options, 1)) };
        machine.wrote(0, 0);
        machine
    }

    fn wrote(&self, device: u64, process: u64) {
        let sectors = device / 512;
        fs::write(self.root.path().join("sys/devices/sda/stat"), format!("1 0 2 3 4 0 {sectors} 5 0 6 7\n")).unwrap();
        fs::write(self.root.path().join("proc/self/io"), format!("write_bytes: {process}\n")).unwrap();
    }

    fn watch(&self, options: Options) -> Watch {
        let (root, store) = (self.root.path(), self.store.clone());
        Watch::new(
            (options, &root.join("store")),
            (&root.join("sys"), &root.join("proc")),
            self.clock.clone(),
            self.store.clone(),
            Box::new(move |interval| store.set_commit_interval(interval)),
        )
    }
}

const MIB: u64 = 1 << 20;

#[test]
fn days_of_life_are_what_is_left_of_the_endurance_at_the_present_rate() {
    let machine = Machine::new();
    let watch = machine.watch(Options { endurance: Some(100 * 1440 * MIB), ..Options::default() });
    assert_eq!(watch.status()["life_left_days"], Value::Null, "no rate is known yet");
    for minute in 1..=10 {
        machine.clock.advance(60_000_000);
        machine.wrote(minute * MIB, minute * MIB / 2);
        watch.look();
    }
    let status = watch.status();
    assert_eq!(status["device"], "sda");
    assert_eq!(status["device_written_bytes_seen"], 10 * MIB);
    assert_eq!(status["device_written_bytes_a_day"].as_f64(), Some((1440 * MIB) as f64));
    assert_eq!(status["process_written_bytes_a_day"].as_f64(), Some((720 * MIB) as f64));
    assert_eq!(status["life_left_days"].as_f64(), Some(100.0));
    assert!(watch.reasons()[0].reason.contains("sda has about 100 days left"), "{:?}", watch.reasons());
    // The next process goes on counting.
    watch.keep();
    let watch = machine.watch(Options::default());
    watch.look();
    assert_eq!(watch.status()["device_written_bytes_seen"], 10 * MIB);
    assert_eq!(watch.reasons(), Vec::new());
}

#[test]
fn the_commit_interval_of_the_store_follows_the_budget() {
    let machine = Machine::new();
    let budget = Some(365 * 1440 * MIB);
    let watch = machine.watch(Options { write_budget: budget, auto: true, endurance: None });
    let mut written = 0;
    let mut minutes = |count: u64, each: u64| {
        for _ in 0..count {
            machine.clock.advance(60_000_000);
            written += each;
            machine.wrote(written, written);
            watch.look();
        }
        machine.store.health().commit_interval
    };
    assert_eq!(minutes(1, 2 * MIB), Duration::from_millis(250), "twice the budget: a step");
    assert_eq!(minutes(5, MIB), Duration::from_millis(250), "what is allowed: it stays");
    assert_eq!(minutes(60, 9 * MIB), crate::flash::pace::AUTO_MAX);
    assert!(watch.reasons()[0].reason.contains("the commit interval is at its longest"), "{:?}", watch.reasons());
    assert_eq!(watch.status()["commit_interval_ms"], 30_000);
    assert_eq!(minutes(60, MIB / 4), crate::flash::AUTO_MIN);
    assert_eq!(watch.reasons(), Vec::new());
}

#[test]
fn a_count_that_the_kernel_does_not_give_changes_nothing_and_is_said() {
    let machine = Machine::new();
    let io = machine.root.path().join("proc/self/io");
    let watch = machine.watch(Options { write_budget: Some(365 * 1440 * MIB), auto: true, endurance: None });
    let minute = |written: Option<u64>| {
        machine.clock.advance(60_000_000);
        match written {
            Some(written) => machine.wrote(0, written * MIB),
            None => fs::remove_file(&io).unwrap(),
        }
        watch.look();
        (machine.store.health().commit_interval.as_millis(), watch.reasons().len())
    };
    assert_eq!(minute(Some(1_000)), (250, 0), "a burst: a step");
    assert_eq!(minute(None), (250, 1));
    let reason = watch.reasons().remove(0).reason;
    assert!(reason.contains("proc/self/io") && reason.contains("store.write_budget cannot be kept to"), "{reason}");
    let status = watch.status();
    assert_eq!(status["process_written_bytes"], Value::Null);
    assert!(status["process_unknown"].as_str().is_some_and(|why| why.contains("proc/self/io")), "{status}");
    // All that was ever written is not what was written in this minute.
    assert_eq!(minute(Some(1_001)), (250, 0));
    assert_eq!(minute(Some(1_002)), (250, 0), "what is allowed");
    assert_eq!(minute(Some(1_012)).0, 312);
}

#[test]
fn a_disk_that_is_not_known_is_said_so_and_the_rest_goes_on() {
    let machine = Machine::new();
    fs::remove_dir_all(machine.root.path().join("sys/dev")).unwrap();
    let watch = machine.watch(Options { endurance: Some(1), write_budget: Some(MIB), auto: true });
    machine.clock.advance(60_000_000);
    machine.wrote(0, MIB);
    watch.look();
    let status = watch.status();
    assert!(status["device_unknown"].as_str().is_some_and(|why| why.contains("no block device")), "{status}");
    assert_eq!((&status["life_left_days"], &status["commit_interval_ms"]), (&Value::Null, &json!(250)));
}
