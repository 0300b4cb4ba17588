//! What is asked of a running pipeline. Its thread alone touches the operators: it takes what is asked between two turns.

use crate::handover::{Handover, Swapped};
use crate::shadow::Shadow;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

/// Most that may be asked before the pipeline comes to it; who asks then waits.
const ASKS_MAX: usize = 1;

/// Something for a pipeline to do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Ask {
    /// Puts a plugin in quarantine to work again.
    Release {
        /// Which operator, from 1.
        operator: usize,
    },
    /// Gives the states of a plugin to another version.
    HandOver {
        /// Which operator, from 1.
        operator: usize,
        /// That version.
        to: Handover,
    },
    /// Puts another version in the place of a plugin.
    Swap {
        /// Which operator, from 1.
        operator: usize,
        /// That version.
        to: Handover,
    },
    /// Has a shadow run beside an operator, in place of one that did; `None`: none any more.
    Shadow {
        /// Which operator, from 1.
        operator: usize,
        /// The shadow.
        shadow: Option<Shadow>,
    },
}

impl Ask {
    /// Whether it is part of a commit: who asked is answered when that is taken in, and what changes nothing that lasts is
    /// answered at once.
    pub(crate) fn lasts(&self) -> bool {
        match self {
            Ask::Release { .. } | Ask::Swap { .. } => true,
            Ask::HandOver { .. } | Ask::Shadow { .. } => false,
        }
    }
}

/// What it did. Where it lasts, it is taken into the store's order when it is said: a crash after the next group commit does
/// not undo it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "did", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// The plugin works again.
    Released {
        /// Which operator, from 1.
        operator: usize,
        /// Name and version.
        plugin: String,
    },
    /// States were given away.
    HandedOver {
        /// Which operator, from 1.
        operator: usize,
    },
    /// Another version is in its place.
    Swapped(Swapped),
    /// A shadow runs beside it, or none any more.
    Shadowed {
        /// Which operator, from 1.
        operator: usize,
    },
}

/// The end of who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asking(mpsc::Sender<Asked>);

/// The pipeline's end.
#[derive(Debug)]
pub(crate) struct Asks {
    receiver: mpsc::Receiver<Asked>,
    /// What was put off.
    first: Option<Asked>,
}

/// Something asked, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub ask: Ask,
    pub reply: Reply,
}

/// Where an answer goes; who asked may be gone.
#[derive(Debug)]
pub(crate) struct Reply(oneshot::Sender<Result<Answer, String>>);

/// Both ends.
pub(crate) fn asks() -> (Asking, Asks) {
    let (sender, receiver) = mpsc::channel(ASKS_MAX);
    (Asking(sender), Asks { receiver, first: None })
}

impl Asking {
    /// Resolves with what the pipeline says; the error is a sentence, and nothing was done.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, String> {
        let ended = || "the pipeline has stopped: its status says why".to_string();
        let (reply, answer) = oneshot::channel();
        self.0.send(Asked { ask, reply: Reply(reply) }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Asks {
    /// The next, when there is one. Cancel-safe.
    pub async fn next(&mut self) -> Asked {
        if let Some(asked) = self.first.take() {
            return asked;
        }
        match self.receiver.recv().await {
            Some(asked) => asked,
            // Nobody can ask any more.
            None => std::future::pending().await,
        }
    }

    /// The next, if there is one now.
    pub fn now(&mut self) -> Option<Asked> {
        self.first.take().or_else(|| self.receiver.try_recv().ok())
    }

    /// Puts off what was taken: it is the next again.
    pub fn put_off(&mut self, asked: Asked) {
        self.first = Some(asked);
    }
}

impl Reply {
    /// Tells who asked.
    pub fn say(self, answer: Result<Answer, String>) {
        drop(self.0.send(answer));
    }
}
