use super::*;
use proptest::prelude::*;

fn told(size: usize) -> Window {
    Window::new(Size::Told(size))
}

/// A message of QoS 1 as it comes again.
fn again(packet_id: u16, hash: u32) -> Sent {
    Sent { packet_id, qos_2: false, dup: true, hash }
}

/// The same for the first time.
fn first(packet_id: u16, hash: u32) -> Sent {
    Sent { dup: false, ..again(packet_id, hash) }
}

fn acks(window: &mut Window, durable: u64) -> Vec<u16> {
    std::iter::from_fn(|| {
        let (id, _) = window.next_ack(durable)?;
        window.handed();
        Some(id)
    })
    .collect()
}

#[test]
fn acks_go_in_the_order_of_arrival_when_durable() {
    let mut window = told(8);
    window.push(first(3, 0), 1);
    window.push_ignored(first(9, 0));
    window.push(first(1, 0), 2);
    assert!(acks(&mut window, 0).is_empty());
    assert_eq!(acks(&mut window, 1), [3, 9]);
    assert_eq!(acks(&mut window, 2), [1]);
    assert_eq!(window.len(), 3);
    for id in [3, 9, 1] {
        window.written(id);
    }
    assert_eq!(window.len(), 0);
}

#[test]
fn a_redelivery_of_what_we_hold_is_recognised_once() {
    let mut window = told(8);
    window.push(first(1, 11), 1);
    window.push(first(2, 22), 2);
    window.cut();
    assert_eq!(window.arrive(again(1, 11)), Arrival::Redelivered);
    assert_eq!(window.arrive(again(2, 99)), Arrival::New, "another payload is another message");
    window.push(first(2, 99), 3);
    assert_eq!(acks(&mut window, 1), [1]);
    assert_eq!(window.arrive(again(1, 11)), Arrival::New, "the first was settled");
}

#[test]
fn a_redelivery_waits_for_the_parcel_of_its_first_copy() {
    let mut window = told(8);
    window.push(first(1, 11), 5);
    window.cut();
    assert_eq!(window.arrive(again(1, 11)), Arrival::Redelivered);
    assert!(acks(&mut window, 4).is_empty());
    assert_eq!(acks(&mut window, 5), [1]);
}

#[test]
fn a_reused_packet_id_is_a_new_message() {
    let mut window = told(8);
    window.push(first(1, 11), 1);
    window.cut();
    assert_eq!(window.arrive(first(1, 11)), Arrival::New);
    window.cut();
    window.push(first(2, 22), 1);
    assert_eq!(acks(&mut window, 1), [2]);
    window.written(2);
    window.cut();
    assert_eq!(window.arrive(again(2, 22)), Arrival::New, "its ack was written: the id may be another message's");
}

#[test]
fn what_is_known_is_forgotten_a_window_later_or_with_the_session() {
    let mut window = told(2);
    window.push(first(7, 70), 1);
    window.cut();
    for id in 100..102 {
        assert_eq!(window.arrive(first(id, 0)), Arrival::New);
    }
    assert_eq!(window.arrive(again(7, 70)), Arrival::New);
    window.push(first(7, 70), 1);
    window.cut();
    window.forget();
    assert_eq!(window.arrive(again(7, 70)), Arrival::New);
}

#[test]
fn the_state_holds_what_is_durable_and_not_acknowledged() {
    let mut window = told(8);
    for (id, parcel) in [(65_535, 1), (1, 1), (2, 2), (3, 3)] {
        window.push(first(id, u32::from(id) * 7), parcel);
    }
    window.push_ignored(first(4, 0));
    assert_eq!(acks(&mut window, 1), [65_535, 1]);
    window.written(65_535);
    let mut restored = told(8);
    assert!(restored.restore(&window.state(2)));
    let mut arrive = |id: u16| restored.arrive(again(id, u32::from(id) * 7));
    assert_eq!([1, 2].map(&mut arrive), [Arrival::Redelivered; 2]);
    assert_eq!([65_535, 3, 4].map(&mut arrive), [Arrival::New; 3]);
    assert_eq!(acks(&mut restored, 0), [1, 2], "an earlier run's messages are durable");
}

#[test]
fn the_window_of_an_older_broker_is_learned_and_unlearned() {
    let mut window = Window::new(Size::unknown());
    let wall = Wall { micros: 0, trusted: true };
    let push = |window: &mut Window, count: u16| {
        for id in 1..=count {
            window.push(first(id, 0), 1);
            window.came(wall);
        }
    };
    for round in 0..5 {
        push(&mut window, 20);
        // Of the first round nobody can tell whether it came at once.
        assert_eq!(window.is_full(), round == 4);
        window.learn(0, wall);
        window.learn(1, wall);
        assert_eq!(acks(&mut window, 1).len(), 20);
        assert!(!window.is_full(), "acks are under way: more will come");
    }
    push(&mut window, 21);
    assert!(!window.is_full(), "there were more than learned");
}

#[test]
fn at_qos_2_a_message_is_known_until_its_release_over_any_number_of_connections() {
    let sent = Sent { qos_2: true, ..first(5, 55) };
    let dup = Sent { dup: true, ..sent };
    let mut window = told(8);
    assert_eq!(window.arrive(sent), Arrival::New);
    window.push(sent, 1);
    assert_eq!(window.next_ack(1), Some((5, true)));
    for _ in 0..3 {
        assert_eq!(acks(&mut window, 1), [5]);
        window.written(5);
        window.cut();
        assert_eq!(window.arrive(dup), Arrival::Redelivered);
    }
    assert_eq!(acks(&mut window, 1), [5]);
    window.written(5);
    let mut restored = told(8);
    assert!(restored.restore(&window.state(1)));
    assert_eq!(restored.arrive(dup), Arrival::Redelivered, "a restart knows it too");
    window.released(5);
    assert_eq!(window.arrive(dup), Arrival::New, "the id may be another message's");
    assert_eq!(window.state(1).len(), 1);
}

proptest! {
    #[test]
    fn any_list_is_read_back(messages in proptest::collection::hash_map(1u16.., any::<u32>(), 0..50)) {
        let mut window = told(100);
        messages.iter().for_each(|(&id, &hash)| window.push(first(id, hash), 1));
        let mut restored = told(100);
        prop_assert!(restored.restore(&window.state(1)));
        for (&id, &hash) in &messages {
            prop_assert_eq!(restored.arrive(again(id, hash)), Arrival::Redelivered);
        }
    }

    #[test]
    fn any_bytes_are_a_list_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut window = told(8);
        if !window.restore(&bytes) {
            prop_assert!(window.known.is_empty());
        }
    }
}
