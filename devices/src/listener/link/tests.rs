use super::*;
use crate::commits::Stock as _;
use crate::hand::Hand;
use crate::listener::sessions::Sessions;
use crate::{DecodeOptions, Decoder, Parcel, Secret};
use futures::FutureExt as _;
use proptest::prelude::*;
use tidegate_record::{Field, Scalar, Schema};

const WALL: Wall = Wall { micros: 1_800_000_000_000_000, trusted: true };

/// What all connections share, and a store that makes durable when it is told.
struct Desk {
    options: Arc<Options>,
    stock: Stock,
    durable: u64,
}

impl Desk {
    fn new(options: Options) -> Self {
        let decode = DecodeOptions { device: Some("/d".into()), ..options.decode.clone() };
        let schema = Arc::new(Schema::new(vec![Field::new("temp", Scalar::Float)]).unwrap());
        let hand = Hand::new("door", Decoder::new(decode, schema).unwrap());
        let sessions = Sessions::new(options.connections_max, options.sessions_max);
        Desk { stock: Stock::new(&options, hand, sessions, false), options: Arc::new(options), durable: 0 }
    }

    fn link(&self) -> Link {
        Link::new(self.options.clone(), Bell::default())
    }

    /// Gives `bytes` to a link, and what it answers and waits for.
    fn turn(&mut self, link: &mut Link, bytes: &[u8]) -> (Vec<u8>, Turn) {
        let now = self.now();
        let (_, turn) = link.turn(&mut self.stock, bytes, now);
        if let Turn::Ends(end) = &turn {
            link.end(&mut self.stock, end, now);
        }
        let out = std::mem::take(&mut link.out);
        link.written(&mut self.stock);
        (out, turn)
    }

    fn answer(&mut self, link: &mut Link, bytes: &[u8]) -> Vec<u8> {
        self.turn(link, bytes).0
    }

    fn now(&self) -> Now {
        Now { wall: WALL, since: Duration::ZERO, durable: self.durable }
    }

    /// Everything in hand becomes durable.
    fn commit(&mut self) -> Parcel {
        let mut handful = self.stock.hand().parcel();
        self.stock.seal(handful.number, &mut handful.parcel);
        self.durable = handful.number;
        self.stock.settled(handful.number);
        handful.parcel
    }

    /// A device that is connected, with a session that is kept.
    fn device(&mut self, connect: &[u8]) -> Link {
        let mut link = self.link();
        self.answer(&mut link, connect);
        self.commit();
        self.answer(&mut link, &[]);
        assert!(link.is_open());
        link
    }
}

fn packet(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    assert!(body.len() < 128);
    [&[first, body.len() as u8], &*body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// MQTT 3.1.1, with a session that is kept.
fn connect_v311(id: &str) -> Vec<u8> {
    packet(0x10, &[b"\0\x04MQTT\x04\0\0\x3c", &text(id)])
}

/// MQTT 5, with a session that is kept.
fn connect_v5(id: &str) -> Vec<u8> {
    packet(0x10, &[b"\0\x04MQTT\x05\0\0\x3c\x05\x11\0\0\x0e\x10", &text(id)])
}

fn publish(qos: u8, id: u16, topic: &str, payload: &str, v5: bool) -> Vec<u8> {
    let id = if qos == 0 { vec![] } else { id.to_be_bytes().to_vec() };
    packet(0x30 | qos << 1, &[&text(topic), &id, if v5 { &[0] } else { &[] }, payload.as_bytes()])
}

const NOTHING: [u8; 0] = [];
const READING: &str = r#"{"d":"a","temp":1}"#;

fn records(parcel: &Parcel) -> usize {
    parcel.records.iter().map(|dated| dated.batch.rows()).sum()
}

#[test]
fn a_session_is_promised_when_it_is_durable() {
    let mut desk = Desk::new(Options::default());
    let mut link = desk.link();
    assert_eq!(desk.turn(&mut link, &connect_v311("a")), (vec![], Turn::Waits));
    assert!(desk.commit().register.is_some());
    assert_eq!(desk.turn(&mut link, &[]), (vec![0x20, 2, 0, 0], Turn::Reads));
    desk.turn(&mut link, &[0xe0, 0]);
    let mut link = desk.link();
    assert_eq!(desk.answer(&mut link, &connect_v311("a")), [0x20, 2, 1, 0], "it is there again, and known to be");
    let mut link = desk.link();
    let clean = packet(0x10, &[b"\0\x04MQTT\x04\x02\0\x3c", &text("")]);
    assert_eq!(desk.answer(&mut link, &clean), [0x20, 2, 0, 0], "nothing is promised");
}

#[test]
fn a_message_is_acknowledged_when_it_is_durable() {
    let mut desk = Desk::new(Options::default());
    let mut link = desk.device(&connect_v311("a"));
    assert_eq!(desk.answer(&mut link, &publish(1, 7, "t", READING, false)), NOTHING);
    assert_eq!(desk.answer(&mut link, &publish(2, 8, "t", READING, false)), NOTHING);
    assert_eq!(records(&desk.commit()), 2);
    assert_eq!(desk.answer(&mut link, &[]), [0x40, 2, 0, 7, 0x50, 2, 0, 8]);
    assert_eq!(desk.answer(&mut link, &[0x62, 2, 0, 8]), NOTHING, "its release is not durable");
    assert!(desk.stock.has_news());
    desk.commit();
    assert_eq!(desk.answer(&mut link, &[]), [0x70, 2, 0, 8]);
}

#[test]
fn on_receive_nothing_waits() {
    let mut desk = Desk::new(Options { ack: crate::Ack::OnReceive, ..Options::default() });
    let mut link = desk.device(&connect_v311("a"));
    assert_eq!(desk.answer(&mut link, &publish(1, 7, "t", READING, false)), [0x40, 2, 0, 7]);
    assert_eq!(desk.answer(&mut link, &publish(2, 8, "t", READING, false)), [0x50, 2, 0, 8]);
    assert_eq!(desk.answer(&mut link, &[0x62, 2, 0, 8]), [0x70, 2, 0, 8]);
}

#[test]
fn a_message_that_comes_again_is_taken_once() {
    let mut desk = Desk::new(Options::default());
    for connect in [connect_v311("a"), connect_v5("b")] {
        let v5 = connect[8] == 5;
        let mut link = desk.device(&connect);
        let mut message = publish(2, 9, "t", READING, v5);
        desk.answer(&mut link, &message);
        assert_eq!(records(&desk.commit()), 1);
        let gone = desk.now();
        link.end(&mut desk.stock, &End::Gone("cut".into()), gone);
        let mut link = desk.link();
        assert_eq!(desk.answer(&mut link, &connect)[2], 1, "session present");
        message[0] |= 0x08;
        assert_eq!(desk.answer(&mut link, &message), [0x50, 2, 0, 9]);
        assert_eq!(records(&desk.commit()), 0);
    }
}

#[test]
fn packets_may_come_in_pieces() {
    let mut desk = Desk::new(Options::default());
    let mut link = desk.device(&connect_v311("a"));
    let packets = [publish(0, 0, "t", READING, false), vec![0xc0, 0]].concat();
    let (mut held, mut out) = (Vec::new(), Vec::new());
    for &byte in &packets {
        held.push(byte);
        let now = desk.now();
        let (done, turn) = link.turn(&mut desk.stock, &held, now);
        assert_eq!(turn, Turn::Reads);
        held.drain(..done);
        out.append(&mut link.out);
    }
    assert_eq!((out, held.len()), (vec![0xd0, 0], 0));
    assert_eq!(records(&desk.commit()), 1);
}

/// What a connection of a device that sends `bytes` ends with.
fn ends(connect: Option<&[u8]>, bytes: &[u8], sentence: &str) {
    let mut desk = Desk::new(Options { packet_bytes_max: 1024, ..Options::default() });
    let mut link = match connect {
        Some(connect) => desk.device(connect),
        None => desk.link(),
    };
    match desk.turn(&mut link, bytes).1 {
        Turn::Ends(end) => assert_eq!(end.to_string(), sentence, "{bytes:x?}"),
        other => panic!("{other:?} of {bytes:x?}"),
    }
}

#[test]
fn what_is_wrong_ends_the_connection_with_a_sentence() {
    ends(None, &publish(0, 0, "t", "", false), "against the protocol: the first packet is no CONNECT");
    ends(None, b"GET / HTTP/1.1\r\n\r\n", "against the protocol: the first packet is no CONNECT");
    ends(None, b"\x10\x08\0\x04MQTT\x03\0", "protocol level 3 is neither MQTT 3.1.1 (4) nor MQTT 5 (5)");
    ends(
        None,
        b"\x10\x0c\0\x04MQTT\x04\0\0\0\0\0",
        "client id: without one there is no session to keep: clean_session must be set",
    );
    let (v311, v5) = (connect_v311("a"), connect_v5("a"));
    let both = [&*v311, &*v5];
    for connect in both {
        ends(Some(connect), connect, "against the protocol: a second CONNECT");
        ends(Some(connect), &[0x36, 0], "no MQTT packet: QoS 3");
        ends(Some(connect), &[0x33, 3, 0, 1, b't'], "no MQTT packet: it ends in the middle of a field");
        ends(Some(connect), &[0xc0, 0xff, 0xff, 0xff, 0xff], "no MQTT packet: a length of more than four bytes");
        ends(
            Some(connect),
            &[0x40, 2, 0, 1],
            "against the protocol: an acknowledgement of a message that was never sent",
        );
        let large = "a packet of 131074 bytes is over packet_bytes_max = 1024: raise it, or send less at once";
        ends(Some(connect), &[0x30, 0xfe, 0xff, 0x07], large);
    }
    ends(Some(&v311), &publish(1, 0, "t", "", false), "against the protocol: a packet id of 0");
    ends(
        Some(&v311),
        &publish(0, 0, "t/#", "", false),
        "no MQTT packet: a topic that is empty, or has a wildcard in it",
    );
    // A property that is cut off, and one that has no business there.
    let topic = text("t");
    ends(Some(&v5), &packet(0x30, &[&topic, &[2, 2, 0]]), "no MQTT packet: it ends in the middle of a field");
    ends(
        Some(&v5),
        &packet(0x30, &[&topic, &[3, 35, 0, 1]]),
        "against the protocol: a topic alias, and none were allowed",
    );
    ends(
        Some(&v5),
        &packet(0x30, &[&topic, &[3, 33, 0, 1]]),
        "against the protocol: a property that may not stand in this packet",
    );
    ends(Some(&v5), &[0xe0, 0], "the device said goodbye");
    ends(Some(&v5), &[0xe0, 1, 0], "the device said goodbye");
    let long = packet(0x10, &[b"\0\x04MQTT\x04\0\0\x3c", &text("")]);
    let long = [&[0x10, 0x8d, 0x02], &long[2..12], &text(&"a".repeat(257))].concat();
    ends(None, &long, "client id: over 256 bytes: give a shorter one");
}

#[test]
fn whoever_subscribes_is_told_that_this_is_no_broker() {
    let mut desk = Desk::new(Options::default());
    let mut v311 = desk.device(&connect_v311("a"));
    assert_eq!(desk.answer(&mut v311, &packet(0x82, &[&[0, 1], &text("t"), &[1]])), [0x90, 3, 0, 1, 0x80]);
    assert_eq!(desk.answer(&mut v311, &packet(0xa2, &[&[0, 2], &text("t")])), [0xb0, 2, 0, 2]);
    let mut v5 = desk.device(&connect_v5("b"));
    assert_eq!(desk.answer(&mut v5, &packet(0x82, &[&[0, 1, 0], &text("t"), &[1]])), [0x90, 4, 0, 1, 0, 0x87]);
}

#[test]
fn an_answer_to_filters_is_small() {
    for connect in [connect_v311("a"), connect_v5("b")] {
        let v5 = connect[8] == 5;
        // SUBSCRIBE or UNSUBSCRIBE with as many filters.
        let asks = |first: u8, filter: &str, count: usize| {
            let options: &[u8] = if first == 0x82 { &[1] } else { &[] };
            let filters = [&text(filter), options].concat().repeat(count);
            let body = [&[0, 1][..], if v5 { &[0] } else { &[] }, &filters].concat();
            let mut packet = vec![first];
            crate::leb128::put(&mut packet, body.len() as u64);
            [packet, body].concat()
        };
        for first in [0x82, 0xa2] {
            let mut desk = Desk::new(Options::default());
            let mut link = desk.device(&connect);
            let (out, turn) = desk.turn(&mut link, &asks(first, "t", 1024));
            assert!(out.len() < 1100 && turn == Turn::Reads, "{} {turn:?}", out.len());
            ends_at_once(&connect, &asks(first, "t", 1025), "more than 1024 topic filters in one packet");
            ends_at_once(&connect, &asks(first, "", 1), "a topic filter that is empty");
        }
    }
}

/// That a packet is against the protocol, and not answered.
fn ends_at_once(connect: &[u8], bytes: &[u8], what: &'static str) {
    let mut desk = Desk::new(Options::default());
    let mut link = desk.device(connect);
    let now = desk.now();
    assert_eq!(link.turn(&mut desk.stock, bytes, now).1, Turn::Ends(End::Protocol(what)));
    assert!(link.out.is_empty());
}

#[test]
fn a_topic_nobody_takes_in_is_refused_or_set_aside() {
    let mut desk = Desk::new(Options { topics: vec!["sensors/+".into()], ..Options::default() });
    let mut v5 = desk.device(&connect_v5("b"));
    assert_eq!(desk.answer(&mut v5, &publish(1, 7, "other", READING, true)), [0x40, 3, 0, 7, 0x87]);
    let mut v311 = desk.device(&connect_v311("a"));
    assert_eq!(desk.answer(&mut v311, &publish(1, 7, "other", READING, false)), NOTHING);
    let parcel = desk.commit();
    assert_eq!((records(&parcel), parcel.dead_letters.len()), (0, 1));
    assert_eq!(desk.answer(&mut v311, &[]), [0x40, 2, 0, 7]);
}

#[test]
fn a_window_is_kept_by_ending_a_connection_that_was_told_or_by_not_reading_on() {
    let mut desk = Desk::new(Options { receive_max: 2, ..Options::default() });
    let three = |v5| [1, 2, 3].map(|id| publish(1, id, "t", READING, v5)).concat();
    let mut v5 = desk.device(&connect_v5("b"));
    let (out, turn) = desk.turn(&mut v5, &three(true));
    assert_eq!((out[0], out[2], turn), (0xe0, 0x93, Turn::Ends(End::Quota)));
    let mut v311 = desk.device(&connect_v311("a"));
    assert_eq!(desk.turn(&mut v311, &three(false)), (vec![], Turn::Waits));
    assert!(desk.stock.hurry(), "the device waits with its whole window");
    desk.commit();
    let rest = publish(1, 3, "t", READING, false);
    assert_eq!(desk.turn(&mut v311, &rest), (vec![0x40, 2, 0, 1, 0x40, 2, 0, 2], Turn::Reads));
}

#[test]
fn a_device_that_releases_without_end_is_not_read_on() {
    for connect in [connect_v311("a"), connect_v5("b")] {
        let mut desk = Desk::new(Options { receive_max: 4, ..Options::default() });
        let mut link = desk.device(&connect);
        let message = publish(1, 1, "t", READING, connect[8] == 5);
        desk.answer(&mut link, &message);
        let releases = [0x62, 2, 0, 1].repeat(12);
        let now = desk.now();
        let (done, turn) = link.turn(&mut desk.stock, &releases, now);
        assert!(done < releases.len() && turn == Turn::Waits, "{done} {turn:?}");
        desk.commit();
        assert_eq!(desk.turn(&mut link, &releases[done..]).1, Turn::Reads);
    }
}

#[test]
fn a_device_at_the_bound_of_qos_2_may_send_again_but_nothing_more() {
    const MAX: u16 = 4_096;
    for connect in [connect_v311("a"), connect_v5("b")] {
        let v5 = connect[8] == 5;
        let mut desk = Desk::new(Options { receive_max: MAX, ..Options::default() });
        let mut link = desk.device(&connect);
        let mut messages: Vec<_> = (1..=MAX).map(|id| publish(2, id, "t", READING, v5)).collect();
        assert!(!matches!(desk.turn(&mut link, &messages.concat()).1, Turn::Ends(_)));
        assert_eq!(records(&desk.commit()), usize::from(MAX));
        let gone = desk.now();
        link.end(&mut desk.stock, &End::Gone("cut".into()), gone);
        let mut link = desk.device(&connect);
        messages.iter_mut().for_each(|message| message[0] |= 0x08);
        let (out, turn) = desk.turn(&mut link, &messages.concat());
        assert_eq!((out.len(), turn), (usize::from(MAX) * 4, Turn::Reads), "PUBREC of each");
        assert_eq!(records(&desk.commit()), 0);
        if !v5 {
            assert_eq!(desk.turn(&mut link, &publish(1, MAX + 1, "t", READING, v5)).1, Turn::Reads);
            let end = End::Protocol("too many QoS 2 messages without their PUBREL");
            assert_eq!(desk.turn(&mut link, &publish(2, MAX + 2, "t", READING, v5)).1, Turn::Ends(end));
        }
        // A device that has lost its memory uses an id for another message.
        let mut link = desk.device(&connect);
        assert_eq!(desk.turn(&mut link, &publish(2, 1, "t", "another", v5)).1, Turn::Reads);
    }
}

#[test]
fn who_waits_for_room_is_rung_when_a_parcel_is_made() {
    let mut desk = Desk::new(Options::default());
    let mut link = desk.device(&connect_v311("a"));
    while link.bell.notified().now_or_never().is_some() {}
    let message = [&[0x32, 5][..], b"\x00\x01t\x00\x01"].concat();
    let padded = [READING.as_bytes(), &vec![b' '; crate::hand::HELD_BYTES_MAX]].concat();
    desk.stock.hand.take(None, "t", &padded, WALL);
    assert_eq!(desk.turn(&mut link, &message).1, Turn::Waits);
    assert!(link.bell.notified().now_or_never().is_none());
    desk.commit();
    assert!(link.bell.notified().now_or_never().is_some());
    assert_eq!(desk.turn(&mut link, &message).1, Turn::Reads);
}

#[test]
fn answers_that_had_no_place_are_not_left_behind() {
    let mut desk = Desk::new(Options { receive_max: u16::MAX, ..Options::default() });
    let mut link = desk.device(&connect_v311("a"));
    let count = UNREAD_BYTES_MAX / 4 + 1;
    for id in 1..=count {
        assert_eq!(desk.turn(&mut link, &publish(1, id as u16, "t", READING, false)), (vec![], Turn::Reads));
    }
    desk.commit();
    let (out, turn) = desk.turn(&mut link, &[]);
    assert_eq!((out.len(), turn), (UNREAD_BYTES_MAX, Turn::Unread), "it writes, and looks again");
    let (out, turn) = desk.turn(&mut link, &[]);
    assert_eq!((out.len(), turn), (4, Turn::Reads));
}

#[test]
fn a_will_is_a_frame_when_the_connection_breaks() {
    let connect = packet(0x10, &[b"\0\x04MQTT\x04\x06\0\x3c", &text("a"), &text("wills/a"), &text(READING)]);
    for (bytes, expected) in [(vec![0xe0, 0], 0), (vec![0xff, 0], 1)] {
        let mut desk = Desk::new(Options::default());
        let mut link = desk.device(&connect);
        assert!(matches!(desk.turn(&mut link, &bytes).1, Turn::Ends(_)));
        assert_eq!(records(&desk.commit()), expected, "{bytes:x?}");
    }
    let connect = packet(0x10, &[b"\0\x04MQTT\x05\x06\0\x3c\0", &text("a"), &[0], &text("wills/a"), &text(READING)]);
    // Only the normal reason takes it back.
    for (reason, expected) in [(0, 0), (4, 1), (0x80, 1)] {
        let mut desk = Desk::new(Options::default());
        let mut link = desk.device(&connect);
        desk.turn(&mut link, &[0xe0, 1, reason]);
        assert_eq!(records(&desk.commit()), expected, "{reason:x}");
    }
}

#[test]
fn a_second_connection_of_a_client_id_ends_the_first() {
    let mut desk = Desk::new(Options::default());
    let mut first = desk.device(&connect_v5("a"));
    let mut second = desk.link();
    assert_eq!(desk.answer(&mut second, &connect_v5("a"))[2], 1);
    let (out, turn) = desk.turn(&mut first, &publish(1, 1, "t", READING, true));
    assert_eq!((out[0], out[2], turn), (0xe0, 0x8e, Turn::Ends(End::TakenOver)));
    assert_eq!(records(&desk.commit()), 0);
    assert_eq!(desk.answer(&mut second, &[0xc0, 0]), [0xd0, 0]);
}

#[test]
fn a_session_ended_by_its_device_is_not_there_again() {
    let mut desk = Desk::new(Options::default());
    let mut link = desk.device(&connect_v5("a"));
    desk.answer(&mut link, &[0xe0, 7, 0, 5, 17, 0, 0, 0, 0]);
    let register = desk.commit().register.expect("the register without it");
    assert_eq!(register.len(), 1);
    let mut link = desk.link();
    desk.answer(&mut link, &connect_v5("a"));
    desk.commit();
    assert_eq!(desk.answer(&mut link, &[])[2], 0);
}

#[test]
fn a_bridge_of_mosquitto_is_a_device_too() {
    let mut desk = Desk::new(Options::default());
    desk.device(&packet(0x10, &[b"\0\x04MQTT\x84\x00\0\x3c", &text("bridge")]));
}

#[test]
fn only_who_says_the_right_words_comes_in() {
    let options =
        Options { username: Some("u".into()), password: Some(Secret::from("p".to_owned())), ..Options::default() };
    let mut desk = Desk::new(options);
    let v311 = |user: &str, password: &str| {
        packet(0x10, &[b"\0\x04MQTT\x04\xc2\0\x3c", &text("a"), &text(user), &text(password)])
    };
    let mut answer = |bytes: &[u8]| {
        let mut link = desk.link();
        desk.answer(&mut link, bytes)
    };
    assert_eq!(answer(&v311("u", "p")), [0x20, 2, 0, 0]);
    assert_eq!(answer(&v311("u", "q")), [0x20, 2, 0, 4]);
    assert_eq!(answer(&connect_v311("a")), [0x20, 2, 0, 4]);
    let refused = answer(&connect_v5("a"));
    assert_eq!((refused[0], refused[3]), (0x20, 0x86));
    assert!(String::from_utf8_lossy(&refused).contains("wrong username or password"));
}

#[test]
fn a_drain_ends_a_connection_when_everything_is_answered() {
    let mut desk = Desk::new(Options::default());
    let mut link = desk.device(&connect_v5("a"));
    desk.answer(&mut link, &publish(1, 7, "t", READING, true));
    desk.stock.draining = true;
    assert_eq!(desk.turn(&mut link, &publish(1, 8, "t", READING, true)), (vec![], Turn::Waits));
    assert_eq!(records(&desk.commit()), 1);
    let (out, turn) = desk.turn(&mut link, &[]);
    assert_eq!((&out[..4], out[4], out[6], turn), (&[0x40, 2, 0, 7][..], 0xe0, 0x8b, Turn::Ends(End::Draining)));
}

proptest! {
    #[test]
    fn any_bytes_are_answered_or_end_the_connection(
        v5: bool,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut desk = Desk::new(Options::default());
        let stranger = desk.link();
        let device = desk.device(&if v5 { connect_v5("a") } else { connect_v311("a") });
        for mut link in [stranger, device] {
            let (was_open, now) = (link.is_open(), desk.now());
            let (done, turn) = link.turn(&mut desk.stock, &bytes, now);
            prop_assert!(done <= bytes.len() && link.out.len() <= 2 * bytes.len());
            match turn {
                Turn::Ends(_) => {}
                Turn::Reads => prop_assert!(matches!(wire::whole(&bytes[done..], usize::MAX), Ok(None))),
                turn => prop_assert!(turn == Turn::Waits && !was_open),
            }
        }
        desk.commit();
    }
}
