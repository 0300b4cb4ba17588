//! Rewriting a store's database while nobody has it open: compacting, repairing, bringing back what was set aside.

use super::files::Folder;
use super::medium::SledMedium;
use super::{Failure, guarded, offline, open_at, room, salvage};
use crate::api::Error;
use crate::keys::Kind;
use crate::medium::Medium;
use crate::pack::Reader;
use crate::tools::{Catalogue, Mend, Repaired, Rewrite, copy};
use crate::values::{FORMAT, Meta, decode, encode};
use rand::Rng as _;
use serde::Serialize;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use tidegate_record::{Clock as _, SystemClock};

/// What compacting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Bytes on disk before.
    pub before: u64,
    /// Bytes on disk now.
    pub after: u64,
}

/// Writes the database anew, without the space that deleted entries left: sled reuses it and never gives it back. The
/// disk has to hold both for a while.
pub fn compact(path: &Path) -> Result<Compacted, Error> {
    let refuse = |reason: String| Error::Open { path: path.display().to_string(), reason };
    let folder = offline::existing(path).map_err(refuse)?;
    let before = folder.bytes();
    rewritten(
        &folder,
        |from| room_for(&folder, from),
        |from, to| {
            let from = from.map_err(offline::words)?;
            let mut out = Rewrite::of(to);
            copy(&*from, &mut out, &Kind::ALL)?;
            out.finish()
        },
    )
    .map_err(refuse)?;
    Ok(Compacted { before, after: folder.bytes() })
}

/// Puts a store right: see [`Repaired`]. One that does not open is set aside first. With `aside`, the name of a database
/// that was set aside (`streams.broken-1`), what nobody had read of that one is brought back too, and it is renamed to
/// `streams.salvaged-N`, so that it is not brought back twice.
pub fn repair(path: &Path, aside: Option<&str>) -> Result<Repaired, Error> {
    let refuse = |reason: String| Error::Open { path: path.display().to_string(), reason };
    let folder = offline::lock(path).map_err(refuse)?;
    mend(&folder, aside).map_err(refuse)
}

fn mend(folder: &Arc<Folder>, aside: Option<&str>) -> Result<Repaired, String> {
    let mut aside = aside.map(|name| folder.checked_aside(name)).transpose()?;
    let mut notes = Vec::new();
    let mut needed = aside.as_ref().map_or(0, |aside| room::for_aside(aside));
    match folder.streams().is_dir().then(|| opened(folder)) {
        None => {}
        Some(Ok(room)) => needed += room,
        Some(Err(Failure::Broken(reason))) if aside.is_some() => {
            return Err(format!("it does not open ({reason}). Repair it first, without --aside"));
        }
        Some(Err(Failure::Broken(reason))) => {
            needed = room::for_aside(&folder.streams());
            room::check(folder, needed)?;
            let set_aside = folder.set_aside()?;
            notes.push(format!("it did not open ({reason}) and was set aside as {}", set_aside.display()));
            aside = Some(set_aside);
        }
        Some(Err(failure)) => return Err(offline::words(failure)),
    }
    if !folder.streams().is_dir() && aside.is_none() {
        return Err("there is no store in this folder. Give the folder that store.path names".into());
    }
    let wall = SystemClock::default().wall();
    let mut report = Repaired::default();
    room::check(folder, needed)?;
    let scratch = aside.as_ref().map(|aside| Scratch::of(folder, aside)).transpose()?;
    // There is room, as was seen above.
    rewritten(
        folder,
        |_| Ok(0),
        |from, to| {
            let from = match from {
                Ok(from) => Some(from),
                Err(_) if !folder.streams().is_dir() => None,
                // It opened a moment ago: nothing is begun in its place.
                Err(failure) => return Err(offline::words(failure)),
            };
            let mut mend = Mend::begin(from.as_deref().map(|from| from as &dyn Medium), to, "unnamed")?;
            if let Some(scratch) = &scratch {
                mend.bring(&*scratch.medium)?;
            }
            report = mend.finish(wall.micros, wall.trusted)?;
            match &aside {
                // Before the swap: what is brought back twice is worse than what has to be asked for again.
                Some(aside) => folder.mark_salvaged(aside),
                None => Ok(()),
            }
        },
    )?;
    if let Some(scratch) = scratch {
        report.notes.extend(scratch.notes());
    }
    notes.append(&mut report.notes);
    Ok(Repaired { notes, ..report })
}

/// Gives up what a stream holds before an offset, whole blocks only: it is ledgered as `purged`, and its space is given
/// back. Where a reader has not read it yet, only if `held` says so.
pub fn purge(path: &Path, stream: &str, before: u64, held: bool) -> Result<Repaired, Error> {
    let refuse = |reason: String| Error::Open { path: path.display().to_string(), reason };
    let folder = offline::existing(path).map_err(refuse)?;
    let wall = SystemClock::default().wall();
    let mut report = Repaired::default();
    rewritten(&folder, |from| room_for(&folder, from), |from, to| {
        let from = from.map_err(offline::words)?;
        let catalogue = Catalogue::read(&*from).map_err(|error| offline::words(error.into()))?;
        let id = catalogue.stream(stream)?;
        let readers = catalogue.partitions(id).flat_map(|(number, _)| catalogue.readers(id, number));
        if let Some((reader, _, from)) = readers.filter(|(_, _, from)| *from < before && !held).min_by_key(|r| r.2) {
            return Err(format!(
                "{reader} needs stream {stream:?} from offset {from} on. Purge before {from}, or say --held to take it \
                 from that reader"
            ));
        }
        let mend = Mend::without(Some(&*from), to, "unnamed", Some((id, before)))?;
        report = mend.finish(wall.micros, wall.trusted)?;
        Ok(())
    })
    .map_err(refuse)?;
    Ok(report)
}

/// Makes the store that a pack holds, under a new epoch: what was given since the pack was made is not given again. A
/// store that is in the folder goes only if `replace` says so. The pack has so many `bytes`.
pub fn restore(path: &Path, (pack, bytes): (&mut dyn Read, u64), replace: bool) -> Result<(), Error> {
    let refuse = |reason: String| Error::Open { path: path.display().to_string(), reason };
    let folder = Arc::new(Folder::lock(path).map_err(refuse)?);
    folder.recover().map_err(refuse)?;
    if folder.streams().exists() && !replace {
        return Err(refuse("there is a store in this folder already. Give another, or say --replace".into()));
    }
    let needed = room::for_stored(bytes);
    rewritten(
        &folder,
        |_| Ok(needed),
        |_, to| {
            let mut pack = Reader::begin(pack)?;
            let mut out = Rewrite::of(to);
            let mut named = false;
            while let Some((key, value)) = pack.entry()? {
                if key.kind != Kind::Meta {
                    out.put(key, value)?;
                    continue;
                }
                let (format, _) = postcard::take_from_bytes::<u32>(&value).map_err(|error| error.to_string())?;
                if !(1..=FORMAT).contains(&format) {
                    return Err(format!(
                        "it holds a store of format {format}; this version reads formats 1 to {FORMAT}"
                    ));
                }
                let meta: Meta = decode(&value)?;
                out.put(key, encode(&Meta { epoch: rand::rng().random(), ..meta }))?;
                named = true;
            }
            if !named {
                return Err("it holds no store".into());
            }
            out.finish()
        },
    )
    .map_err(|reason| refuse(format!("the backup cannot be restored: {reason}")))
}

/// Whether the database opens; gives the room that writing it anew takes.
fn opened(folder: &Arc<Folder>) -> Result<u64, Failure> {
    guarded(|| {
        let medium = SledMedium::new(open_at(&folder.streams())?, folder.clone()).map_err(Failure::Refused)?;
        let read = Catalogue::read(&medium).map_err(Failure::from);
        let read = read.and_then(|_| room::for_database(folder, &medium).map_err(Failure::Broken));
        medium.release();
        read
    })
}

/// The room that writing a database anew takes; where it does not open, whoever works on it says why.
fn room_for(folder: &Folder, from: Option<&SledMedium>) -> Result<u64, String> {
    from.map_or(Ok(0), |from| room::for_database(folder, from))
}

/// Makes `streams.new` by `work`, which is given the database there is and the new one, and puts it in its place; not
/// where there is less room than `needed`.
fn rewritten(
    folder: &Arc<Folder>,
    needed: impl FnOnce(Option<&SledMedium>) -> Result<u64, String>,
    work: impl FnOnce(Result<Arc<SledMedium>, Failure>, &dyn Medium) -> Result<(), String>,
) -> Result<(), String> {
    let open = |path: &Path| {
        guarded(|| SledMedium::at(open_at(path)?, path, folder.clone()).map(Arc::new).map_err(Failure::Refused))
    };
    let from = match folder.streams().is_dir() {
        true => open(&folder.streams()),
        false => Err(Failure::Refused("there is no database".into())),
    };
    let source = from.as_ref().ok().cloned();
    let begun = needed(source.as_deref()).and_then(|needed| room::check(folder, needed));
    let begun = begun.and_then(|()| folder.begin_new());
    let opened = begun.and_then(|new| Ok((open(&new).map_err(offline::words)?, new)));
    let (to, new) = opened.inspect_err(|_| source.iter().for_each(|source| source.release()))?;
    let done = guarded(|| work(from, &*to).map_err(Failure::Refused)).map_err(offline::words);
    to.release();
    source.iter().for_each(|source| source.release());
    let swapped = done.and_then(|()| {
        Folder::sync_database(&new)?;
        folder.swap()
    });
    swapped.inspect_err(|_| folder.forget_new())
}

/// What a database that does not open gave, in one that does.
pub(super) struct Scratch {
    folder: Arc<Folder>,
    pub(super) medium: Arc<SledMedium>,
    found: salvage::Yield,
}

impl Scratch {
    pub(super) fn of(folder: &Arc<Folder>, aside: &Path) -> Result<Self, String> {
        let path = folder.begin_scratch()?;
        let medium = guarded(|| SledMedium::at(open_at(&path)?, &path, folder.clone()).map_err(Failure::Refused));
        let medium = Arc::new(medium.map_err(offline::words)?);
        let mut scratch = Scratch { folder: folder.clone(), medium, found: salvage::Yield::default() };
        let mut out = Rewrite::of(&*scratch.medium);
        let found = salvage::read(&aside.join("db"), &mut |key, value| match key.kind {
            // A new state has no past: whoever had one begins again at its cursor.
            Kind::State | Kind::Snapshot => Ok(()),
            _ => out.put(key, value.to_vec()),
        })?;
        out.finish()?;
        scratch.found = found;
        Ok(scratch)
    }

    fn notes(&self) -> Vec<String> {
        let salvage::Yield { damaged_bytes, nameless, .. } = self.found;
        let mut notes = Vec::new();
        if damaged_bytes > 0 {
            notes.push(format!("{damaged_bytes} bytes of the file that was set aside are not readable"));
        }
        if nameless > 0 {
            notes.push(format!("{nameless} values were found whose keys are lost"));
        }
        notes
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.medium.release();
        self.folder.forget_scratch();
    }
}
