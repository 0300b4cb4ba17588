//! Going on after a restart: the last snapshot, then the input up to the committed read position once more.

use crate::chain::Chain;
use crate::handle::Handle;
use crate::mark::{self, Checkpoint, Mark};
use crate::merge::Merge;
use crate::quarantine::OnQuarantine;
use crate::start::{StartError, Stop};
use crate::{OperatorOptions, PipelineOptions};
use std::sync::Arc;
use tidegate_store::{Partition, Position, Session, Store};

/// Where a pipeline goes on, its operators' state as it was there.
pub(crate) struct Recovered {
    /// Where each input goes on.
    pub positions: Vec<Position>,
    /// What was committed beside the outputs.
    pub mark: Mark,
    /// The next commit has to carry a snapshot.
    pub snapshot_due: bool,
    /// How many operators' plugins answered otherwise than before.
    pub diverged: usize,
}

/// Restores the chain and replays; everything the replay produces is discarded, for it was committed before.
pub(crate) fn recover(
    session: &Session,
    store: &Arc<dyn Store>,
    inputs: &[Partition],
    chain: &mut Chain,
    options: &PipelineOptions,
    handle: &Handle,
) -> Result<Recovered, Stop> {
    let producer = &*session.producer;
    let mut committed = Vec::new();
    for partition in inputs {
        committed.push(store.cursor(producer, partition)?);
    }
    let mut mark = match store.state(producer)? {
        Some(bytes) => mark::decode::<Mark>(&bytes).map_err(StartError::mark)?,
        None => Mark::default(),
    };
    let Restored { from, notes } = restore(producer, store, inputs, chain, handle, &committed)?;
    let has_snapshot = notes.is_some();
    if has_snapshot {
        mark.held.iter().for_each(|held| chain.hold(held.clone()));
    }
    let to: Vec<Position> = committed.iter().zip(&from).map(|(c, f)| c.unwrap_or(*f).max(*f)).collect();
    chain.replays(true);
    let replayed = replay((store, session), inputs, chain, &mark, &from, &to)?;
    chain.replays(false);
    let others = notes.as_deref().map_or_else(Vec::new, |notes| chain.other_tables(notes));
    let tables = other_tables(producer, &others, replayed);
    let diverged = notes.as_deref().map_or_else(Vec::new, |notes| diverged(chain, &mark, notes, &others));
    for note in &diverged {
        tracing::error!(producer, "replay diverged: {note}");
    }
    let count = diverged.len();
    handle.update(|s| {
        s.replayed = replayed;
        s.notes.extend(tables.into_iter().chain(diverged));
    });
    let changed = another_file(producer, chain) | another_policy(producer, chain, &options.operators);
    mark.counts = chain.counts().to_vec();
    mark.digests = chain.digests();
    mark.held = chain.all_held();
    Ok(Recovered { positions: to, mark, snapshot_due: !has_snapshot || changed, diverged: count })
}

/// Says which tables are not those the last snapshot was made with: what was replayed saw other ones when it was committed.
fn other_tables(producer: &str, others: &[&str], replayed: u64) -> Option<String> {
    if others.is_empty() {
        return None;
    }
    let (names, noun) = (others.join(", "), if others.len() == 1 { "table" } else { "tables" });
    if replayed == 0 {
        tracing::info!(producer, tables = names, "looks things up in tables that are others than before");
        return None;
    }
    let note = format!(
        "{noun} {names}: not as at its last snapshot; {replayed} records from there on were looked up again, in what is there now"
    );
    tracing::warn!(producer, "{note}");
    Some(note)
}

/// A plugin whose file is not the one that was quarantined gets a chance of its own: behind the replay, which it took no
/// part in. True where there is one.
fn another_file(producer: &str, chain: &mut Chain) -> bool {
    let mut any = false;
    for held in chain.all_held() {
        let operator = held.operator as usize;
        if held.plugin != chain.plugin_hash(operator) {
            let plugin = chain.plugin(operator);
            tracing::warn!(producer, operator = operator + 1, plugin, "out of quarantine: its file is another one");
            chain.release(operator);
            any = true;
        }
    }
    any
}

/// What is in quarantine is treated by the policy that is configured now: behind the replay, which went by the one
/// before. True where that is another one.
fn another_policy(producer: &str, chain: &mut Chain, options: &[OperatorOptions]) -> bool {
    let mut any = false;
    for mut held in chain.all_held() {
        let operator = held.operator as usize;
        let (before, now) = (held.shown.policy, options[operator].on_quarantine);
        if before == now {
            continue;
        }
        any = true;
        let (operator_number, before, word) = (operator + 1, before.word(), now.word());
        tracing::warn!(producer, operator = operator_number, before, now = word, "another on_quarantine from here on");
        match now {
            // The pipeline cannot stand at an entry it is past: the plugin is tried again, and where it halts it stands.
            OnQuarantine::Halt => drop(chain.release(operator)),
            OnQuarantine::Bypass | OnQuarantine::DeadLetter => {
                held.shown.policy = now;
                chain.hold(held);
            }
        }
    }
    any
}

/// Where the last snapshot stands.
struct Restored {
    from: Vec<Position>,
    /// What its results depended on; `None` where there is no snapshot to go back to.
    notes: Option<Vec<(String, u64)>>,
}

/// Restores the last snapshot; gives the positions it was taken at (the start of the streams where there is none).
fn restore(
    producer: &str,
    store: &Arc<dyn Store>,
    inputs: &[Partition],
    chain: &mut Chain,
    handle: &Handle,
    committed: &[Option<Position>],
) -> Result<Restored, Stop> {
    let mut starts = Vec::new();
    for partition in inputs {
        starts.push(store.start(partition)?);
    }
    let Some(snapshot) = store.snapshot(producer)? else { return Ok(Restored { from: starts, notes: None }) };
    let checkpoint: Checkpoint = mark::decode(&snapshot.bytes).map_err(StartError::snapshot)?;
    if checkpoint.fingerprint != chain.fingerprint() {
        let note = "its operators, parameters or windows are not those of its last snapshot: it begins with empty state \
                    at its committed read position; windows that were open are lost";
        tracing::warn!(producer, "{note}");
        handle.update(|s| s.notes.push(note.into()));
        let positions = committed.iter().zip(&starts).map(|(c, s)| c.unwrap_or(*s)).collect();
        return Ok(Restored { from: positions, notes: None });
    }
    let Checkpoint { operators, counts, digests, notes, .. } = checkpoint;
    if let Err((operator, error)) = chain.restore(operators, counts, &digests) {
        return Err(StartError::restore(chain.plugin(operator), operator, error.0).into());
    }
    let at = |(partition, start): (&Partition, &Position)| {
        let kept = snapshot.at.iter().find(|(p, _)| p == partition).map(|(_, at)| *at);
        kept.unwrap_or(*start)
    };
    Ok(Restored { from: inputs.iter().zip(&starts).map(at).collect(), notes: Some(notes) })
}

/// Reads on from `from` until every input stands at `to`; gives the number of records.
fn replay(
    (store, session): (&Arc<dyn Store>, &Session),
    inputs: &[Partition],
    chain: &mut Chain,
    mark: &Mark,
    from: &[Position],
    to: &[Position],
) -> Result<u64, Stop> {
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
        chain.process(&entry, &mark.verdicts)?;
        at[entry.input] = entry.next;
        replayed += entry.batch.rows() as u64;
    }
    Ok(replayed)
}

/// What each operator came to that it had not come to before the restart, in words.
fn diverged(chain: &Chain, mark: &Mark, notes: &[(String, u64)], others: &[&str]) -> Vec<String> {
    if mark.counts.is_empty() {
        return Vec::new();
    }
    if mark.counts.len() != chain.counts().len() {
        return vec!["the number of operators changed".into()];
    }
    let digests = chain.digests();
    let mut told = Vec::new();
    for (operator, (now, then)) in chain.counts().iter().zip(&mark.counts).enumerate() {
        let answers = mark.digests.get(operator).is_none_or(|then| *then == digests[operator]);
        if now == then && answers {
            continue;
        }
        let what = match now == then {
            true => "gave other results than those committed".into(),
            false => format!("came to {}/{} records in/out where {}/{} were committed", now.0, now.1, then.0, then.1),
        };
        let name = format!("plugin/{}", operator + 1);
        let made = notes.iter().find(|(known, _)| *known == name).map(|(_, hash)| *hash);
        let why = match made {
            Some(made) if made != chain.plugin_hash(operator) => "; its file is not the one that made the snapshot",
            Some(_) if !others.is_empty() => "; its file is the one that made the snapshot, a table is not",
            Some(_) => "; its file is the one that made the snapshot: it does not give the same twice",
            None => "",
        };
        let plugin = chain.plugin(operator);
        told.push(format!("operator {} ({plugin}) {what}{why}; results from here on may differ", operator + 1));
    }
    told
}
