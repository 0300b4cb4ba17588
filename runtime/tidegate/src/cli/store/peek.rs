//! `tidegate store peek`.

use super::super::{exit, failed};
use super::place::{Found, Place};
use crate::ndjson;
use clap::Args;
use std::io::Write as _;
use std::process::ExitCode;
use tidegate_store::{Dates, Offline};

/// What to print, of which store.
#[derive(Debug, Args)]
pub struct PeekOptions {
    /// The stream
    stream: String,
    #[command(flatten)]
    place: Place,
    /// Most records to print
    #[arg(short = 'n', value_name = "N", default_value = "10", value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// The offset to begin at; without it, the oldest record stored
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
}

/// Prints records.
pub(super) fn peek(options: &PeekOptions) -> ExitCode {
    let printed = match options.place.find() {
        Err(code) => return code,
        Ok(Found::Offline(store)) => offline(&store, options),
        Ok(Found::Running(client)) => {
            let from = options.from.map_or("start".to_string(), |from| from.to_string());
            let limit = options.count.to_string();
            let query = [("from", from.as_str()), ("limit", &limit), ("until", "end")];
            let path = ["api", "v1", "streams", &options.stream, "tap"];
            let mut out = std::io::stdout().lock();
            client.pieces(&path, &query, |piece| out.write_all(piece).is_ok()).map(|()| Vec::new())
        }
    };
    match printed {
        Ok(damaged) if damaged.is_empty() => ExitCode::SUCCESS,
        Ok(damaged) => {
            damaged.iter().for_each(|what| eprintln!("{what}"));
            ExitCode::from(exit::DAMAGED)
        }
        Err(reason) => failed(exit::START, &reason),
    }
}

/// Gives what was found damaged on the way.
fn offline(store: &Offline, options: &PeekOptions) -> Result<Vec<String>, String> {
    let (identity, from) = (store.identity(), options.from.unwrap_or(0));
    let (mut left, mut damaged) = (options.count, Vec::new());
    let mut out = std::io::stdout().lock();
    let visited = store.blocks(&options.stream, from, &mut |partition, block| {
        let block = match block {
            Ok(block) => block,
            Err(reason) => {
                damaged.push(reason);
                return true;
            }
        };
        let rows = block.batch.rows();
        let begin = usize::try_from(from.saturating_sub(block.first.0)).unwrap_or(rows).min(rows);
        let end = usize::try_from(left).unwrap_or(rows).saturating_add(begin).min(rows);
        left -= (end - begin) as u64;
        let dates = Dates::of(&block.runs, |commit| store.dating(commit));
        out.write_all(&ndjson::lines(&identity, partition, (&block, &dates), begin..end)).is_ok() && left > 0
    });
    visited.map(|()| damaged).map_err(|error| error.to_string())
}
