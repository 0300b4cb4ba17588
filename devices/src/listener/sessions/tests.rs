use super::*;

fn wanted(client_id: &str, clean: bool, expiry: u32) -> Wanted<'_> {
    Wanted { client_id, clean, expiry, bell: Bell::default() }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_session_is_kept_for_as_long_as_its_device_asked() {
    let mut sessions = Sessions::new(10, 10);
    let first = sessions.open(wanted("a", false, 60), secs(0)).unwrap();
    assert!(first.register && !first.session_present);
    sessions.leave(first.ticket, secs(100));
    let again = sessions.open(wanted("a", false, 60), secs(159)).unwrap();
    assert!(again.session_present && !again.register, "nothing new to store");
    sessions.leave(again.ticket, secs(200));
    let late = sessions.open(wanted("a", false, 60), secs(260)).unwrap();
    assert!(!late.session_present && late.register);
}

#[test]
fn a_clean_session_is_gone_with_its_connection_and_needs_no_store() {
    let mut sessions = Sessions::new(10, 10);
    let opened = sessions.open(wanted("a", true, 0), secs(0)).unwrap();
    assert!(!opened.register);
    sessions.leave(opened.ticket, secs(1));
    assert_eq!((sessions.iter().count(), sessions.connected()), (0, 0));
}

#[test]
fn a_device_that_begins_anew_has_its_old_session_removed_durably() {
    let mut sessions = Sessions::new(10, 10);
    let first = sessions.open(wanted("a", false, 60), secs(0)).unwrap();
    sessions.leave(first.ticket, secs(1));
    let anew = sessions.open(wanted("a", true, 0), secs(2)).unwrap();
    assert!(anew.register && !anew.session_present);
}

#[test]
fn a_second_connection_takes_the_session_over() {
    let mut sessions = Sessions::new(1, 10);
    let first = sessions.open(wanted("a", false, 60), secs(0)).unwrap();
    let second = sessions.open(wanted("a", false, 60), secs(1)).unwrap();
    assert!(second.session_present);
    assert!(sessions.peer(first.ticket).is_none() && sessions.peer(second.ticket).is_some());
    assert_eq!(sessions.leave(first.ticket, secs(2)), 0);
    assert_eq!(sessions.connected(), 1, "the one that was taken over does not count twice");
}

#[test]
fn connections_and_sessions_are_bounded() {
    let mut sessions = Sessions::new(2, 2);
    let a = sessions.open(wanted("a", false, 60), secs(0)).unwrap();
    sessions.open(wanted("b", false, 60), secs(0)).unwrap();
    assert_eq!(sessions.open(wanted("c", false, 60), secs(0)), Err(End::ConnectionsMax(2)));
    sessions.leave(a.ticket, secs(1));
    // The session that was left longest makes room.
    assert!(sessions.open(wanted("c", false, 60), secs(2)).unwrap().register);
    assert_eq!(sessions.iter().count(), 2);
    assert!(sessions.iter().all(|(_, peer)| peer.client_id != "a"));
}

#[test]
fn sessions_of_a_larger_register_make_room_until_the_limit_is_kept() {
    let mut sessions = Sessions::new(2, 2);
    (0..5).for_each(|n| sessions.restore(n, n.to_string(), 60));
    assert!(sessions.open(wanted("a", true, 0), secs(1)).unwrap().register);
    assert_eq!((sessions.iter().count(), sessions.connected()), (2, 1));
}

#[test]
fn sessions_whose_time_is_over_are_swept() {
    let mut sessions = Sessions::new(10, 10);
    let opened = sessions.open(wanted("a", false, 60), secs(0)).unwrap();
    assert!(!sessions.sweep(secs(1_000)), "its device is connected");
    sessions.leave(opened.ticket, secs(1_000));
    assert!(!sessions.sweep(secs(1_059)) && sessions.sweep(secs(1_060)));
    assert_eq!(sessions.iter().count(), 0);
}
