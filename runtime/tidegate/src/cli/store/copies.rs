//! `tidegate store backup` and `restore`.

use super::super::{exit, failed};
use super::place::{Folder, Found, Place};
use clap::Args;
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use tidegate_store::files::{Disk, NewFile};

/// Of which store, and where to.
#[derive(Debug, Args)]
pub struct BackupOptions {
    /// The file to make; one that is there is replaced when the new one is whole
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// From where, and which store.
#[derive(Debug, Args)]
pub struct RestoreOptions {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    folder: Folder,
    /// Delete the store that is in the folder
    #[arg(long)]
    replace: bool,
}

/// Makes a backup.
pub(super) fn backup(options: &BackupOptions) -> ExitCode {
    let made = match options.place.find() {
        Err(code) => return code,
        Ok(found) => make(&found, options),
    };
    match made {
        Ok(bytes) => {
            println!("{bytes} bytes in {}", options.file.display());
            ExitCode::SUCCESS
        }
        Err(reason) => failed(exit::START, &reason),
    }
}

fn make(found: &Found, options: &BackupOptions) -> Result<u64, String> {
    let said = |error: io::Error| format!("{}: {error}", options.file.display());
    let mut file = NewFile::create(&Disk, &options.file).map_err(said)?;
    match found {
        Found::Offline(store) => store.backup(&mut file).map_err(|error| error.to_string())?,
        Found::Running(client) => {
            let mut answer = client.read(&["api", "v1", "store", "backup"], &[])?;
            // What comes is a pack to its end, or it is no backup.
            tidegate_store::copy_pack(&mut answer, &mut file)?;
        }
    }
    file.flush().map_err(said)?;
    file.finish().map_err(said)?;
    std::fs::metadata(&options.file).map(|file| file.len()).map_err(said)
}

/// Makes a store of a backup.
pub(super) fn restore(options: &RestoreOptions) -> ExitCode {
    let why = "a restore puts another database in the place of the one that the gateway writes to";
    let path = match options.folder.find(why) {
        Ok(path) => path,
        Err(code) => return code,
    };
    let file = match File::open(&options.file) {
        Ok(file) => file,
        Err(error) => return failed(exit::START, &format!("{}: {error}", options.file.display())),
    };
    let bytes = file.metadata().map_or(0, |file| file.len());
    match tidegate_store::sled::restore(&path, (&mut BufReader::new(file), bytes), options.replace) {
        Ok(()) => {
            println!("restored to {}; its records have a new epoch", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => failed(exit::START, &error.to_string()),
    }
}
