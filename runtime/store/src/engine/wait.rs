//! Waiting without losing a wake-up: the waiter is enrolled before the condition is looked at.

use super::Inner;
use crate::api::{Error, Partition, Visibility};
use futures::future::BoxFuture;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::Notify;

pub(super) fn room(inner: Arc<Inner>, stream: Option<&str>) -> BoxFuture<'static, ()> {
    let stream = stream.and_then(|name| inner.declared().ok()?.position(name).ok());
    Box::pin(async move {
        let has_room = |inner: &Inner| {
            let Ok(declared) = inner.declared() else { return true };
            let core = inner.lock();
            core.writable().is_err() || inner.full(&core, declared, stream).is_none()
        };
        until(&inner, &inner.room, has_room).await;
    })
}

pub(super) fn appended(
    inner: Arc<Inner>,
    partition: &Partition,
    at: u64,
    visibility: Visibility,
) -> BoxFuture<'static, ()> {
    let Ok(index) = inner.index(partition) else { return Box::pin(std::future::ready(())) };
    let has_more = move |inner: &Inner| {
        let core = inner.lock();
        let state = &core.partitions[index];
        let end = match visibility {
            Visibility::Durable => state.durable(),
            Visibility::Staged => state.next,
        };
        let at = at.max(state.floor);
        // Below the durable end there may be a gap that reaches up to it.
        let at = if state.nothing.contains(&at) { state.nothing.end } else { at };
        core.poisoned.is_some() || end > at
    };
    Box::pin(async move {
        if let Some(waker) = inner.waker(index, visibility) {
            until(&inner, waker, has_more).await;
        }
    })
}

pub(super) fn close(inner: Arc<Inner>, running: bool) -> BoxFuture<'static, Result<(), Error>> {
    inner.lock().closing = true;
    inner.wake_everyone();
    Box::pin(async move {
        if !running {
            inner.medium.release();
            return Ok(());
        }
        let mut ended = inner.ended.subscribe();
        let result = ended.wait_for(Option::is_some).await.map(|end| end.clone());
        result.ok().flatten().unwrap_or(Err(Error::Closed))
    })
}

/// Waits until `holds`, looking again at every notice.
async fn until(inner: &Inner, notify: &Notify, holds: impl Fn(&Inner) -> bool) {
    loop {
        let mut notified = pin!(notify.notified());
        notified.as_mut().enable();
        if holds(inner) {
            return;
        }
        notified.await;
    }
}

impl Inner {
    fn waker(&self, partition: usize, visibility: Visibility) -> Option<&Notify> {
        let wakers = &self.declared.get()?.wakers[partition];
        Some(match visibility {
            Visibility::Durable => &wakers.durable,
            Visibility::Staged => &wakers.staged,
        })
    }
}
