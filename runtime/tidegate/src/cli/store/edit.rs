//! `tidegate store replay` and `purge`: what moves a reader or gives records up.

use super::super::{exit, failed};
use super::place::Folder;
use super::when::When;
use clap::Args;
use std::process::ExitCode;
use tidegate_store::Offline;

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
    folder: Folder,
    /// Blocks that end before this offset, or before the record that arrived then (RFC 3339)
    #[arg(long, value_name = "OFFSET|TIME")]
    before: When,
    /// Also what a reader has not read yet
    #[arg(long)]
    held: bool,
}

/// Moves a sink back.
pub(super) fn replay(options: &ReplayOptions) -> ExitCode {
    let path = match options.folder.find() {
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
    let path = match options.folder.find() {
        Ok(path) => path,
        Err(code) => return code,
    };
    let before = match options.before {
        When::Offset(offset) => Ok(offset),
        When::Time(_) => Offline::open(&path)
            .map_err(|error| error.to_string())
            .and_then(|store| options.before.offset(&store, &options.stream, 0)),
    };
    let purged = before.and_then(|before| {
        tidegate_store::sled::purge(&path, &options.stream, before, options.held).map_err(|error| error.to_string())
    });
    match purged {
        Ok(report) => {
            let count = report.purged.get(&options.stream).copied().unwrap_or(0);
            println!("{count} records of {} were given up; they are in the ledger (purged)", options.stream);
            report.notes.iter().for_each(|note| println!("{note}"));
            ExitCode::SUCCESS
        }
        Err(reason) => failed(exit::START, &reason),
    }
}
