//! `tidegate store replay` and `purge`: what moves a reader or gives records up.

use super::super::client::Client;
use super::super::{exit, failed};
use super::place::{Folder, Located, Place};
use crate::when::When;
use clap::Args;
use std::path::Path;
use std::process::ExitCode;
use tidegate_store::{Error, Offline};

/// Which sink of which store, and from where.
#[derive(Debug, Args)]
pub struct ReplayOptions {
    /// The sink
    sink: String,
    #[command(flatten)]
    folder: Folder,
    /// Where it delivers from again: an offset, or when the record arrived (RFC 3339)
    #[arg(long, value_name = "OFFSET|TIME")]
    from: When,
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

/// Moves a sink back.
pub(super) fn replay(options: &ReplayOptions) -> ExitCode {
    let path = match options.folder.find("it moves that sink itself") {
        Ok(path) => path,
        Err(code) => return code,
    };
    match Offline::open(&path).map_err(|error| error.to_string()).and_then(|store| move_back(&store, options)) {
        Ok(told) => {
            print!("{told}");
            ExitCode::SUCCESS
        }
        Err(reason) => failed(exit::START, &reason),
    }
}

fn move_back(store: &Offline, options: &ReplayOptions) -> Result<String, String> {
    let reader = format!("sink/{}", options.sink);
    let partitions = store.listing().partitions;
    let read: Vec<_> = partitions.iter().filter(|p| p.readers.iter().any(|r| r.reader == reader)).collect();
    if read.is_empty() {
        return Err(format!("no stream of this store is read by {reader:?}: `ls` names the readers"));
    }
    if read.len() > 1 && matches!(options.from, When::Offset(_)) {
        return Err(format!("{reader} reads {} partitions: say --from as a time", read.len()));
    }
    let mut told = String::new();
    for partition in read {
        let from = options.from.offset(store, &partition.stream, partition.partition)?;
        let moved = store.replay(&options.sink, &partition.stream, partition.partition, from);
        let before = moved.map_err(|error| error.to_string())?;
        told += &format!("{reader} on {}/{}: from {before} back to {from}\n", partition.stream, partition.partition);
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
