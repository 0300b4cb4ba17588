//! `tidegate store verify`.

use super::super::client::Client;
use super::super::{exit, failed};
use super::place::{Located, Place};
use clap::Args;
use serde::Deserialize;
use std::io::Read as _;
use std::process::ExitCode;
use tidegate_store::{PartitionReport, Report};

/// Which store, and how to tell.
#[derive(Debug, Args)]
pub struct VerifyOptions {
    #[command(flatten)]
    place: Place,
    /// Print a JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Reads all of it and says what is wrong.
pub(super) fn verify(options: &VerifyOptions) -> ExitCode {
    let report = match options.place.locate() {
        Err(code) => return code,
        Ok(Located::Folder(path)) => tidegate_store::sled::verify(&path).map_err(|error| error.to_string()),
        Ok(Located::Running(client)) => live(&client),
    };
    let report = match report {
        Ok(report) => report,
        Err(reason) => return failed(exit::START, &reason),
    };
    if options.json {
        let told = serde_json::json!({ "sound": report.is_sound(), "report": report });
        println!("{told}");
    } else {
        print!("{}", table(&report));
        report.problems.iter().for_each(|problem| eprintln!("{problem}"));
        if report.untold > 0 {
            eprintln!("and {} problems more", report.untold);
        }
    }
    if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(exit::DAMAGED) }
}

/// What a gateway's check ends with.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Ended {
    Report(Report),
    Error(String),
}

/// Asks a gateway; it answers when it is through.
fn live(client: &Client) -> Result<Report, String> {
    let mut text = String::new();
    let mut answer = client.read(&["api", "v1", "store", "verify"], &[])?;
    answer.read_to_string(&mut text).map_err(|error| format!("the answer broke off: {error}"))?;
    let mut told: serde_json::Value =
        serde_json::from_str(&text).map_err(|_| "the gateway broke off the check: is it being stopped?")?;
    told.as_object_mut().map(|told| told.remove("sound"));
    match serde_json::from_value(told).map_err(|error| format!("the gateway answers something else: {error}"))? {
        Ended::Report(report) => Ok(report),
        Ended::Error(reason) => Err(reason),
    }
}

/// A line a partition, and a verdict.
fn table(report: &Report) -> String {
    let mut out = format!("store of gateway {:?}, epoch {:016x}\n", report.gateway, report.epoch);
    let names = report.partitions.iter().map(|p| name(p).len()).max().unwrap_or(0).max("partition".len());
    let row = |name: &str, cells: [String; 6]| {
        let cells = cells.map(|cell| format!(" {cell:>12}"));
        format!("{name:<names$}{}\n", cells.concat())
    };
    out += &row("partition", ["blocks", "records", "bytes", "appended", "released", "lost"].map(str::to_string));
    for p in &report.partitions {
        let numbers = [p.blocks, p.records, p.bytes, p.appended, p.released, p.lost];
        out += &row(&name(p), numbers.map(|number| number.to_string()));
    }
    let wrong = report.problems.len() as u64 + report.untold;
    out += &match wrong {
        0 => "sound: every block is whole, and appended = stored + released + lost everywhere\n".to_string(),
        1 => "1 problem\n".to_string(),
        _ => format!("{wrong} problems\n"),
    };
    out
}

fn name(partition: &PartitionReport) -> String {
    format!("{}/{}", partition.stream, partition.partition)
}
