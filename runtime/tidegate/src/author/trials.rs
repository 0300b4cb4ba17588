//! Runs a plugin's cases. Each is run three times: all its records in one batch, one by one, and cut at random with a
//! restart at every cut. A plugin whose results depend on that breaks the one rule of the contract, and is told so. Then its
//! slots are merged and used again, where it has any.

use super::slots::Slots;
use super::{Case, Cases};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use std::ops::Range;
use std::sync::Arc;
use tidegate_devices::decode::TimeUnit;
use tidegate_devices::{DecodeOptions, Decoder};
use tidegate_pipeline::{BuildError, OperatorOptions, Trial};
use tidegate_record::{Batch, BatchBuilder, Schema, Wall};
use tidegate_sandbox::{ConfigureError, Kind, Limits, Plugin};

/// How long after everything given the tick arrives that closes every window; microseconds.
const TICK_AFTER: i64 = 1 << 50;

/// Floats are equal that differ by at most this share of their value; integers are equal or not.
const FLOAT_SHARE: f64 = 1e-9;

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its name.
    pub name: String,
    /// What is wrong, a line each; none: it holds.
    pub wrong: Vec<String>,
}

/// Runs every case.
pub fn run(plugin: &Arc<Plugin>, cases: &Cases, limits: &Limits) -> Vec<Verdict> {
    let verdict = |case: &Case| {
        let wrong = try_case(plugin, cases, case, limits).unwrap_or_else(|error| vec![error]);
        Verdict { name: case.name.clone(), wrong }
    };
    cases.cases.iter().map(verdict).collect()
}

/// What a run made.
#[derive(Debug, Clone, PartialEq)]
struct Made {
    records: Vec<Map<String, Value>>,
    faults: Vec<(u64, String)>,
    late: usize,
}

fn try_case(plugin: &Arc<Plugin>, cases: &Cases, case: &Case, limits: &Limits) -> Result<Vec<String>, String> {
    let schema = cases.schema(case, super::read_fields(plugin))?;
    let operator = OperatorOptions {
        params: cases.params(case),
        limits: Limits { tables: cases.tables(case)?, ..limits.clone() },
        window: cases.window(case)?,
        ..OperatorOptions::of(plugin.clone())
    };
    match (plugin.kind(), operator.window) {
        (Kind::Aggregate, None) => return Err("an aggregate needs a window: write window: { tumbling: 10s }".into()),
        (Kind::Aggregate, Some(_)) | (_, None) => {}
        (_, Some(_)) => return Err("only an aggregate has a window: leave it out".into()),
    }
    let begin = || Trial::new(vec![operator.clone()], &schema);
    let begun = || begin().map_err(|error| super::explained(std::slice::from_ref(&operator), &schema, &error));
    if let Some(places) = &case.refused {
        return Ok(refusal(begin().err(), places));
    }
    let batch = Arc::new(records(case, &schema)?);
    let all = 0..batch.rows();
    let arrival = i64::from(case.arrival) * 1_000_000;
    let whole = make(begun()?, &batch, std::slice::from_ref(&all), arrival, false)?;
    let mut wrong = compare(case, &whole);
    let single: Vec<Range<usize>> = (0..batch.rows()).map(|row| row..row + 1).collect();
    let ways = [("one by one", single, false), ("cut at random, restarted at each cut", at_random(&batch), true)];
    for (way, cuts, restart) in ways {
        let made = make(begun()?, &batch, &cuts, arrival, restart)?;
        if made != whole {
            wrong.push(format!("results depend on how records are cut into batches: {way} ({cuts:?}) gives"));
            wrong.extend(made.records.iter().map(|record| format!("      {}", Value::from(record.clone()))));
            wrong.extend(made.faults.iter().map(|(row, reason)| format!("      fault of record {row}: {reason}")));
        }
    }
    wrong.extend(Slots::of(&operator, &batch, arrival).tried()?);
    Ok(wrong)
}

/// Whether the parameters were refused at the places named.
fn refusal(error: Option<BuildError>, places: &[String]) -> Vec<String> {
    let issues = match error {
        None => return vec!["the parameters are taken, and should be refused".into()],
        Some(BuildError::Configure { source: ConfigureError::Issues { issues, .. }, .. }) => issues,
        Some(other) => return vec![other.to_string()],
    };
    let missing = places.iter().filter(|place| !issues.iter().any(|issue| issue.at == **place));
    let mut wrong: Vec<String> = missing.map(|place| format!("nothing is said of {place}")).collect();
    let beyond = issues.iter().filter(|issue| !places.contains(&issue.at));
    wrong.extend(beyond.map(|issue| format!("refused at {} too: {}", issue.at, issue.message)));
    wrong
}

/// The case's records as a batch; they are read as the gateway reads JSON.
fn records(case: &Case, schema: &Arc<Schema>) -> Result<Batch, String> {
    let options = DecodeOptions {
        device: Some("/device".into()),
        time: Some("/time".into()),
        time_unit: TimeUnit::Seconds,
        device_name: Some("device".into()),
        ..DecodeOptions::default()
    };
    let mut decoder = Decoder::new(options, schema.clone()).map_err(|error| error.to_string())?;
    let mut builder = BatchBuilder::new(schema.clone());
    for (index, record) in case.given.iter().enumerate() {
        let known = |name: &String| ["device", "time"].contains(&name.as_str()) || schema.position(name).is_some();
        if let Some(name) = record.keys().find(|name| !known(name)) {
            return Err(format!("record {index}: there is no field {name:?}; name it in fields"));
        }
        let mut record = record.clone();
        let time = record.entry("time").or_insert(json!(0));
        if let Some(text) = time.as_str() {
            *time = json!(seconds(text).map_err(|error| format!("record {index}: time: {error}"))?);
        }
        let wall = Wall { micros: 0, trusted: false };
        let frame = Value::from(record).to_string();
        decoder
            .decode(None, frame.as_bytes(), wall, &mut builder)
            .map_err(|error| format!("record {index}: {error}"))?;
    }
    Ok(builder.finish())
}

/// A time as records are printed with it.
fn seconds(text: &str) -> Result<f64, String> {
    let time = text
        .parse::<jiff::Timestamp>()
        .map_err(|_| format!("{text:?} is neither seconds since the epoch nor a time like 2026-01-31T08:00:00Z"))?;
    Ok(time.as_microsecond() as f64 / 1e6)
}

fn at_random(batch: &Batch) -> Vec<Range<usize>> {
    let mut rng = SmallRng::seed_from_u64(batch.rows() as u64);
    let (mut cuts, mut from) = (Vec::new(), 0);
    while from < batch.rows() {
        let end = (from + rng.random_range(1..=4)).min(batch.rows());
        cuts.push(from..end);
        from = end;
    }
    cuts
}

fn make(mut trial: Trial, batch: &Batch, cuts: &[Range<usize>], arrival: i64, restart: bool) -> Result<Made, String> {
    let mut made = Made { records: Vec::new(), faults: Vec::new(), late: 0 };
    let empty = Arc::new(batch.slice(0..0));
    let parts =
        cuts.iter().map(|cut| (Arc::new(batch.slice(cut.clone())), arrival)).chain([(empty, arrival + TICK_AFTER)]);
    for (part, arrival) in parts {
        let tried = trial.process(part, arrival).map_err(|halted| halted.to_string())?;
        for row in 0..tried.batch.rows() {
            match serde_json::to_value(tried.batch.row(row)) {
                Ok(Value::Object(record)) => made.records.push(record),
                other => return Err(format!("a record that JSON cannot write: {other:?}")),
            }
        }
        made.faults.extend(tried.faults);
        let windows = tried.windows.into_iter();
        made.faults.extend(windows.map(|(device, reason)| (u64::MAX, format!("window of {device}: {reason}"))));
        let beyond = tried.overflow.into_iter();
        made.faults.extend(beyond.map(|row| (row, "its device is beyond max_keys".to_string())));
        made.late += tried.late.len();
        if restart {
            trial.restart()?;
        }
    }
    Ok(made)
}

/// What is other than expected.
fn compare(case: &Case, made: &Made) -> Vec<String> {
    let mut wrong = Vec::new();
    for index in 0..case.expected.len().max(made.records.len()) {
        let (expected, made) = (case.expected.get(index), made.records.get(index));
        if let (Some(expected), Some(made)) = (expected, made)
            && is_equal(expected, made, &case.ignore)
        {
            continue;
        }
        wrong.extend(expected.map(|record| format!("- {}", Value::from(record.clone()))));
        wrong.extend(made.map(|record| format!("+ {}", Value::from(record.clone()))));
    }
    for (row, reason) in &made.faults {
        if !case.faults.iter().any(|fault| fault.record == *row && reason.contains(&fault.reason)) {
            wrong.push(match row {
                &u64::MAX => format!("a fault nobody expected: {reason}"),
                row => format!("record {row} faulted: {reason}"),
            });
        }
    }
    let missed = case.faults.iter().filter(|fault| !made.faults.iter().any(|(row, _)| *row == fault.record));
    wrong.extend(missed.map(|fault| format!("record {} should fault and did not", fault.record)));
    if case.late != made.late {
        wrong.push(format!("{} records were late, where {} are expected", made.late, case.late));
    }
    wrong
}

/// Every field of both is equal, device and time where they are expected.
fn is_equal(expected: &Map<String, Value>, made: &Map<String, Value>, ignore: &[String]) -> bool {
    let asked = |name: &&String| !ignore.contains(name);
    let implied = |name: &&String| ["device", "time"].contains(&name.as_str());
    let all_expected = expected.iter().filter(|(name, _)| asked(name)).all(|(name, expected)| {
        let made = made.get(name).unwrap_or(&Value::Null);
        if name == "time" { is_same_time(expected, made) } else { is_same(expected, made) }
    });
    let surprising = |name: &&String| asked(name) && !implied(name) && !expected.contains_key(*name);
    all_expected && !made.keys().any(|name| surprising(&name))
}

pub(super) fn is_same(expected: &Value, made: &Value) -> bool {
    match (expected.as_f64(), made.as_f64()) {
        (Some(expected_float), Some(made_float)) if expected.is_f64() || made.is_f64() => {
            (expected_float - made_float).abs() <= FLOAT_SHARE * expected_float.abs().max(made_float.abs())
        }
        _ => expected == made,
    }
}

/// A time is given in seconds, or as it is printed.
fn is_same_time(expected: &Value, made: &Value) -> bool {
    match expected.as_f64() {
        Some(seconds) => made.as_str() == Some(&tidegate_record::rfc3339((seconds * 1e6).round() as i64)),
        None => expected == made,
    }
}
