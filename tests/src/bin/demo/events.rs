//! What happens at the terminal: Enter, Ctrl-C, or, in a scripted run, the times for both.

use std::io::{BufRead, IsTerminal, stdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use tidegate_tests::runtime;

/// How often the board is redrawn.
const TICK: Duration = Duration::from_secs(2);
/// Events that wait for the board.
const EVENTS_MAX: usize = 16;

/// Something to react to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Time to show the counts.
    Tick,
    /// Enter: pause the upstream, or let it go on.
    Toggle,
    /// Time is up, or Ctrl-C.
    End,
}

/// Where events come from.
pub struct Events(Receiver<Event>);

impl Events {
    /// Ctrl-C and Enter; with `seconds` also a pause in the middle and the end.
    pub fn of_terminal(seconds: Option<Duration>) -> Self {
        let (sender, receiver) = sync_channel(EVENTS_MAX);
        on_ctrl_c(sender.clone());
        match seconds {
            Some(seconds) => follow_script(seconds, sender),
            None if stdin().is_terminal() => on_enter(sender),
            None => {}
        }
        Events(receiver)
    }

    /// The next one; a tick when nothing happens.
    pub fn next(&self) -> Event {
        match self.0.recv_timeout(TICK) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Tick,
            Err(RecvTimeoutError::Disconnected) => Event::End,
        }
    }
}

fn on_ctrl_c(sender: SyncSender<Event>) {
    runtime().spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if sender.try_send(Event::End).is_err() {
                break;
            }
        }
    });
}

fn on_enter(sender: SyncSender<Event>) {
    std::thread::spawn(move || {
        for _ in stdin().lock().lines().map_while(Result::ok) {
            if sender.send(Event::Toggle).is_err() {
                break;
            }
        }
    });
}

/// A third of the time flowing, a third in an outage, a third to catch up.
fn follow_script(seconds: Duration, sender: SyncSender<Event>) {
    runtime().spawn(async move {
        for event in [Event::Toggle, Event::Toggle, Event::End] {
            tokio::time::sleep(seconds / 3).await;
            let _ = sender.try_send(event);
        }
    });
}
