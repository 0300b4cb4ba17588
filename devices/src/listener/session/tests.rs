use super::*;

const MESSAGE: Sent = Sent { id: 7, qos_2: false, dup: false, hash: 77, timed: false };
const TWICE: Sent = Sent { qos_2: true, ..MESSAGE };

fn again(sent: Sent) -> Sent {
    Sent { dup: true, ..sent }
}

/// The answers that may go, as their packets begin; they are written at once.
fn answers(session: &mut Session, durable: u64) -> Vec<(u8, u16)> {
    let mut out = Vec::new();
    while let Some(answer) = session.next(durable) {
        out.push((answer.kind as u8, answer.id));
        session.handed();
    }
    session.written(8);
    out
}

fn taken(session: &mut Session, sent: Sent, parcel: u64) {
    assert_eq!(session.arrive(sent), Ok(Arrival::New));
    session.push(sent, parcel, parcel, 256);
}

#[test]
fn answers_go_in_the_order_of_arrival_when_durable() {
    let mut session = Session::default();
    taken(&mut session, Sent { id: 3, ..MESSAGE }, 1);
    taken(&mut session, Sent { id: 9, ..TWICE }, 2);
    session.refuse(Sent { id: 4, ..MESSAGE }, 0x87);
    assert_eq!(answers(&mut session, 0), []);
    assert_eq!(answers(&mut session, 1), [(0x40, 3)]);
    assert_eq!(answers(&mut session, 2), [(0x50, 9), (0x40, 4)]);
    assert_eq!((session.waiting(), session.under_way, session.unreleased()), (0, 1, 1));
}

#[test]
fn what_comes_again_before_its_answer_is_the_one_we_have() {
    let mut session = Session::default();
    taken(&mut session, MESSAGE, 5);
    session.begin();
    assert_eq!(session.arrive(again(MESSAGE)), Ok(Arrival::Again));
    assert_eq!(answers(&mut session, 4), [], "it waits for the first copy's parcel");
    assert_eq!(answers(&mut session, 5), [(0x40, 7)]);
}

#[test]
fn behind_its_puback_only_bytes_with_a_time_of_their_own_are_the_same_message() {
    for timed in [true, false] {
        let sent = Sent { timed, ..MESSAGE };
        let mut session = Session::default();
        taken(&mut session, sent, 1);
        assert_eq!(answers(&mut session, 1), [(0x40, 7)]);
        session.begin();
        let expected = if timed { Arrival::Again } else { Arrival::New };
        assert_eq!(session.arrive(again(sent)), Ok(expected));
    }
    let mut session = Session::default();
    taken(&mut session, Sent { timed: true, ..MESSAGE }, 1);
    session.begin();
    assert_eq!(session.arrive(MESSAGE), Ok(Arrival::New), "it does not say that it comes again");
    assert_eq!(session.arrive(Sent { hash: 78, ..again(MESSAGE) }), Ok(Arrival::New), "other bytes");
}

#[test]
fn at_qos_2_the_id_is_free_when_it_is_durably_forgotten() {
    let mut session = Session::default();
    taken(&mut session, TWICE, 1);
    assert_eq!(answers(&mut session, 1), [(0x50, 7)]);
    session.begin();
    assert_eq!(session.arrive(again(TWICE)), Ok(Arrival::Again), "PUBREC was lost");
    assert_eq!(answers(&mut session, 1), [(0x50, 7)]);
    assert_eq!(session.known(1).count(), 1);
    assert!(session.release(7, 2));
    assert_eq!(session.known(2).count(), 0);
    assert_eq!(answers(&mut session, 1), [], "a crash now would bring it back");
    session.begin();
    assert!(!session.release(7, 3), "the same PUBREL on another connection");
    assert_eq!(answers(&mut session, 2), [(0x70, 7)]);
    assert_eq!(session.arrive(again(TWICE)), Ok(Arrival::New));
}

#[test]
fn a_release_of_nothing_is_answered_with_its_reason() {
    let mut session = Session::default();
    assert!(!session.release(9, 1));
    assert_eq!(session.next(0).map(|answer| (answer.kind, answer.code)), Some((Kind::Comp, 0x92)));
}

#[test]
fn an_id_in_use_at_qos_2_is_not_taken_for_another_message() {
    let mut session = Session::default();
    taken(&mut session, TWICE, 1);
    assert!(session.arrive(Sent { hash: 1, ..TWICE }).is_err());
    session.begin();
    assert_eq!(session.arrive(Sent { hash: 1, ..TWICE }), Ok(Arrival::New), "a device that has lost its memory");
}

#[test]
fn a_restart_knows_what_is_durable_and_not_answered_in_full() {
    let mut before = Session::default();
    taken(&mut before, Sent { id: 1, ..MESSAGE }, 1);
    taken(&mut before, Sent { id: 2, timed: true, ..MESSAGE }, 2);
    taken(&mut before, Sent { id: 3, ..TWICE }, 2);
    taken(&mut before, Sent { id: 4, ..TWICE }, 3);
    assert_eq!(answers(&mut before, 1), [(0x40, 1)]);
    let mut after = Session::default();
    before.known(2).for_each(|known| after.restore(known));
    after.begin();
    assert_eq!(after.unreleased(), 1);
    for (id, sent, expected) in [
        (1, MESSAGE, Arrival::New),
        (2, Sent { timed: true, ..MESSAGE }, Arrival::Again),
        (3, TWICE, Arrival::Again),
        (4, TWICE, Arrival::New),
    ] {
        assert_eq!(after.arrive(again(Sent { id, ..sent })), Ok(expected), "{id}");
    }
}

#[test]
fn a_window_that_is_as_full_each_time_answers_go_is_the_whole_of_it() {
    let mut session = Session::default();
    let mut wall = Wall { micros: 0, trusted: true };
    let mut round = |session: &mut Session, pause_micros: i64| {
        wall.micros += pause_micros;
        for id in 1..=20 {
            taken(session, Sent { id, ..MESSAGE }, 1);
            session.came(wall);
        }
        let was_full = session.is_full(256);
        // Parcels of other devices, with nothing for this one.
        (0..10).for_each(|_| session.learn(0, wall));
        session.learn(1, wall);
        assert_eq!(answers(session, 1).len(), 20);
        was_full
    };
    assert!((0..10).all(|_| !round(&mut session, 1_000_000)), "it does not wait for its answers");
    assert_eq!([0; 4].map(|_| round(&mut session, 1_000)), [false, false, false, true]);
    (1..=21).for_each(|id| taken(&mut session, Sent { id, ..MESSAGE }, 2));
    session.came(Wall { micros: 0, trusted: true });
    assert!(!session.is_full(256), "there was more than learned");
}

#[test]
fn what_was_acknowledged_is_known_by_little_and_only_for_a_while() {
    let timed = |id| Sent { id, timed: true, ..MESSAGE };
    let mut session = Session::default();
    for id in 1..=100 {
        taken(&mut session, timed(id), 1);
        assert_eq!(answers(&mut session, 1), [(0x40, id)]);
    }
    assert_eq!((session.held.len(), session.acked.len()), (0, 8));
    session.begin();
    assert_eq!(session.arrive(again(timed(92))), Ok(Arrival::New));
    assert_eq!(session.arrive(again(timed(93))), Ok(Arrival::Again));
    assert_eq!((session.under_way, answers(&mut session, 0)), (1, vec![(0x40, 93)]));
}

#[test]
fn a_window_of_first_deliveries_later_nothing_else_comes_again() {
    let mut session = Session::default();
    taken(&mut session, Sent { id: 1, ..MESSAGE }, 1);
    taken(&mut session, Sent { id: 2, ..TWICE }, 1);
    session.begin();
    for id in 3..=4 {
        assert_eq!(session.known(1).count(), usize::from(id) - 1);
        session.push(Sent { id, ..MESSAGE }, 1, 1, 2);
    }
    let mut known: Vec<_> = session.known(1).map(|known| known.id).collect();
    known.sort_unstable();
    assert_eq!(known, [2, 3, 4], "at QoS 2 until its release, and what came on this connection");
}

#[test]
fn an_answer_that_is_of_no_message_forgets_none() {
    let mut session = Session::default();
    session.restore(Known { id: 7, hash: 77, qos_2: false });
    session.refuse(Sent { hash: 1, ..MESSAGE }, 0x87);
    assert_eq!(answers(&mut session, 0), [(0x40, 7)]);
    assert_eq!(session.known(0).count(), 1);
}

#[test]
fn a_message_of_an_earlier_run_is_forgotten_when_it_is_released() {
    let mut session = Session::default();
    session.restore(Known { id: 7, hash: 77, qos_2: true });
    session.begin();
    assert!(session.release(7, 3));
    assert_eq!((answers(&mut session, 2), answers(&mut session, 3)), (vec![], vec![(0x70, 7)]));
    assert_eq!((session.held.len(), session.unreleased()), (0, 0));
}

#[test]
fn an_answer_for_an_earlier_connections_message_gives_the_device_one_more() {
    let mut session = Session::default();
    taken(&mut session, Sent { id: 1, ..TWICE }, 1);
    assert_eq!(answers(&mut session, 1), [(0x50, 1)]);
    session.begin();
    session.release(1, 1);
    // PUBCOMP is handed over before the whole window, sent meanwhile, has come.
    assert_eq!(answers(&mut session, 1), [(0x70, 1)]);
    for id in 2..=9 {
        assert!(!session.is_over(8));
        taken(&mut session, Sent { id, ..MESSAGE }, 2);
    }
    assert!(!session.is_over(8), "it has read PUBCOMP, and counts one more");
    taken(&mut session, Sent { id: 10, ..MESSAGE }, 2);
    assert!(session.is_over(8));
}
