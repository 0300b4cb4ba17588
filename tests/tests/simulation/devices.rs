//! What the devices send. A reading is known by its number, and its number says everything about it.

use crate::broker::Broker;
use crate::world::{World, pass};
use rand::Rng as _;
use rand::rngs::StdRng;

/// How many MQTT devices there are.
const DEVICES: u64 = 7;
/// One in so many publishes is no JSON.
const BAD_EVERY: u64 = 40;

/// The device of a reading.
pub fn device(seq: u64) -> String {
    format!("d{}", seq % DEVICES)
}

/// Its temperature: one decimal, from -5 to 34.9.
pub fn temp(seq: u64) -> f64 {
    ((seq * 37 % 400) as f64 - 50.0) / 10.0
}

/// Whether the pipeline `warm` keeps it.
pub fn is_warm(seq: u64) -> bool {
    temp(seq) > 20.0
}

/// Whether it does not decode.
pub fn is_bad(seq: u64) -> bool {
    seq % BAD_EVERY == BAD_EVERY - 1
}

/// Whether the plugin of the pipeline `brittle` traps at it: they come in storms.
pub fn is_brittle(seq: u64) -> bool {
    seq % 100 >= 80
}

/// Whether the upstream refuses it for good.
pub fn is_refused(seq: u64) -> bool {
    seq % 53 == 17
}

/// Where below `folder` a reading is published: bad ones can be told by it.
pub fn topic(folder: &str, seq: u64) -> String {
    if is_bad(seq) { format!("{folder}/bad-{seq}") } else { format!("{folder}/{}", device(seq)) }
}

/// The number of a publish below `folder` that did not decode, by its topic.
pub fn bad(folder: &str, topic: &str) -> Option<u64> {
    topic.strip_prefix(folder)?.strip_prefix("/bad-")?.parse().ok()
}

/// What is published, at `time` microseconds.
pub fn payload(seq: u64, time: i64) -> String {
    let (device, temp) = (device(seq), temp(seq));
    match is_bad(seq) {
        true => format!("{{\"device\":\"{device}\",\"ts\":broken {seq}"),
        false => format!(r#"{{"device":"{device}","ts":{},"seq":{seq},"temp":{temp:.1}}}"#, time / 1000),
    }
}

/// A line of the meter.
pub fn line(seq: u64) -> String {
    format!("meter,{seq},{:.1}\n", temp(seq))
}

/// Publishes until the boot ends: now singly, now in bursts.
pub async fn publish(world: World, broker: Broker, mut chance: StdRng) {
    loop {
        let burst = if chance.random_bool(0.03) { chance.random_range(20..150) } else { chance.random_range(1..4) };
        broker.publish(&world, burst);
        pass(chance.random_range(20..300)).await;
    }
}
