//! Tables from a SQLite database: the rows of a query. It is opened for reading only, without locks and without files
//! beside it, so it may lie on a medium nobody may write to.

use super::{Cell, Rows, Visit};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// A database and a query.
pub(super) struct Sqlite {
    database: Connection,
    query: String,
    names: Vec<String>,
    max_bytes: u64,
}

impl Sqlite {
    pub(super) fn open(file: &Path, query: &str, max_bytes: u64) -> Result<Self, String> {
        let there = std::fs::metadata(file).map_err(|error| format!("cannot be read: {error}"))?;
        if !there.is_file() {
            return Err("is no file".into());
        }
        whole(file)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(uri(file), flags).map_err(|error| error.to_string())?;
        let statement = database.prepare(query).map_err(|error| format!("{query:?}: {error}"))?;
        if !statement.readonly() {
            return Err(format!("{query:?} is no query that only reads"));
        }
        let names = statement.column_names().map(str::to_string).collect();
        drop(statement);
        Ok(Sqlite { database, query: query.into(), names, max_bytes })
    }
}

/// Whether all of it is in the file: beside it are neither changes that are to go in nor what would take half of some
/// back out, since one that never changes is read without a look at either.
fn whole(file: &Path) -> Result<(), String> {
    // They lie beside the file itself, not beside what links to it.
    let file = std::fs::canonicalize(file).map_err(|error| format!("cannot be read: {error}"))?;
    let beside = |ending: &str| {
        let mut name = file.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let remedy = "end its writer, or give a copy made by VACUUM INTO";
    let log = beside("-wal");
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(format!("has changes that are not in it yet, in {}: {remedy}", log.display()));
    }
    let journal = beside("-journal");
    let mut first = [0];
    // A journal that is kept begins with zeros once its changes are whole.
    match File::open(&journal).and_then(|mut journal| journal.read(&mut first)) {
        Ok(0) => Ok(()),
        Ok(_) if first == [0] => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(format!("has half of a change in it, begun in {}: {remedy}", journal.display())),
        Err(error) => Err(format!("may have half of a change in it: {} cannot be read: {error}", journal.display())),
    }
}

/// The file as a URI that says it never changes.
fn uri(file: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let one = |byte: &u8| match byte {
        b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(*byte).to_string(),
        other => format!("%{other:02X}"),
    };
    let path: String = file.as_os_str().as_bytes().iter().map(one).collect();
    format!("file:{path}?mode=ro&immutable=1")
}

impl Rows for Sqlite {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn each(&mut self, visit: Visit<'_>) -> Result<(), String> {
        let fails = |error: rusqlite::Error| format!("{:?}: {error}", self.query);
        let mut statement = self.database.prepare(&self.query).map_err(fails)?;
        let mut rows = statement.query([]).map_err(fails)?;
        let (mut number, mut bytes) = (0, 0);
        while let Some(row) = rows.next().map_err(fails)? {
            number += 1;
            let mut cells = Vec::with_capacity(self.names.len());
            for (at, name) in self.names.iter().enumerate() {
                let value = row.get_ref(at).map_err(fails)?;
                let cell =
                    cell(value).ok_or_else(|| format!("row {number}, column {name}: is neither text nor a number"))?;
                bytes += if let Cell::Text(text) = cell { 4 + text.len() as u64 } else { 8 };
                cells.push(cell);
            }
            if bytes > self.max_bytes {
                return Err(format!("the query gives more than max_bytes ({}) allows", self.max_bytes));
            }
            if !visit(number, &cells) {
                break;
            }
        }
        Ok(())
    }

    fn noun(&self) -> &'static str {
        "row"
    }
}

fn cell(value: ValueRef<'_>) -> Option<Cell<'_>> {
    match value {
        ValueRef::Null => Some(Cell::Null),
        ValueRef::Integer(value) => Some(Cell::Integer(value)),
        ValueRef::Real(value) => Some(Cell::Float(value)),
        ValueRef::Text(text) => std::str::from_utf8(text).ok().map(Cell::Text),
        ValueRef::Blob(_) => None,
    }
}
