//! A shadow: another version of an operator's plugin that runs beside it on the same records.
//!
//! It begins with the state of the live one and has a thread of its own. The live operator hands it what it was given and
//! what it made of that, and never waits for it: a shadow that does not keep up, halts or is too slow ends, and says so.
//! What it makes is compared and thrown away.

mod compare;
mod cost;
mod report;
#[cfg(test)]
mod tests;

pub(crate) use cost::Spent;
pub use report::{Bounds, ShadowReport, ShadowState, Verdict};

use crate::digest::Digest;
use crate::entry::Era;
use crate::operator::{Context, Operator, SavedOperator, Trouble};
use crate::rows::Rows;
use report::{Books, Noted};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_sandbox::Kind;
use tokio::sync::Notify;

/// Most entries a shadow may be behind.
const ENTRIES_MAX: usize = 1024;
/// Most bytes of records kept for it meanwhile, in memory.
const BYTES_MAX: usize = 32 << 20;
/// Room for the stack of a guest's call beside the host's own.
const STACK_BYTES: usize = 4 << 20;

/// A shadow to be, made ready by who wants it and handed to the pipeline; then a look at how it does.
#[derive(Debug, Clone)]
pub struct Shadow {
    books: Arc<Mutex<Books>>,
    /// Said when there may be a verdict.
    news: Arc<Notify>,
    waiting: Arc<Mutex<Option<Waiting>>>,
}

/// An operator that has not begun to run beside another.
struct Waiting {
    operator: Box<dyn Operator>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

/// The live operator's end.
pub(crate) struct Feed {
    shadow: Shadow,
    sender: SyncSender<Fed>,
    /// Bytes under way.
    bytes: Arc<AtomicUsize>,
}

/// An entry as the live operator was given it, and what it made of it.
struct Fed {
    rows: Rows,
    arrival: i64,
    wall: Option<i64>,
    era: Option<Era>,
    live: Rows,
    live_faults: usize,
    live_spent: Spent,
    bytes: usize,
}

impl Shadow {
    /// `operator` runs beside the live one once the pipeline has it.
    pub(crate) fn new(mut operator: Box<dyn Operator>, bounds: Bounds) -> Shadow {
        let books = Books::new(&mut *operator, bounds);
        let waiting = Mutex::new(Some(Waiting { operator })).into();
        Shadow { books: Arc::new(Mutex::new(books)), news: Arc::default(), waiting }
    }

    /// Whether it is this very one.
    pub fn is(&self, other: &Shadow) -> bool {
        Arc::ptr_eq(&self.books, &other.books)
    }

    /// How it does.
    pub fn report(&self) -> ShadowReport {
        self.books(|books| books.report())
    }

    /// What its bounds say by now; `None`: more records are needed.
    pub fn verdict(&self) -> Option<Verdict> {
        self.books(|books| books.verdict())
    }

    /// Why others want it to end, or ended it: it is to take nobody's place any more.
    pub fn stopped(&self) -> Option<String> {
        self.books(|books| books.stopped())
    }

    /// Resolves when it has passed or failed; where its bounds have no end, when it has ended.
    pub async fn settled(&self) -> Verdict {
        loop {
            let news = self.news.notified();
            if let Some(verdict) = self.verdict() {
                return verdict;
            }
            news.await;
        }
    }

    fn books<T>(&self, look: impl FnOnce(&mut Books) -> T) -> T {
        look(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins to run beside `live`, with its state.
    pub(crate) fn begin(&self, live: &mut dyn Operator) -> Result<Feed, String> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Waiting { mut operator }) = waiting else { return Err("this shadow has begun before".into()) };
        operator.runner().fits(live.runner()).map_err(|misfit| misfit.to_string())?;
        operator.runner().label(&format!("{}/shadow", live.runner().operator()));
        let saved = live.save().map_err(|halted| halted.to_string())?;
        let (sender, receiver) = sync_channel(ENTRIES_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        let (shadow, left) = (self.clone(), bytes.clone());
        let work = move || {
            let run = AssertUnwindSafe(|| shadow.run(operator, saved, &receiver, &left));
            let defect = || Some("it met a defect of the gateway: report it".into());
            let ended = catch_unwind(run).unwrap_or_else(|_| defect());
            shadow.end(ended);
        };
        let thread = std::thread::Builder::new().name("shadow".into()).stack_size(STACK_BYTES);
        thread.spawn(work).map_err(|error| format!("no thread for the shadow: {error}"))?;
        Ok(Feed { shadow: self.clone(), sender, bytes })
    }

    fn end(&self, reason: Option<String>) {
        self.books(|books| books.end(reason));
        self.news.notify_waiters();
    }

    /// Works until the pipeline stops it, or it cannot go on, and why.
    fn run(
        &self,
        mut operator: Box<dyn Operator>,
        saved: SavedOperator,
        fed: &Receiver<Fed>,
        bytes: &AtomicUsize,
    ) -> Option<String> {
        if let Err(error) = operator.restore(saved) {
            return Some(format!("it does not go on from the live one's state: {error}"));
        }
        let a_result_a_row = matches!(operator.runner().plugin().kind(), Kind::Filter | Kind::Detect);
        while let Ok(Fed { rows, arrival, wall, era, live, live_faults, live_spent, bytes: taken }) = fed.recv() {
            let (records, began) = (rows.batch.rows(), Spent::of(&mut *operator));
            let (trouble, digest) = (Trouble::default(), Digest::default());
            let mut context = Context { arrival, wall, era, verdict: None, trouble, digest };
            let made = operator.process(rows, &mut context);
            bytes.fetch_sub(taken, Relaxed);
            let made = match made {
                Ok(made) => made,
                Err(halted) => return Some(halted.to_string()),
            };
            let faults = context.trouble.rows.len() + context.trouble.windows.len();
            let found = compare::compare(&live, &made, a_result_a_row.then_some(records));
            let spent = (Spent::of(&mut *operator).since(began), live_spent);
            let noted = Noted { records, found, faults: (faults, live_faults), spent };
            let reason = self.books(|books| books.note(noted));
            self.news.notify_waiters();
            if reason.is_some() {
                return reason;
            }
        }
        None
    }
}

impl Feed {
    /// It ends when it has come to the end of what it was given, and says why.
    pub(crate) fn stop(self, why: &str) {
        self.shadow.books(|books| books.stop(why));
    }

    /// Hands over what the live operator was given and what it made; false: there is nobody any more, or it is too far
    /// behind, and the shadow ends.
    pub(crate) fn give(&self, rows: Rows, live: &Rows, context: &Context<'_>, live_spent: Spent) -> bool {
        let bytes = rows.batch.memory_bytes() + live.batch.memory_bytes();
        let live_faults = context.trouble.rows.len() + context.trouble.windows.len();
        let fed = Fed {
            rows,
            arrival: context.arrival,
            wall: context.wall,
            era: context.era,
            live: live.clone(),
            live_faults,
            live_spent,
            bytes,
        };
        let behind = self.bytes.fetch_add(bytes, Relaxed) + bytes;
        let given = behind <= BYTES_MAX.max(bytes) && self.sender.try_send(fed).is_ok();
        if !given {
            // Where it had ended by itself, what it said then stands.
            self.shadow.end(Some("it does not keep up with the live one".into()));
        }
        given
    }
}
