//! `tidegate plugin canary`: a version that shows that it may take an operator's place.

use super::client::Client;
use super::operators::Gateway;
use super::versions::{change, operators, page};
use super::{exit, failed};
use clap::Args;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

/// Between two looks at how it does.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many looks in a row may fail: a minute's.
const FAILURES_MAX: u32 = 60;
/// Most lines of progress.
const LINES: u64 = 10;

/// What is to show that it may take an operator's place.
#[derive(Debug, Args)]
pub struct CanaryArgs {
    /// The pipeline
    pipeline: String,
    /// Which of its operators, from 1
    operator: usize,
    /// The plugin: a name in plugins.dir, whose file takes the place of the operator's; left out: the operator's own file
    name: Option<String>,
    /// How many records it is tried on
    #[arg(long, default_value_t = 10_000)]
    records: u64,
    /// The greatest share of results that may differ
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    differ: f64,
    /// How many times the live one's nanoseconds a record it may take
    #[arg(long, value_name = "TIMES", default_value_t = 2.0)]
    slower: f64,
    /// How many more records than the live one it may fault on
    #[arg(long, default_value_t = 0)]
    faults: u64,
    /// Wait for the verdict; exit code 0: it took the operator's place, 6: it was sent away, 3: it was stopped before there was a
    /// verdict, or the gateway does not say
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    gateway: Gateway,
}

/// Begins a canary, and waits for the verdict where that is asked for.
pub(super) fn canary(args: &CanaryArgs) -> ExitCode {
    let client = match args.gateway.client() {
        Ok(client) => client,
        Err(code) => return code,
    };
    let begun = match begin(&client, args) {
        Ok(begun) => begun,
        Err(reason) => return failed(exit::START, &reason),
    };
    print!("{}", page(&begun));
    if !args.wait {
        return ExitCode::SUCCESS;
    }
    match verdict(&client, args, &begun["beside"]["report"]["sha256"]) {
        Ok((exit::DONE, told)) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Ok((code, why)) => failed(code, &why),
        Err(reason) => failed(exit::START, &format!("{reason}; `tidegate plugin versions` says what runs")),
    }
}

fn begin(client: &Client, args: &CanaryArgs) -> Result<Value, String> {
    let mut query = vec![
        ("records", args.records.to_string()),
        ("differ", args.differ.to_string()),
        ("slower", args.slower.to_string()),
        ("faults", args.faults.to_string()),
    ];
    query.extend(args.name.iter().map(|name| ("name", name.clone())));
    change(client, &args.pipeline, args.operator, "canary", &query)
}

/// What became of the canary of a version: an exit code and a sentence. The error: that was not learnt.
fn verdict(client: &Client, args: &CanaryArgs, sha256: &Value) -> Result<(u8, String), String> {
    let (mut told, mut failures) = (0, 0);
    loop {
        match operators(client, &args.pipeline) {
            Ok(shown) => {
                failures = 0;
                let beside = ours(&shown, args.operator, sha256)?;
                if let Some(outcome) = beside["outcome"].as_str() {
                    return Ok((code(&beside["became"]), outcome.to_string()));
                }
                let parts = part(&beside["report"], args.records);
                if parts > told {
                    told = parts;
                    eprintln!("{}", progress(&beside["report"], args.records));
                }
            }
            Err(reason) if failures == FAILURES_MAX => return Err(reason),
            // It may be busy, or on its way back.
            Err(_) => failures += 1,
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What is told of the canary, where it is still the one that runs or ran beside the operator.
fn ours<'a>(shown: &'a [Value], operator: usize, sha256: &Value) -> Result<&'a Value, String> {
    let shown = shown.iter().find(|shown| shown["operator"].as_u64() == Some(operator as u64));
    let beside = shown.map(|shown| &shown["beside"]);
    let ours = beside.filter(|beside| beside["role"] == "canary" && beside["report"]["sha256"] == *sha256);
    ours.ok_or_else(|| {
        "the canary is gone: the gateway was restarted, or something else runs beside the operator".to_string()
    })
}

/// What became of it, as an exit code.
fn code(became: &Value) -> u8 {
    match became.as_str() {
        Some("promoted") => exit::DONE,
        Some("stopped") => exit::START,
        _ => exit::PLUGIN,
    }
}

/// How many of the parts that are told of have passed.
fn part(report: &Value, records: u64) -> u64 {
    let passed = report["records"].as_u64().unwrap_or(0).min(records);
    passed.saturating_mul(LINES).checked_div(records).unwrap_or(LINES)
}

fn progress(report: &Value, records: u64) -> String {
    let of = |figure: &str| report[figure].as_u64().unwrap_or(0);
    let passed = of("records").min(records);
    if passed == records && of("compared") == 0 {
        return format!("{passed} of {records} records; it waits for a first result to compare");
    }
    format!(
        "{passed} of {records} records, {} of {} results differ, {} faults",
        of("differ"),
        of("compared"),
        of("faults")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_canary_that_was_stopped_is_not_one_that_was_sent_away() {
        let codes = ["promoted", "sent_away", "stopped"].map(|became| code(&json!(became)));
        assert_eq!(codes, [exit::DONE, exit::PLUGIN, exit::START]);
    }

    #[test]
    fn progress_is_told_ten_times_at_most_and_says_what_it_waits_for() {
        let report =
            |records: u64, compared: u64| json!({ "records": records, "compared": compared, "differ": 2, "faults": 1 });
        let parts: Vec<_> = [0, 99, 100, 950, 1000, 5000].iter().map(|&n| part(&report(n, 9), 1000)).collect();
        assert_eq!(parts, [0, 0, 1, 9, 10, 10]);
        assert_eq!(part(&report(0, 0), 0), LINES);
        assert_eq!(progress(&report(500, 40), 1000), "500 of 1000 records, 2 of 40 results differ, 1 faults");
        let waits = "1000 of 1000 records; it waits for a first result to compare";
        assert_eq!(progress(&report(1200, 0), 1000), waits);
    }
}
