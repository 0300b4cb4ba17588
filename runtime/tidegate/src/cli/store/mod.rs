//! `tidegate store`: looking at a store and working on it.

mod copies;
mod edit;
mod export;
mod ls;
mod peek;
mod place;
mod rebuild;
mod verify;

use clap::Subcommand;
use std::process::ExitCode;

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// List the streams: bytes, records, offsets, where each reader stands, what was given up
    Ls(ls::LsOptions),
    /// Print records of a stream as they are stored, a JSON object a line
    Peek(peek::PeekOptions),
    /// Read every block and check that everything adds up; changes no entry (sled cuts its log at the
    /// first place that does not read). Beside the running gateway, too: as it stood at one moment
    Verify(verify::VerifyOptions),
    /// Put a store right: keep what is whole, make its books add up, ledger what is lost, and bring back what a database
    /// that was set aside holds unread. The gateway must not be running
    Repair(rebuild::RepairOptions),
    /// Write the database anew and give the space of what was deleted back to the disk. The gateway must not be running
    Compact(rebuild::CompactOptions),
    /// Write records of a stream to a file as NDJSON, CSV or Parquet; beside the running gateway, too
    Export(export::ExportOptions),
    /// Have a sink deliver again what it has delivered, from an offset or a time on, or up to
    /// another; beside the running gateway, too
    Replay(edit::ReplayOptions),
    /// Give up the oldest records of a stream, ledgered as purged; beside the running gateway, too
    Purge(edit::PurgeOptions),
    /// Write everything to a file, as it stands at one moment; beside the running gateway, too
    Backup(copies::BackupOptions),
    /// Make a store of a backup, under a new epoch. The gateway must not be running
    Restore(copies::RestoreOptions),
}

/// Carries out a subcommand.
pub fn store(command: StoreCommand) -> ExitCode {
    match command {
        StoreCommand::Ls(options) => ls::ls(&options),
        StoreCommand::Peek(options) => peek::peek(&options),
        StoreCommand::Verify(options) => verify::verify(&options),
        StoreCommand::Repair(options) => rebuild::repair(&options),
        StoreCommand::Compact(options) => rebuild::compact(&options),
        StoreCommand::Export(options) => export::export(&options),
        StoreCommand::Replay(options) => edit::replay(&options),
        StoreCommand::Purge(options) => edit::purge(&options),
        StoreCommand::Backup(options) => copies::backup(&options),
        StoreCommand::Restore(options) => copies::restore(&options),
    }
}
