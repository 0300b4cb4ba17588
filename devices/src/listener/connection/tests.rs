use super::*;
use crate::commits::Stock as _;
use crate::hand::Hand;
use crate::listener::sessions::Sessions;
use crate::{DecodeOptions, Decoder, Parcel, Receipt, Refusal};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::pin::pin;
use tidegate_record::{Field, Scalar, Schema, Wall};
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;

/// A store that nothing comes to: there are no commits here.
struct Nowhere;

impl Intake for Nowhere {
    fn commit(&self, parcel: Parcel) -> Result<Receipt, Refusal> {
        Err(Refusal::Full(parcel))
    }

    fn room(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn state(&self) -> Option<Vec<u8>> {
        None
    }

    fn wall(&self) -> Wall {
        Wall { micros: 1_800_000_000_000_000, trusted: true }
    }
}

/// A listener with room for so many large packets at once.
fn context(options: Options, large: usize) -> Arc<Context> {
    let schema = Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float)]).unwrap());
    let decode = DecodeOptions { device: Some("/d".into()), ..DecodeOptions::default() };
    let hand = Hand::new("door", Decoder::new(decode, schema).unwrap());
    let stock = Stock::new(&options, hand, Sessions::new(10, 10), false);
    Arc::new(Context {
        options: Arc::new(options),
        shared: Shared::new(stock),
        intake: Arc::new(Nowhere),
        handle: Handle::new("door", "mqtt_listener"),
        drain: CancellationToken::new(),
        began: Instant::now(),
        faults: AtomicU64::new(0),
        large: Arc::new(Semaphore::new(large)),
    })
}

/// A device that is connected, with a session that ends with its connection.
async fn device(context: &Arc<Context>) -> (DuplexStream, JoinHandle<()>) {
    let (mut device, served) = duplex(READ_BYTES);
    let serves = tokio::spawn(serve_over(served, SocketAddr::from(([127, 0, 0, 1], 1)), context.clone()));
    device.write_all(b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0").await.unwrap();
    let mut answer = [0; 4];
    device.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    (device, serves)
}

/// Everything in hand becomes durable.
fn commit(context: &Context) {
    let mut stock = context.shared.stock();
    let mut handful = stock.hand.parcel();
    stock.seal(handful.number, &mut handful.parcel);
    context.shared.durable.store(handful.number, Ordering::Release);
    stock.settled(handful.number);
}

/// PUBLISH at QoS 0 of 200,000 bytes.
fn large() -> Vec<u8> {
    [&[0x30, 0xc0, 0x9a, 0x0c, 0, 1, b't'][..], &[b' '; 200_000 - 3]].concat()
}

#[tokio::test]
async fn large_packets_wait_for_their_share_of_memory() {
    let context = context(Options::default(), 1);
    let ((mut first, _), (mut second, _)) = (device(&context).await, device(&context).await);
    let large = large();
    let (last, most) = large.split_last().unwrap();
    first.write_all(most).await.unwrap();
    {
        let mut waits = pin!(second.write_all(&large));
        for _ in 0..1_000 {
            assert!((&mut waits).now_or_never().is_none(), "there is no room for it");
            tokio::task::yield_now().await;
        }
        first.write_all(&[*last]).await.unwrap();
        waits.await.unwrap();
    }
    for mut device in [first, second] {
        device.write_all(&[0xc0, 0]).await.unwrap();
        let mut pong = [0; 2];
        device.read_exact(&mut pong).await.unwrap();
    }
    assert_eq!((context.handle.status().frames, context.large.available_permits()), (2, 1));
}

#[tokio::test]
async fn what_a_device_sent_before_it_was_gone_is_taken_though_it_reads_no_answer() {
    for notices in [true, false] {
        let context = context(Options { receive_max: 1, ..Options::default() }, 1);
        let (mut device, serves) = device(&context).await;
        // PUBLISH at QoS 1, each with a window of its own, then three at QoS 0.
        let messages =
            [&b"\x32\x05\x00\x01t\x00\x07\x32\x05\x00\x01t\x00\x08"[..], &b"\x30\x03\x00\x01t".repeat(3)].concat();
        device.write_all(&messages).await.unwrap();
        while context.handle.status().frames == 0 {
            tokio::task::yield_now().await;
        }
        drop(device);
        if notices {
            // The end of the stream is read before there is an answer.
            tokio::task::yield_now().await;
        }
        while !serves.is_finished() {
            commit(&context);
            tokio::task::yield_now().await;
        }
        assert_eq!(context.handle.status().frames, 5, "{notices}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_in_the_middle_of_a_large_packet_gives_its_share_to_others() {
    let context = context(Options::default(), 1);
    let ((mut first, stalls), (mut second, _)) = (device(&context).await, device(&context).await);
    let large = large();
    // However slow it is, it has its share while bytes come.
    for piece in large[..190_000].chunks(10_000) {
        first.write_all(piece).await.unwrap();
        tokio::time::advance(STALL_MAX / 2).await;
    }
    assert!(!stalls.is_finished() && context.large.available_permits() == 0);
    let sends = async {
        second.write_all(&[&*large, &[0xc0, 0]].concat()).await.unwrap();
        second.read_exact(&mut [0; 2]).await.unwrap();
    };
    timeout(2 * STALL_MAX, sends).await.expect("a share of what the first one held");
    stalls.await.unwrap();
    assert_eq!(context.handle.status().frames, 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_share_is_not_kept_for_longer_than_its_keep_alive() {
    let context = context(Options::default(), 0);
    let (mut device, waits) = device(&context).await;
    let sent = timeout(Duration::from_secs(2 * 3600), device.write_all(&large())).await;
    assert!(sent.expect("it is ended").is_err());
    waits.await.unwrap();
    assert_eq!(context.handle.status().frames, 0);
}
