//! Looks at what is written, now and then, and acts on it.

use super::device::{Device, written_by_process};
use super::{Life, Options, Pace, YEAR_S};
use crate::config::units::Bytes;
use crate::readiness::Reason;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_record::Clock;
use tidegate_store::Store;
use tokio_util::sync::CancellationToken;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);
/// The count of the device's life is kept after so many looks: an hour.
const KEPT_EVERY: u64 = 60;
/// A rate is of what was seen in about this time, once that has passed.
const RATE_OVER_S: f64 = 24.0 * 3600.0;
/// Looks nearer to each other than this give no rate.
const LOOK_MIN_S: f64 = 1.0;
/// With less of its life left than this, a device is spoken of.
const DAYS_LEFT_MIN: f64 = 180.0;

/// Sets the store's commit interval.
pub type SetInterval = Box<dyn Fn(Duration) + Send + Sync>;

/// What is known of the flash.
pub struct Watch {
    options: Options,
    proc: PathBuf,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    set_interval: SetInterval,
    /// Or why it is not known.
    device: Result<Device, String>,
    seen: Mutex<Seen>,
}

struct Seen {
    life: Option<Life>,
    pace: Option<Pace>,
    exhausted: bool,
    looks: u64,
    last: Look,
    rates: Rates,
    watched_s: f64,
    lifetime: Option<u64>,
}

/// Counts at a moment.
#[derive(Debug, Clone)]
struct Look {
    boot: i64,
    device: Option<u64>,
    /// Or why it is not known.
    process: Result<u64, String>,
}

/// Bytes a second, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    device: Option<f64>,
    process: Option<f64>,
}

impl Watch {
    /// Watches the disk under `folder`, the store's. `sys` and `proc` are `/sys` and `/proc`, but in tests.
    pub fn new(
        (options, folder): (Options, &Path),
        (sys, proc): (&Path, &Path),
        clock: Arc<dyn Clock>,
        store: Arc<dyn Store>,
        set_interval: SetInterval,
    ) -> Self {
        let device = Device::of(folder, sys);
        let proc = proc.to_path_buf();
        let counted = device.as_ref().ok().and_then(|device| device.written().ok());
        let boot = std::fs::read_to_string(proc.join("sys/kernel/random/boot_id")).unwrap_or_default();
        let life = device.as_ref().ok().zip(counted);
        let life = life.map(|(device, counted)| Life::open(folder, &device.name, boot.trim(), counted));
        let pace = options.write_budget.filter(|_| options.auto).map(Pace::new);
        let process = written_by_process(&proc.join("self"));
        let last = Look { boot: clock.boot(), device: counted, process };
        let seen = Seen {
            life,
            pace,
            exhausted: false,
            looks: 0,
            last,
            rates: Rates::default(),
            watched_s: 0.0,
            lifetime: None,
        };
        Watch { options, proc, clock, store, set_interval, device, seen: Mutex::new(seen) }
    }

    /// Looks until `drain`, and keeps the count.
    pub async fn run(self: Arc<Self>, drain: CancellationToken) {
        loop {
            self.look();
            tokio::select! {
                biased;
                () = drain.cancelled() => break,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        self.look();
        self.keep();
    }

    /// Looks once: counts, rates, and the interval.
    pub fn look(&self) {
        let now = self.now();
        let mut seen = self.seen();
        let over = now.boot.saturating_sub(seen.last.boot).max(0) as f64 / 1e6;
        // Where a count is not known at both ends, nothing is said of the time between.
        let since = |(now, last): (u64, u64)| now.saturating_sub(last);
        let device = now.device.zip(seen.last.device).map(since);
        let process = now.process.clone().ok().zip(seen.last.process.clone().ok()).map(since);
        if let (Some(life), Some(counted)) = (&mut seen.life, now.device) {
            let total = life.count(counted);
            seen.lifetime = Some(total);
        }
        if over >= LOOK_MIN_S {
            seen.note(over, device, process);
            let period = Duration::from_secs_f64(over);
            let pace = seen.pace.as_mut().filter(|_| over >= EVERY.as_secs_f64() / 2.0);
            if let Some((pace, process)) = pace.zip(process) {
                let interval = pace.adjust(process, period);
                let exhausted = pace.is_exhausted(process, period);
                (self.set_interval)(interval);
                seen.exhausted = exhausted;
            }
            seen.last = now;
        }
        seen.looks += 1;
        let keep = seen.looks.is_multiple_of(KEPT_EVERY);
        drop(seen);
        if keep {
            self.keep();
        }
    }

    fn now(&self) -> Look {
        Look {
            boot: self.clock.boot(),
            device: self.device.as_ref().ok().and_then(|device| device.written().ok()),
            process: written_by_process(&self.proc.join("self")),
        }
    }

    /// For `/metrics`, as it is now.
    pub fn count(&self) {
        let (now, seen) = (self.now(), self.seen());
        if let Some(written) = now.device {
            metrics::counter!("tidegate_flash_device_written_bytes_total").absolute(written);
        }
        if let Ok(written) = now.process {
            metrics::counter!("tidegate_flash_process_written_bytes_total").absolute(written);
        }
        if let Some(days) = self.days_left(&seen) {
            metrics::gauge!("tidegate_flash_life_left_days").set(days);
        }
        let interval = self.store.health().commit_interval;
        metrics::gauge!("tidegate_store_commit_interval_seconds").set(interval.as_secs_f64());
    }

    fn keep(&self) {
        if let Some(Err(reason)) = self.seen().life.as_ref().map(Life::keep) {
            tracing::warn!(reason, "the count of what was written to the device is not kept");
        }
    }

    /// At the present rate, from what is known to have been written; what came before the first look is not.
    fn days_left(&self, seen: &Seen) -> Option<f64> {
        let left = self.options.endurance?.saturating_sub(seen.lifetime?) as f64;
        let rate = seen.rates.device?;
        Some((left / rate.max(1.0) / 86_400.0).min(1e6))
    }

    /// What is amiss.
    pub fn reasons(&self) -> Vec<Reason> {
        let seen = self.seen();
        let mut reasons = Vec::new();
        if let Some(days) = self.days_left(&seen).filter(|days| *days < DAYS_LEFT_MIN) {
            let name = self.device.as_ref().map_or("the device", |device| &device.name);
            let what = format!("{name} has about {days:.0} days left of its stated endurance at the present rate");
            reasons.push(Reason::warning("flash", what));
        }
        if let (Some(_), Err(error)) = (&seen.pace, &seen.last.process) {
            let remedy = "give commit_interval a duration, or a kernel with CONFIG_TASK_IO_ACCOUNTING";
            let what = format!("{error}: store.write_budget cannot be kept to; {remedy}");
            reasons.push(Reason::warning("flash", what));
        }
        if let (true, Some(budget), Some(rate)) = (seen.exhausted, self.options.write_budget, seen.rates.process) {
            let (rate, budget) = (Bytes((rate * YEAR_S) as u64), Bytes(budget));
            let why = "the commit interval is at its longest: raise commit_bytes or the budget, or send less";
            let what = format!("{rate} a year are written, store.write_budget allows {budget}, and {why}");
            reasons.push(Reason::warning("flash", what));
        }
        reasons
    }

    /// For the status.
    pub fn status(&self) -> Value {
        let (seen, health, now) = (self.seen(), self.store.health(), self.now());
        let a_day = |rate: f64| (rate * 86_400.0).round();
        let process = now.process.as_ref().ok();
        let ratio = |process: &u64| (*process as f64 / health.written_bytes as f64 * 100.0).round() / 100.0;
        json!({
            "device": self.device.as_ref().map(|device| &device.name).ok(),
            "device_unknown": self.device.as_ref().err(),
            "device_written_bytes": now.device,
            "device_written_bytes_a_day": seen.rates.device.map(a_day),
            "device_written_bytes_seen": seen.lifetime,
            "device_life_used_percent": self.device.as_ref().ok().and_then(Device::life_used),
            "process_unknown": now.process.as_ref().err(),
            "process_written_bytes": process,
            "process_written_bytes_a_day": seen.rates.process.map(a_day),
            "stored_bytes": health.written_bytes,
            "written_to_stored": process.filter(|_| health.written_bytes > 0).map(ratio),
            "endurance_bytes": self.options.endurance,
            "life_left_days": self.days_left(&seen).map(f64::round),
            "write_budget_bytes_a_year": self.options.write_budget,
            "commit_interval_ms": health.commit_interval.as_millis() as u64,
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Mean rates of all that was seen, and once a day of it was, of about the last day.
    fn note(&mut self, over: f64, device: Option<u64>, process: Option<u64>) {
        self.watched_s += over;
        let weight = over / self.watched_s.min(RATE_OVER_S).max(over);
        let mean = |old: Option<f64>, bytes: Option<u64>| {
            let new = bytes.map(|bytes| bytes as f64 / over);
            old.zip(new).map(|(old, new)| old + (new - old) * weight).or(new).or(old)
        };
        let Rates { device: old_device, process: old_process } = self.rates;
        self.rates = Rates { device: mean(old_device, device), process: mean(old_process, process) };
    }
}

#[cfg(test)]
mod tests;
