//! `tidegate store ls`.

use super::super::{exit, failed};
use super::place::{Found, Place};
use clap::Args;
use std::process::ExitCode;
use tidegate_store::Listing;

/// Which store, and how to tell.
#[derive(Debug, Args)]
pub struct LsOptions {
    #[command(flatten)]
    place: Place,
    /// Print a JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Lists what is in a store.
pub(super) fn ls(options: &LsOptions) -> ExitCode {
    let listing = match options.place.find() {
        Err(code) => return code,
        Ok(Found::Offline(store)) => store.listing(),
        Ok(Found::Running(client)) => match client.json(&["api", "v1", "streams"], &[]) {
            Ok(listing) => listing,
            Err(refused) => return failed(exit::START, &String::from(refused)),
        },
    };
    if options.json {
        println!("{}", serde_json::json!(listing));
    } else {
        print!("{}", lines(&listing));
        listing.damaged.iter().for_each(|what| eprintln!("damaged: {what}"));
    }
    if listing.damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::DAMAGED) }
}

/// A line a partition and one a reader, then the losses and what was set aside.
fn lines(listing: &Listing) -> String {
    let Listing { gateway, epoch, disk_bytes, .. } = listing;
    let mut out = format!("store of gateway {gateway:?}, epoch {epoch}, {disk_bytes} bytes on disk\n");
    let names = listing.partitions.iter().map(|p| p.stream.len() + 3).chain([9]).max().unwrap_or(9);
    let row = |name: &str, cells: [String; 7]| {
        let cells = cells.map(|cell| format!(" {cell:>12}"));
        format!("{name:<names$}{}\n", cells.concat())
    };
    let head = ["first", "next", "stored", "bytes", "appended", "released", "lost"];
    out += &row("partition", head.map(str::to_string));
    for p in &listing.partitions {
        let numbers = [p.first, p.next, p.stored, p.bytes, p.appended, p.released, p.lost];
        out += &row(&format!("{}/{}", p.stream, p.partition), numbers.map(|number| number.to_string()));
        for r in &p.readers {
            let lag = r.lag_seconds.map_or(String::new(), |lag| format!(", {lag:.1} s behind"));
            let held = if r.holds_from < r.cursor { format!(", holds from {}", r.holds_from) } else { String::new() };
            out += &format!("  {} at {}, {} to read{lag}{held}\n", r.reader, r.cursor, r.behind);
        }
    }
    for loss in &listing.losses {
        out += &format!("given up: {} of {} ({})\n", loss.count, loss.stream, loss.reason);
    }
    for name in &listing.aside {
        out += &format!("set aside: {name}\n");
    }
    out
}
