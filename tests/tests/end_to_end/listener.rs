//! Devices that connect straight to the gateway, which is killed under them.

use crate::{PATIENCE, door, reading, this_minute};
use tidegate_tests::accounts::readings;
use tidegate_tests::exact::Exact;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::process::free_port;
use tidegate_tests::publisher::Publisher;

const SENT: i64 = 5_000;
const KILLS: [i64; 3] = [1_050, 2_530, 4_010];

/// Sends with `publish`, and kills the gateway now and then with messages of every stage under way.
fn sent_over_kills(gateway: &mut Gateway, mut publish: impl FnMut(String)) {
    let begin = this_minute() - 600_000;
    for seq in 0..SENT {
        if KILLS.contains(&seq) {
            gateway.kill();
            gateway.start();
        }
        publish(reading("d1", begin + seq, 20.0, seq));
    }
}

fn stored(gateway: &Gateway) -> Vec<serde_json::Value> {
    let appended = gateway.eventually(PATIENCE, "every reading is in the stream", || {
        let appended = gateway.appended("readings") as i64;
        if appended >= SENT { Ok(appended) } else { Err(format!("{appended} of {SENT}")) }
    });
    gateway.tap("readings", appended as usize)
}

#[test]
fn at_qos_2_every_reading_arrives_once_over_kills_of_the_gateway() {
    let port = free_port();
    let mut gateway = Gateway::configured("", &door(port));
    gateway.start_ready();
    let mut device = Exact::to(([127, 0, 0, 1], port).into());
    sent_over_kills(&mut gateway, |body| device.publish("sensors/d1", body));
    device.flush();
    let (unique, again) = readings(&stored(&gateway));
    assert_eq!((unique.len() as i64, again), (SENT, 0));
    assert_eq!(device.new_sessions, 1, "a session that was promised was gone");
    assert!(device.sent_again > 0, "no kill hit a message under way");
}

#[test]
fn at_qos_1_nothing_that_was_acknowledged_is_lost_over_kills_of_the_gateway() {
    let port = free_port();
    let mut gateway = Gateway::configured("", &door(port));
    gateway.start_ready();
    let mut device = Publisher::to(([127, 0, 0, 1], port).into(), "devices");
    sent_over_kills(&mut gateway, |body| device.publish("sensors/d1", body));
    device.flush();
    let (unique, again) = readings(&stored(&gateway));
    assert_eq!(unique.len() as i64, SENT);
    // Its sessions are clean: the gateway cannot know what it has sent before.
    assert!(again as u64 <= device.sent_again, "{again} twice, {} sent again", device.sent_again);
}
