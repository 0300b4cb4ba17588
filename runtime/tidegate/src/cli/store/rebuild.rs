//! `tidegate store repair` and `compact`: what writes a database anew.

use super::super::{exit, failed};
use super::place::Folder;
use clap::Args;
use std::process::ExitCode;
use tidegate_store::{Compacted, Repaired};

/// Which store, and what to bring back.
#[derive(Debug, Args)]
pub struct RepairOptions {
    #[command(flatten)]
    folder: Folder,
    /// A database that was set aside: what nobody had read of it comes to the ends of its streams, under new identities.
    /// A pipeline gets readings as they come, so its windows may find them late; `ls` names what was set aside
    #[arg(long, value_name = "NAME")]
    aside: Option<String>,
    /// Print a JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Which store.
#[derive(Debug, Args)]
pub struct CompactOptions {
    #[command(flatten)]
    folder: Folder,
}

/// Puts a store right and says what that took.
pub(super) fn repair(options: &RepairOptions) -> ExitCode {
    let why = "a repair writes a new database from what is whole, which cannot be done from one that changes meanwhile";
    let path = match options.folder.find(why) {
        Ok(path) => path,
        Err(code) => return code,
    };
    match tidegate_store::sled::repair(&path, options.aside.as_deref()) {
        Ok(repaired) if options.json => println!("{}", serde_json::json!(repaired)),
        Ok(repaired) => print!("{}", lines(&repaired)),
        Err(error) => return failed(exit::START, &error.to_string()),
    }
    ExitCode::SUCCESS
}

fn lines(repaired: &Repaired) -> String {
    let mut out = format!("{} records stay as they were\n", repaired.kept);
    for (stream, count) in &repaired.brought {
        out += &format!("{stream}: {count} records were brought back, at its end and under new identities\n");
    }
    for (stream, count) in &repaired.lost {
        out += &format!("{stream}: {count} records could not be read; they are in the ledger (quarantined)\n");
    }
    for note in &repaired.notes {
        out += &format!("{note}\n");
    }
    out
}

/// Gives space back.
pub(super) fn compact(options: &CompactOptions) -> ExitCode {
    let why = "a compaction puts a database written anew in the place of the one that the gateway writes to";
    let path = match options.folder.find(why) {
        Ok(path) => path,
        Err(code) => return code,
    };
    match tidegate_store::sled::compact(&path) {
        Ok(Compacted { before, after }) => {
            println!("{before} bytes on disk before, {after} now");
            ExitCode::SUCCESS
        }
        Err(error) => failed(exit::START, &error.to_string()),
    }
}
