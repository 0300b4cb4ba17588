//! A store on disk that no gateway has open, for tools.

use super::files::Folder;
use super::medium::SledMedium;
use super::{Failure, guarded, open_db};
use crate::api::{Block, Error, Partition};
use crate::medium::Medium as _;
use crate::tools::{self, Catalogue, Listing};
use std::path::Path;
use std::sync::Arc;
use tidegate_record::Identity;

/// A store's folder, locked, with its database open and no engine on it: nothing in it changes unless it is told to.
pub struct Offline {
    folder: Arc<Folder>,
    medium: SledMedium,
    catalogue: Catalogue,
}

impl Offline {
    /// Opens the store in `path`. A gateway that has it open is an error that says so.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Open { path: path.display().to_string(), reason };
        let folder = existing(path).map_err(refuse)?;
        let medium = guarded(|| SledMedium::new(open_db(&folder)?, folder.clone()).map_err(Failure::Refused));
        let medium = medium.map_err(|failure| refuse(words(failure)))?;
        let catalogue = guarded(|| Catalogue::read(&medium).map_err(Failure::from));
        let catalogue = catalogue.map_err(|failure| refuse(words(failure)))?;
        Ok(Offline { folder, medium, catalogue })
    }

    /// Gateway and epoch.
    pub fn identity(&self) -> Identity {
        self.catalogue.identity()
    }

    /// What is in it, in numbers.
    pub fn listing(&self) -> Listing {
        Listing::offline(&self.catalogue, self.medium.disk_bytes(), self.folder.aside())
    }

    /// Visits the blocks of a stream from an offset on, partition by partition, until `visit` says false. A block that
    /// is damaged is visited as what is wrong with it.
    pub fn blocks(
        &self,
        stream: &str,
        at: u64,
        visit: &mut dyn FnMut(&Partition, Result<Block, String>) -> bool,
    ) -> Result<(), Error> {
        let failed = |reason: String| Error::Read { what: format!("stream {stream:?}"), reason };
        let id = self.catalogue.stream(stream).map_err(failed)?;
        for (number, _) in self.catalogue.partitions(id) {
            let partition = Partition::new(stream, number);
            let mut on = true;
            tools::blocks(&self.medium, &self.catalogue, (id, number), at, &mut |found| {
                let damaged = |reason| format!("{partition}: the block at {} is damaged: {reason}", found.key.offset);
                on = visit(&partition, found.block.map_err(damaged));
                on
            })
            .map_err(failed)?;
            if !on {
                break;
            }
        }
        Ok(())
    }
}

/// Locks a folder that has a store in it.
pub(super) fn existing(path: &Path) -> Result<Arc<Folder>, String> {
    let none = || "there is no store in this folder. Give the folder that store.path names".to_string();
    // A folder where no store ever was is left as it is.
    if !path.join("lock").exists() && !path.join("streams").exists() {
        return Err(none());
    }
    let folder = lock(path)?;
    if folder.streams().is_dir() { Ok(folder) } else { Err(none()) }
}

/// Locks a folder for work on it, whatever is in it.
pub(super) fn lock(path: &Path) -> Result<Arc<Folder>, String> {
    if !path.is_dir() {
        return Err("there is no such folder. Give the folder that store.path names".into());
    }
    let folder = Folder::lock(path)?;
    folder.recover()?;
    folder.delete_torn_snapshots()?;
    Ok(Arc::new(folder))
}

pub(super) fn words(failure: Failure) -> String {
    match failure {
        Failure::Refused(reason) => reason,
        Failure::Broken(reason) => {
            format!("it does not open: {reason}. A gateway sets it aside and begins a fresh one")
        }
    }
}
