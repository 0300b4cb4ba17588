//! `tidegate plugin bench`: what a plugin costs by records a call.

use super::limits::LimitArgs;
use super::object;
use crate::author::{self, BenchOptions, Measured};
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{Field, Scalar, Schema};

/// What to measure.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The plugin (.wasm or .wat), or its folder
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// Parameters, a JSON object
    #[arg(long, default_value = "{}", value_parser = object)]
    params: String,
    /// A field of the records, such as temp=f64; may be given again; left out: what the plugin says it reads
    #[arg(long = "field", value_name = "NAME=SCALAR", value_parser = field)]
    fields: Vec<Field>,
    /// Records a call
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 256, 4096], value_parser = records)]
    batch: Vec<usize>,
    /// How long each is measured, milliseconds
    #[arg(long, default_value_t = 500)]
    time_ms: u64,
    /// Fail when a record of the largest calls takes more nanoseconds than this
    #[arg(long, value_name = "NS")]
    budget: Option<f64>,
    /// Fail when a record of the largest calls takes more fuel than this
    #[arg(long, value_name = "FUEL")]
    budget_fuel: Option<f64>,
    /// Count fuel instead of time, and print a JSON array: what another process of this program does for this one
    #[arg(long, hide = true)]
    count_fuel: bool,
    /// Print a JSON array instead of lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Carries it out.
pub(super) fn bench(args: BenchArgs) -> Result<ExitCode, String> {
    let limits = args.limits.limits();
    let file = author::file_of(&args.plugin)?;
    let plugin = if args.count_fuel { author::load_counting(&file, &limits) } else { author::load(&file, &limits) }?;
    let fields = match &args.fields[..] {
        [] => author::read_fields(&plugin).ok_or("the plugin does not say which fields it reads: --field temp=f64")?,
        given => given.to_vec(),
    };
    let fields = Schema::new(fields).map_err(|error| error.to_string())?;
    let options = BenchOptions {
        fields: Arc::new(fields),
        params: args.params,
        limits,
        batches: args.batch,
        time: if args.count_fuel { Duration::ZERO } else { Duration::from_millis(args.time_ms) },
    };
    let mut measured = author::bench(&plugin, &options)?;
    if args.count_fuel {
        println!("{}", serde_json::json!(measured));
        return Ok(ExitCode::SUCCESS);
    }
    let counted = counted();
    if let Ok(counted) = &counted {
        measured.iter_mut().zip(counted).for_each(|(line, fuel)| line.fuel_per_record = Some(*fuel));
    }
    if args.json {
        println!("{}", serde_json::json!(measured));
    } else {
        table(&measured);
    }
    // The times are good without.
    match counted {
        Err(reason) if args.budget_fuel.is_some() => return Err(reason),
        Err(reason) => eprintln!("fuel is not told: {reason}"),
        Ok(_) => {}
    }
    match measured.iter().max_by_key(|line| line.batch) {
        Some(last) => within(last, args.budget, args.budget_fuel),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// The fuel a record of each line takes. This very command, in a process of its own: one that counts fuel runs slower, and a
/// process has one engine.
fn counted() -> Result<Vec<f64>, String> {
    let fails = |why: String| format!("the process that counts fuel: {why}");
    let exe = std::env::current_exe().map_err(|e| format!("this program's own file cannot be found: {e}"))?;
    let mut command = Command::new(exe);
    // Right behind the verb: at the end it might stand behind `--`.
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let verb = arguments.iter().position(|argument| argument == "bench");
    arguments.insert(verb.map_or(arguments.len(), |at| at + 1), "--count-fuel".into());
    command.args(arguments);
    let output = command.output().map_err(|error| fails(error.to_string()))?;
    if !output.status.success() {
        return Err(fails(String::from_utf8_lossy(&output.stderr).trim().to_string()));
    }
    let lines: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).map_err(|e| fails(e.to_string()))?;
    let fuel = lines.iter().map(|line| line["fuel_per_record"].as_f64());
    fuel.collect::<Option<_>>().ok_or_else(|| fails("it counted none".into()))
}

fn table(measured: &[Measured]) {
    let names = ["records", "ns a record", "fuel a record", "memory bytes", "faults", "start us"];
    let [records, ns, fuel, memory, faults, start] = names;
    println!("{records:>8} {ns:>12} {fuel:>14} {memory:>14} {faults:>8} {start:>9}");
    for Measured { batch, start_us, ns_per_record, fuel_per_record, memory_bytes_peak, faults } in measured {
        let fuel = fuel_per_record.map_or("-".into(), |fuel| format!("{fuel:.2}"));
        println!("{batch:>8} {ns_per_record:>12.2} {fuel:>14} {memory_bytes_peak:>14} {faults:>8} {start_us:>9}");
    }
}

fn within(last: &Measured, budget: Option<f64>, budget_fuel: Option<f64>) -> Result<ExitCode, String> {
    let fuel = last.fuel_per_record.unwrap_or_default();
    for (takes, what, budget) in [(last.ns_per_record, "ns", budget), (fuel, "fuel", budget_fuel)] {
        if let Some(budget) = budget.filter(|&budget| takes > budget) {
            return Err(format!("{takes:.2} {what} a record are over the budget of {budget}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn records(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&rows| rows > 0).ok_or_else(|| "expected a number of records, 1 or more".into())
}

fn field(text: &str) -> Result<Field, String> {
    let (name, word) = text.split_once('=').ok_or("expected NAME=SCALAR, such as temp=f64")?;
    let scalar = Scalar::from_word(word).ok_or_else(|| format!("{word:?} is none of f64, i64, bool, text, bytes"))?;
    Ok(Field::new(name, scalar))
}
