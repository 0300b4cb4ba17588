//! Plays a fleet over MQTT.

use super::{Pace, Simulator};
use crate::mqtt::Address;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Where and how a fleet publishes. MQTT 3.1.1, QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishOptions {
    /// `mqtt://HOST[:PORT]`.
    pub url: String,
    /// Readings go to `TOPIC/DEVICE`.
    pub topic: String,
    /// Its name towards the broker.
    pub client_id: String,
    /// Ends after so many readings; `None`: when told.
    pub count: Option<u64>,
}

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Readings handed to the broker's connection.
    pub sent: u64,
    /// Readings the broker acknowledged.
    pub acknowledged: u64,
}

/// Readings under way to the broker at most.
const INFLIGHT_MAX: u16 = 100;
/// Largest packet from the broker: it sends nothing but acks.
const PACKET_BYTES_MAX: usize = 64 * 1024;
/// How long the broker may take for the last acks.
const LAST_ACKS: Duration = Duration::from_secs(10);

/// Publishes the fleet's readings at its rate until `stop`, or until `count` are sent. A broker that goes away is waited
/// for. The error is a sentence.
pub async fn publish(
    options: PublishOptions,
    mut simulator: Simulator,
    stop: CancellationToken,
) -> Result<Published, String> {
    let address = Address::parse(&options.url).map_err(|error| error.to_string())?;
    if address.tls {
        return Err("the simulator publishes without TLS: use mqtt://".into());
    }
    let mut mqtt = MqttOptions::new(&options.client_id, address.host, address.port);
    mqtt.set_inflight(INFLIGHT_MAX)
        .set_clean_session(false)
        .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX)
        .set_keep_alive(Duration::from_secs(30));
    let (client, events) = AsyncClient::new(mqtt, usize::from(INFLIGHT_MAX));
    let acknowledged = AtomicU64::new(0);
    let mut sent = 0;
    {
        let polls = poll(events, &acknowledged);
        let sends = send(&client, &options, &mut simulator, &mut sent, &acknowledged, &stop);
        tokio::select! {
            biased;
            // The network is polled beside the sending: neither waits for the other.
            () = polls => {}
            result = sends => result?,
        }
    }
    Ok(Published { sent, acknowledged: acknowledged.into_inner() })
}

async fn send(
    client: &AsyncClient,
    options: &PublishOptions,
    simulator: &mut Simulator,
    sent: &mut u64,
    acknowledged: &AtomicU64,
    stop: &CancellationToken,
) -> Result<(), String> {
    let mut pace = Pace::new(simulator.options().rate);
    let limit = options.count.unwrap_or(u64::MAX);
    while *sent < limit && !stop.is_cancelled() {
        for _ in 0..pace.due().await.min(limit - *sent) {
            let reading = simulator.reading();
            let topic = format!("{}/{}", options.topic, reading.device);
            let sending = client.publish(topic, QoS::AtLeastOnce, false, reading.json());
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                result = sending => result.map_err(|error| error.to_string())?,
            }
            *sent += 1;
        }
    }
    let deadline = tokio::time::Instant::now() + LAST_ACKS;
    while acknowledged.load(Ordering::Relaxed) < *sent && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(super::TURN).await;
    }
    Ok(())
}

async fn poll(mut events: EventLoop, acknowledged: &AtomicU64) {
    let mut backoff = crate::backoff::Backoff::of("simulator");
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::PubAck(_))) => {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                backoff.reset();
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "simulator has no connection to the broker");
                tokio::time::sleep(backoff.wait()).await;
            }
        }
    }
}
