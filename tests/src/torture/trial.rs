//! One trial: a load, a gateway, and faults at random instants.
//!
//! After each fault the gateway is started again on what is left, and the trial waits for a reading sent since then to
//! come upstream. The stream keeps order, so everything acknowledged before the fault must have come by then.

use super::{Books, DEVICES, Disk, Load, Reading, Verdict, Witness};
use crate::gateway::Gateway;
use crate::mosquitto::Mosquitto;
use crate::upstream::Upstream;
use crate::wait::{poll, throughout};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

const DISK_BYTES: u64 = 512 << 20;
/// Longest from a start to a fresh reading upstream.
const RECOVERY_MAX: Duration = Duration::from_secs(60);
/// Longest the end may take: everything delivered, the last windows closed.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// A fault comes so long after the last one was overcome.
const LOAD_MS: std::ops::Range<u64> = 20..700;
/// So long after its start a gateway is hit that is still coming up.
const EARLY_MS: std::ops::Range<u64> = 0..250;

/// What to do to the gateway.
#[derive(Debug, Clone)]
pub struct Options {
    /// Power cuts, first.
    pub cuts: u32,
    /// SIGKILLs, after them.
    pub kills: u32,
    /// Fixes the order and the times of faults, as far as the machine keeps them.
    pub seed: u64,
    /// Readings a second.
    pub rate: u32,
    /// A line for people now and then.
    pub progress: bool,
}

/// A gateway on a disk whose power can be cut, and everything around it.
pub struct Trial {
    options: Options,
    rng: SmallRng,
    verdict: Verdict,
    books: Books,
    load: Load,
    gateway: Gateway,
    disk: Disk,
    upstream: Upstream,
    witness: Witness,
    _mosquitto: Mosquitto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    PowerCut,
    Kill,
}

impl Trial {
    /// Runs it to its end. An error is what kept it from running; what it found is in the verdict.
    pub fn run(options: Options) -> Result<Verdict, String> {
        let mut trial = Trial::set_up(options)?;
        let faults = [(Fault::PowerCut, trial.options.cuts), (Fault::Kill, trial.options.kills)];
        for (fault, count) in faults {
            for number in 1..=count {
                trial.round(fault)?;
                if trial.options.progress && number % 10 == 0 {
                    let (acknowledged, owed) = (trial.books.acknowledged(), trial.books.owed().len());
                    println!("{number:>5} of {count} {fault:?}: {acknowledged} acknowledged, {owed} on their way");
                }
                if !trial.verdict.violations.is_empty() {
                    trial.verdict.sent = trial.load.stop();
                    trial.tally();
                    return Ok(trial.verdict);
                }
            }
        }
        trial.settle();
        Ok(trial.verdict)
    }

    fn set_up(options: Options) -> Result<Self, String> {
        let mosquitto = Mosquitto::start();
        let (witness, upstream) = (Witness::of(mosquitto.addr()), Upstream::start());
        let mut gateway = Gateway::configured(STORE, &configuration(&witness, &upstream));
        let disk = Disk::at(&gateway.folder().join("store"), DISK_BYTES)?;
        gateway.start_ready();
        let load = Load::start(mosquitto.addr(), options.rate);
        let rng = SmallRng::seed_from_u64(options.seed);
        let (verdict, books) = (Verdict::default(), Books::default());
        Ok(Trial { options, rng, verdict, books, load, gateway, disk, upstream, witness, _mosquitto: mosquitto })
    }

    /// Some load, a fault, and the recovery from it.
    fn round(&mut self, fault: Fault) -> Result<(), String> {
        self.upstream.pause(self.rng.random_ratio(1, 5));
        self.upstream.lose_replies(self.rng.random_range(0..2));
        let until = Duration::from_millis(self.rng.random_range(LOAD_MS));
        self.watch(until);
        self.strike(fault)?;
        self.gateway.launch();
        if self.rng.random_ratio(1, 6) {
            self.verdict.early += 1;
            let until = Duration::from_millis(self.rng.random_range(EARLY_MS));
            self.watch(until);
            self.strike(fault)?;
            self.gateway.launch();
        }
        self.recovered();
        Ok(())
    }

    fn strike(&mut self, fault: Fault) -> Result<(), String> {
        match fault {
            Fault::Kill => {
                self.verdict.kills += 1;
                self.gateway.kill();
            }
            Fault::PowerCut => {
                self.verdict.cuts += 1;
                // First the world stands still: what the gateway says after the instant of the cut nobody may hear.
                self.witness.freeze();
                self.upstream.pause(true);
                let cut = self.disk.cut()?;
                self.gateway.kill();
                self.disk.recover(cut)?;
                self.witness.thaw();
            }
        }
        self.upstream.pause(false);
        Ok(())
    }

    /// Waits until a reading sent from now on is upstream; what was acknowledged before must be there too.
    #[allow(clippy::disallowed_methods, reason = "how long a recovery takes is the machine's time")]
    fn recovered(&mut self) {
        let begin = Instant::now();
        self.books.acknowledge(self.witness.take_acknowledged());
        let fresh = Reading { device: DEVICES - 1, seq: self.load.rounds() + 1 };
        let owed: HashSet<Reading> = self.books.owed().clone();
        let came = poll(RECOVERY_MAX, || {
            self.books.collect(&self.upstream, &self.load);
            let last = || self.gateway.probe().map_or_else(|error| error, |(status, why)| format!("{status}: {why}"));
            if self.books.has(fresh) { Ok(()) } else { Err(last()) }
        });
        self.verdict.recovery_max = self.verdict.recovery_max.max(begin.elapsed());
        if let Err(last) = came {
            self.verdict.not_opened += u32::from(self.gateway.ended().is_some());
            let log = self.gateway.log();
            let lines: Vec<&str> = log.lines().rev().take(5).collect();
            self.verdict
                .violations
                .push(format!("no fresh reading upstream after a fault: {last}\n{}", lines.join("\n")));
            return;
        }
        let broken = fs::read_dir(self.disk.point()).into_iter().flatten().flatten();
        let broken = broken.filter(|entry| entry.file_name().to_string_lossy().contains("broken")).count() as u32;
        self.verdict.hold(broken == 0, || format!("{broken} stores did not open and were set aside"));
        self.verdict.not_opened = self.verdict.not_opened.max(broken);
        self.account(&owed);
    }

    /// Of what was owed before the fault, everything not upstream by now must be stored or in the ledger.
    fn account(&mut self, owed: &HashSet<Reading>) {
        let missing: HashSet<Reading> = owed.intersection(self.books.owed()).copied().collect();
        if missing.is_empty() {
            return;
        }
        // The trial ends here; and a tap ends when nothing more comes.
        self.load.stop();
        let stored: HashSet<Reading> = self.gateway.tap("readings", 0).iter().filter_map(Reading::of).collect();
        let ledgered: u64 = self.losses().iter().map(|(_, count)| count).sum();
        let nowhere: Vec<_> = missing.difference(&stored).take(3).collect();
        let lost = (missing.difference(&stored).count() as u64).saturating_sub(ledgered);
        self.verdict.lost += lost;
        self.verdict.hold(lost == 0, || format!("{lost} acknowledged readings are lost, such as {nowhere:?}"));
        self.verdict.hold(missing.is_disjoint(&stored), || "a later reading overtook acknowledged ones".into());
    }

    /// Lets the load run for a while; the books are kept meanwhile.
    fn watch(&mut self, during: Duration) {
        throughout(during, "the load runs", || {
            self.books.acknowledge(self.witness.take_acknowledged());
            self.books.collect(&self.upstream, &self.load);
            Ok(())
        });
    }

    /// The end of the load: everything is delivered, and the windows account for every record.
    fn settle(&mut self) {
        self.verdict.sent = self.load.stop();
        let settled = poll(SETTLE_MAX, || {
            self.books.acknowledge(self.witness.take_acknowledged());
            self.books.collect(&self.upstream, &self.load);
            let (sent, delivered) = (self.verdict.sent, self.books.delivered());
            let (records, windowed, late) = (self.books.records(), self.books.windowed(), self.late());
            if delivered >= sent && windowed + late >= records {
                return Ok(());
            }
            Err(format!("{delivered} of {sent} delivered; {windowed} in windows and {late} late of {records}"))
        });
        self.tally();
        let (losses, late) = (self.losses(), self.late());
        let (books, verdict) = (&self.books, &mut self.verdict);
        verdict.violations.extend(settled.err());
        verdict.late = late;
        let (windowed, records) = (verdict.windowed, books.records());
        verdict.hold(windowed + late == records, || format!("{windowed} in windows, {late} late of {records}"));
        let logs = books.logs();
        verdict.hold(logs.len() == 2, || format!("identities of more than one store: {logs:?}"));
        verdict.hold(losses.is_empty(), || format!("the ledger has losses: {losses:?}"));
        let (again, redelivered) = (verdict.again, verdict.redelivered);
        verdict.hold(again > 0, || "nothing came twice: the retry path did not run".into());
        verdict.hold(redelivered > 0, || "the broker redelivered nothing: no fault hit a reading under way".into());
    }

    /// What the books and the witness have so far.
    fn tally(&mut self) {
        let (books, verdict) = (&self.books, &mut self.verdict);
        verdict.acknowledged = books.acknowledged();
        verdict.delivered = books.delivered();
        (verdict.invented, verdict.altered) = (books.invented, books.altered);
        (verdict.again, verdict.taken_again) = (books.again, books.taken_again());
        (verdict.redelivered, verdict.refused) = (self.witness.redelivered(), books.refused);
        verdict.windowed = books.windowed();
        verdict.violations.extend(books.told().iter().cloned());
    }

    fn late(&self) -> u64 {
        self.gateway.lost("late")
    }

    /// Losses other than late ones: there is no reason for any.
    fn losses(&self) -> Vec<(String, u64)> {
        let status = self.gateway.status();
        let losses = status["store"]["losses"].as_array().cloned().unwrap_or_default();
        let other = losses.iter().filter(|loss| loss["reason"] != "late");
        other.map(|loss| (loss.to_string(), loss["count"].as_u64().unwrap_or(1))).collect()
    }
}

/// Renewed so often that cuts come into it.
const STORE: &str =
    "commit_interval = \"50ms\"\nmax_bytes = \"256MiB\"\nreserve = \"16MiB\"\nrenew_bytes = \"64KiB\"\n";

/// Readings go upstream as they are, and as counts a second.
fn configuration(witness: &Witness, upstream: &Upstream) -> String {
    let sink = |name: &str| {
        format!(
            "[sinks.{name}]\ntype = \"http\"\nfrom = \"{name}\"\nurl = \"{}/{name}\"\ntimeout = \"5s\"\n\
             backoff_min = \"50ms\"\nbackoff_max = \"200ms\"\n",
            upstream.url()
        )
    };
    format!(
        r#"
        [streams.readings]
        fields = {{ temp = "f64", seq = "i64" }}
        [sources.field]
        type = "mqtt"
        stream = "readings"
        url = "mqtt://{}"
        topics = ["sensors/+"]
        client_id = "test-gateway-field"
        [sources.field.decode]
        format = "json"
        device = "/device"
        time = "/ts"
        [pipelines.windows]
        from = ["readings"]
        to = "windows"
        checkpoint_interval = "1s"
        [[pipelines.windows.operators]]
        aggregate = "stats"
        params = {{ fields = ["temp"] }}
        [pipelines.windows.operators.window]
        tumbling = "1s"
        idle = "3s"
        {}{}"#,
        witness.addr(),
        sink("readings"),
        sink("windows"),
    )
}
