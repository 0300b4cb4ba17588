//! `tidegate store export`: records to a file.

mod parquet;
mod rows;

use super::super::{exit, failed};
use super::place::{Found, Place};
use crate::when::When;
use clap::{Args, ValueEnum};
use rows::Rows;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tidegate_record::Identity;
use tidegate_store::files::{Disk, NewFile};
use tidegate_store::{Block, BlockReader, Dates, Partition};

/// What to write, of which store.
#[derive(Debug, Args)]
pub struct ExportOptions {
    /// The stream
    stream: String,
    #[command(flatten)]
    place: Place,
    /// The file to make, whole or not at all; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How records are written; without it, by the end of the file's name
    #[arg(long)]
    format: Option<Format>,
    /// The first record: its offset, or when it arrived (RFC 3339)
    #[arg(long, value_name = "OFFSET|TIME", default_value = "0")]
    from: When,
    /// The record to end before, likewise
    #[arg(long, value_name = "OFFSET|TIME")]
    to: Option<When>,
    /// Of a database that was set aside, what can be read; `ls` names them
    #[arg(long, value_name = "NAME")]
    aside: Option<String>,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A JSON object a line, as a tap has it
    Ndjson,
    /// A line of names, then a line a record; bytes are base64
    Csv,
    /// A column a field, typed as the stream's are, with nulls
    Parquet,
}

/// Exports records.
pub(super) fn export(options: &ExportOptions) -> ExitCode {
    let format = match options.format.map_or_else(|| by_name(&options.out), Ok) {
        Ok(format) => format,
        Err(reason) => return failed(exit::START, &reason),
    };
    let found = match &options.aside {
        Some(name) => options.place.find_aside(name),
        None => options.place.find(),
    };
    let found = match found {
        Ok(found) => found,
        Err(code) => return code,
    };
    match write(&found, options, format) {
        Ok((records, damaged)) => {
            eprintln!("{records} records");
            damaged.iter().for_each(|what| eprintln!("left out: {what}"));
            if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::DAMAGED) }
        }
        Err(reason) => failed(exit::START, &reason),
    }
}

fn by_name(path: &Path) -> Result<Format, String> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("csv") => Ok(Format::Csv),
        Some("parquet") => Ok(Format::Parquet),
        Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
        _ if path == Path::new("-") => Ok(Format::Ndjson),
        _ => Err(format!("{} does not end in .ndjson, .jsonl, .csv or .parquet: say --format", path.display())),
    }
}

/// Gives the number of records and what was damaged.
fn write(found: &Found, options: &ExportOptions, format: Format) -> Result<(u64, Vec<String>), String> {
    let said = |error: io::Error| format!("{}: {error}", options.out.display());
    if options.out == Path::new("-") {
        let mut out = io::BufWriter::new(io::stdout());
        let written = records(found, options, format, &mut out)?;
        return out.flush().map(|()| written).map_err(said);
    }
    let mut file = NewFile::create(&Disk, &options.out).map_err(said)?;
    let written = records(found, options, format, &mut file)?;
    file.finish().map(|()| written).map_err(said)
}

fn records(
    found: &Found,
    options: &ExportOptions,
    format: Format,
    out: &mut (dyn Write + Send),
) -> Result<(u64, Vec<String>), String> {
    let mut damaged = Vec::new();
    let stream = &options.stream;
    let records = match found {
        Found::Offline(store) => {
            let mut rows = Rows::new(format, store.identity(), out);
            let mut failed = Ok(());
            let from = if let When::Offset(from) = options.from { from } else { 0 };
            let visited = store.blocks(stream, from, &mut |partition, block| {
                match block {
                    // A stream has one partition: nothing behind is wanted.
                    Ok(block) if matches!(options.to, Some(When::Offset(to)) if block.first.0 >= to) => return false,
                    Ok(block) => {
                        let dates = Dates::of(&block.runs, |commit| store.dating(commit));
                        failed = one(&mut rows, options, partition, (&block, &dates));
                    }
                    Err(reason) => damaged.push(reason),
                }
                failed.is_ok()
            });
            visited.map_err(|error| error.to_string())?;
            failed?;
            rows.finish()?
        }
        Found::Running(client) => {
            let mut query = Vec::new();
            if let When::Offset(from) = options.from {
                query.push(("from", from.to_string()));
            }
            if let Some(When::Offset(to)) = options.to {
                query.push(("to", to.to_string()));
            }
            let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = client.read(&["api", "v1", "streams", stream, "blocks"], &query)?;
            let mut pack = BlockReader::begin(answer, stream)?;
            let identity: Identity = pack.identity();
            let mut rows = Rows::new(format, identity, out);
            while let Some((partition, block)) = pack.block()? {
                // Corrections do not come with the blocks: times are as they were set, and marked.
                let dates = Dates::of(&block.runs, |_| None);
                one(&mut rows, options, &partition, (&block, &dates))?;
            }
            rows.finish()?
        }
    };
    Ok((records, damaged))
}

/// Writes what is asked for of a block.
fn one(
    rows: &mut Rows<'_>,
    options: &ExportOptions,
    partition: &Partition,
    (block, dates): (&Block, &Dates),
) -> Result<(), String> {
    let end = options.to.map_or(block.batch.rows(), |to| to.rows_before(block));
    let begin = options.from.rows_before(block).min(end);
    rows.write(partition, (block, dates), begin..end)
}
