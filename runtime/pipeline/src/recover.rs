//! Going on after a restart: the last snapshot, then the input up to the committed read position once more.

use crate::chain::Chain;
use crate::handle::Handle;
use crate::mark::{self, Checkpoint, Mark};
use crate::merge::Merge;
use crate::start::StartError;
use std::sync::Arc;
use tidegate_store::{Partition, Position, Session, Store};

/// Where a pipeline goes on, its operators' state as it was there.
pub(crate) struct Recovered {
    /// Where each input goes on.
    pub positions: Vec<Position>,
    /// What was committed beside the outputs.
    pub mark: Mark,
    /// Whether this pipeline has a snapshot to go back to.
    pub has_snapshot: bool,
}

/// Restores the chain and replays; everything the replay produces is discarded, for it was committed before.
pub(crate) fn recover(
    session: &Session,
    store: &Arc<dyn Store>,
    inputs: &[Partition],
    chain: &mut Chain,
    handle: &Handle,
) -> Result<Recovered, StartError> {
    let producer = &*session.producer;
    let mut committed = Vec::new();
    for partition in inputs {
        committed.push(store.cursor(producer, partition)?);
    }
    let mut mark = match store.state(producer)? {
        Some(bytes) => mark::decode::<Mark>(&bytes).map_err(StartError::mark)?,
        None => Mark::default(),
    };
    let (from, has_snapshot) = restore(producer, store, inputs, chain, handle, &committed)?;
    let to: Vec<Position> = committed.iter().zip(&from).map(|(c, f)| c.unwrap_or(*f).max(*f)).collect();
    let replayed = replay((store, session), inputs, chain, &mark, &from, &to)?;
    if has_snapshot && !mark.counts.is_empty() && mark.counts != chain.counts() {
        handle.update(|s| s.notes.push(diverged(chain, &mark)));
        tracing::error!(producer, "replay diverged: {}", diverged(chain, &mark));
    }
    mark.counts = chain.counts().to_vec();
    handle.update(|s| s.replayed = replayed);
    Ok(Recovered { positions: to, mark, has_snapshot })
}

/// Restores the last snapshot; gives the positions it was taken at (the start of the streams where there is none).
fn restore(
    producer: &str,
    store: &Arc<dyn Store>,
    inputs: &[Partition],
    chain: &mut Chain,
    handle: &Handle,
    committed: &[Option<Position>],
) -> Result<(Vec<Position>, bool), StartError> {
    let mut starts = Vec::new();
    for partition in inputs {
        starts.push(store.start(partition)?);
    }
    let Some(snapshot) = store.snapshot(producer)? else { return Ok((starts, false)) };
    let checkpoint: Checkpoint = mark::decode(&snapshot.bytes).map_err(StartError::snapshot)?;
    if checkpoint.fingerprint != chain.fingerprint() {
        let note = "its operators, parameters or windows are not those of its last snapshot: it begins with empty state \
                    at its committed read position; windows that were open are lost";
        tracing::warn!(producer, "{note}");
        handle.update(|s| s.notes.push(note.into()));
        let positions = committed.iter().zip(&starts).map(|(c, s)| c.unwrap_or(*s)).collect();
        return Ok((positions, false));
    }
    if let Err((operator, error)) = chain.restore(checkpoint.operators, checkpoint.counts) {
        return Err(StartError::restore(chain.plugin(operator), operator, error.0));
    }
    let at = |(partition, start): (&Partition, &Position)| {
        let kept = snapshot.at.iter().find(|(p, _)| p == partition).map(|(_, at)| *at);
        kept.unwrap_or(*start)
    };
    Ok((inputs.iter().zip(&starts).map(at).collect(), true))
}

/// Reads on from `from` until every input stands at `to`; gives the number of records.
fn replay(
    (store, session): (&Arc<dyn Store>, &Session),
    inputs: &[Partition],
    chain: &mut Chain,
    mark: &Mark,
    from: &[Position],
    to: &[Position],
) -> Result<u64, StartError> {
    let mut at = from.to_vec();
    let inputs = inputs.iter().cloned().zip(from).zip(to).map(|((partition, from), to)| (partition, *from, *to));
    let mut merge = Merge::up_to(store.clone(), session, inputs);
    let mut replayed = 0;
    while at.iter().zip(to).any(|(at, to)| at < to) {
        let Some(entry) = merge.next()? else { break };
        if entry.first >= to[entry.input] {
            // What lay before it is gone: there is nothing more to replay of this input.
            at[entry.input] = to[entry.input];
            continue;
        }
        chain.process(&entry, &mark.verdicts).map_err(StartError::halted)?;
        at[entry.input] = entry.next;
        replayed += entry.batch.rows() as u64;
    }
    Ok(replayed)
}

fn diverged(chain: &Chain, mark: &Mark) -> String {
    let both = chain.counts().iter().zip(&mark.counts).enumerate();
    let first = both.into_iter().find(|(_, (now, then))| now != then);
    match first {
        Some((operator, (now, then))) => format!(
            "operator {} ({}) came to {}/{} records in/out where {}/{} were committed; results from here on may differ",
            operator + 1,
            chain.plugin(operator),
            now.0,
            now.1,
            then.0,
            then.1
        ),
        None => "the number of operators changed".into(),
    }
}
