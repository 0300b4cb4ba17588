//! `tidegate store replay` and `purge`: what moves a reader or gives records up.

use super::super::client::Client;
use super::super::{exit, failed};
use super::place::{Located, Place};
use crate::when::When;
use clap::Args;
use serde::Deserialize;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;
use tidegate_sinks::forward::{Replay, moved_back};
use tidegate_store::{Error, Offline, PartitionListing};

/// Which sink of which store, and from where.
#[derive(Debug, Args)]
pub struct ReplayOptions {
    /// The sink
    sink: String,
    #[command(flatten)]
    place: Place,
    /// Where it delivers from again: an offset, or when the record arrived (RFC 3339)
    #[arg(long, value_name = "OFFSET|TIME")]
    from: When,
    /// Where that ends, likewise; then it goes on where it had stood. Without it, it delivers on from there
    #[arg(long, value_name = "OFFSET|TIME")]
    to: Option<When>,
    /// Most records a second that are delivered again, as far as it had come; fresh ones go beside them
    #[arg(long, value_name = "RECORDS")]
    rate: Option<NonZeroU32>,
}

/// What to give up of which store.
#[derive(Debug, Args)]
pub struct PurgeOptions {
    /// The stream
    stream: String,
    #[command(flatten)]
    place: Place,
    /// Blocks that end before this offset, or before the record that arrived then (RFC 3339)
    #[arg(long, value_name = "OFFSET|TIME")]
    before: When,
    /// Also what a reader has not read yet
    #[arg(long)]
    held: bool,
}

/// Has a sink deliver again.
pub(super) fn replay(options: &ReplayOptions) -> ExitCode {
    let replayed = match options.place.locate() {
        Err(code) => return code,
        Ok(Located::Folder(path)) => {
            Offline::open(&path).map_err(|error| error.to_string()).and_then(|store| replay_in(&store, options))
        }
        Ok(Located::Running(client)) => replay_live(&client, options),
    };
    match replayed {
        Ok(told) => {
            told.iter().for_each(|told| println!("{}", told.line(options)));
            ExitCode::SUCCESS
        }
        Err(reason) => failed(exit::START, &reason),
    }
}

/// What was moved of a partition.
#[derive(Deserialize)]
struct Replayed {
    stream: String,
    partition: u32,
    from: u64,
    to: Option<u64>,
    /// Where it stood before.
    stood: Option<u64>,
}

impl Replayed {
    fn line(&self, options: &ReplayOptions) -> String {
        let Replayed { stream, partition, from, to, stood } = self;
        let sink = &options.sink;
        let stood = stood.map_or_else(|| "the beginning".to_string(), |stood| stood.to_string());
        let pace = options.rate.map_or(String::new(), |rate| format!(", at most {rate} records a second"));
        match (to, options.rate) {
            (None, None) => format!("sink/{sink} on {stream}/{partition}: from {stood} back to {from}"),
            (None, Some(_)) => {
                format!("sink/{sink} on {stream}/{partition}: {from} to {stood} again{pace}; then on from there")
            }
            (Some(to), _) => {
                format!("sink/{sink} on {stream}/{partition}: {from} to {to} again{pace}; then on from {stood}")
            }
        }
    }
}

#[derive(Deserialize)]
struct Moved {
    replays: Vec<Replayed>,
}

fn replay_live(client: &Client, options: &ReplayOptions) -> Result<Vec<Replayed>, String> {
    let mut query = vec![("from", options.from.to_string())];
    query.extend(options.to.map(|to| ("to", to.to_string())));
    query.extend(options.rate.map(|rate| ("rate", rate.to_string())));
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let moved: Moved = client.change(&["api", "v1", "sinks", &options.sink, "replay"], &query)?;
    Ok(moved.replays)
}

fn replay_in(store: &Offline, options: &ReplayOptions) -> Result<Vec<Replayed>, String> {
    let sink = options.sink.as_str();
    let reader = format!("sink/{sink}");
    let partitions = store.listing().partitions;
    let read: Vec<_> = partitions.iter().filter(|p| p.readers.iter().any(|r| r.reader == reader)).collect();
    if read.is_empty() {
        return Err(format!("no stream of this store is read by {reader:?}: `ls` names the readers"));
    }
    if read.len() > 1 && matches!(options.from, When::Offset(_)) {
        return Err(format!("{reader} reads {} partitions: say --from as a time", read.len()));
    }
    let mut told = Vec::new();
    for PartitionListing { stream, partition, .. } in read {
        let offset = |when: When| when.offset(store, stream, *partition);
        let (from, to) = (offset(options.from)?, options.to.map(offset).transpose()?);
        let stands = store.sink(sink, stream, *partition).map_err(|error| error.to_string())?;
        let refused = |reason: String| format!("{reader} on {stream}/{partition}: {reason}");
        if from < stands.first {
            return Err(refused(format!("offset {from} is no longer stored: the oldest is {}", stands.first)));
        }
        let asked = Replay { partition: *partition, from, to, rate: options.rate };
        let (at, state) = moved_back(stands.state.as_deref(), stands.at, &asked).map_err(refused)?;
        store.move_sink(sink, (stream, *partition), at, &state).map_err(|error| error.to_string())?;
        told.push(Replayed { stream: stream.clone(), partition: *partition, from, to, stood: Some(stands.at) });
    }
    Ok(told)
}

/// Gives records up.
pub(super) fn purge(options: &PurgeOptions) -> ExitCode {
    let purged = match options.place.locate() {
        Err(code) => return code,
        Ok(Located::Folder(path)) => purge_in(&path, options),
        Ok(Located::Running(client)) => purge_live(&client, options).map(|count| (count, Vec::new())),
    };
    match purged {
        Ok((count, notes)) => {
            println!("{count} records of {} were given up; they are in the ledger (purged)", options.stream);
            notes.iter().for_each(|note| println!("{note}"));
            ExitCode::SUCCESS
        }
        Err(reason) => failed(exit::START, &reason),
    }
}

fn purge_live(client: &Client, options: &PurgeOptions) -> Result<u64, String> {
    let (before, held) = (options.before.to_string(), options.held.to_string());
    let query = [("before", before.as_str()), ("held", held.as_str())];
    let done: serde_json::Value = client.change(&["api", "v1", "streams", &options.stream, "purge"], &query)?;
    done["purged"].as_u64().ok_or_else(|| format!("the gateway answers something else: {done}"))
}

/// Gives how many records went, and what else was put right.
fn purge_in(path: &Path, options: &PurgeOptions) -> Result<(u64, Vec<String>), String> {
    let said = |error: Error| error.to_string();
    let before = match options.before {
        When::Offset(offset) => offset,
        When::Time(_) => options.before.offset(&Offline::open(path).map_err(said)?, &options.stream, 0)?,
    };
    let report = tidegate_store::sled::purge(path, &options.stream, before, options.held).map_err(said)?;
    Ok((report.purged.get(&options.stream).copied().unwrap_or(0), report.notes))
}
