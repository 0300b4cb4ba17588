//! Frames as lines of text, through a source's decoder and a plugin: what it would make of what devices send.

use crate::config::{self, Config, OperatorConfig, SourceConfig};
use crate::tables;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_devices::Decoder;
use tidegate_pipeline::{OperatorOptions, Trial, Tried, WindowOptions};
use tidegate_record::{Batch, BatchBuilder, Schema, Wall};
use tidegate_sandbox::{Kind, Limits, Plugin};

/// Between two lines, on the arrival clock; microseconds.
const LINE_US: i64 = 1_000_000;
/// How long after the last line the tick arrives that closes every window.
const TICK_AFTER: i64 = 1 << 50;
/// The window of an aggregate that the configuration has none for.
const WINDOW_US: i64 = 10_000_000;

/// Whose frames the lines are.
#[derive(Debug, Clone)]
pub struct LinesOptions {
    /// The configuration.
    pub config: PathBuf,
    /// A source in it, whose `decode` section says how a frame becomes records.
    pub source: String,
    /// Parameters; `None`: those of the operator that the configuration has for the plugin.
    pub params: Option<String>,
}

/// What became of the lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many there were.
    pub lines: u64,
    /// Records made.
    pub records: u64,
    /// Lines that do not decode, and records and windows at fault.
    pub set_aside: u64,
}

/// Takes every line of `input` (`payload`, or `[topic] payload`) through the plugin in `file`. What it makes goes to `out` as
/// JSON, a record a line, and what is set aside with its reason after a `#`.
pub fn lines(
    file: &Path,
    plugin: &Arc<Plugin>,
    options: &LinesOptions,
    limits: &Limits,
    input: impl BufRead,
    out: &mut impl Write,
) -> Result<Counted, String> {
    let config = config::load(&options.config).map_err(|errors| errors.lines().join("\n"))?;
    let source = source(&config, &options.source)?;
    let stream = config.streams.iter().find(|stream| stream.name == source.stream);
    let schema = stream.and_then(|stream| stream.schema.clone());
    let schema = schema.ok_or_else(|| format!("nothing says which fields stream {:?} has", source.stream))?;
    let tables = tables::load(&config.tables).map_err(|wrong| wrong.join("\n"))?;
    let limits = Limits { tables, ..limits.clone() };
    let operator = operator(&config, file, plugin, options, limits);
    let trial = Trial::new(vec![operator], &schema).map_err(|error| error.to_string())?;
    let decoder = Decoder::new(source.decode().clone(), schema.clone()).map_err(|error| error.to_string())?;
    let mut run = Through { trial, decoder, schema: schema.clone(), out, counted: Counted::default() };
    for line in input.lines() {
        run.line(&line.map_err(|error| format!("the lines cannot be read: {error}"))?)?;
    }
    run.tried(Arc::new(Batch::empty(schema)), TICK_AFTER)?;
    Ok(run.counted)
}

fn source<'c>(config: &'c Config, name: &str) -> Result<&'c SourceConfig, String> {
    config.sources.iter().find(|source| source.name == name).ok_or_else(|| {
        let known: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
        format!("{}: there is no source {name:?}; there are {}", config.file.display(), known.join(", "))
    })
}

/// The operator the configuration has for the plugin's file, or one without parameters.
fn operator(
    config: &Config,
    file: &Path,
    plugin: &Arc<Plugin>,
    options: &LinesOptions,
    limits: Limits,
) -> OperatorOptions {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let operators = config.pipelines.iter().flat_map(|pipeline| &pipeline.operators);
    let configured: Option<&OperatorConfig> = { operators }.find(|o| o.plugin == name && o.kind == plugin.kind());
    let params = options.params.clone().or_else(|| configured.map(|operator| operator.params_json.clone()));
    let micros = |duration: std::time::Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    let window = configured.and_then(|operator| operator.window).map(|window| WindowOptions {
        size: micros(window.tumbling),
        lateness: micros(window.lateness),
        idle: micros(window.idle),
    });
    let plain = WindowOptions { size: WINDOW_US, lateness: 0, idle: WINDOW_US };
    OperatorOptions {
        params: params.unwrap_or_else(|| "{}".into()),
        limits,
        window: (plugin.kind() == Kind::Aggregate).then(|| window.unwrap_or(plain)),
        ..OperatorOptions::of(plugin.clone())
    }
}

/// Lines on their way.
struct Through<'o, W> {
    trial: Trial,
    decoder: Decoder,
    schema: Arc<Schema>,
    out: &'o mut W,
    counted: Counted,
}

impl<W: Write> Through<'_, W> {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let arrival = self.counted.lines as i64 * LINE_US;
        self.counted.lines += 1;
        let (topic, payload) = parted(line);
        let mut builder = BatchBuilder::new(self.schema.clone());
        let wall = Wall { micros: arrival, trusted: false };
        if let Err(error) = self.decoder.decode(topic, payload.as_bytes(), wall, &mut builder) {
            return self.aside(&format!("line {} does not decode: {error}", self.counted.lines));
        }
        self.tried(Arc::new(builder.finish()), arrival)
    }

    fn tried(&mut self, batch: Arc<Batch>, arrival: i64) -> Result<(), String> {
        let tried = self.trial.process(batch, arrival).map_err(|halted| halted.to_string())?;
        for row in 0..tried.batch.rows() {
            let record = serde_json::to_string(&tried.batch.row(row)).map_err(|error| error.to_string())?;
            self.counted.records += 1;
            writeln!(self.out, "{record}").map_err(|error| error.to_string())?;
        }
        let Tried { faults, windows, late, overflow, .. } = tried;
        for (record, reason) in faults {
            self.aside(&format!("record {record}: {reason}"))?;
        }
        for (device, reason) in windows {
            self.aside(&format!("window of {device}: {reason}"))?;
        }
        for record in late {
            self.aside(&format!("record {record} is late"))?;
        }
        for record in overflow {
            self.aside(&format!("record {record}: its device is beyond max_keys"))?;
        }
        Ok(())
    }

    fn aside(&mut self, what: &str) -> Result<(), String> {
        self.counted.set_aside += 1;
        writeln!(self.out, "# {what}").map_err(|error| error.to_string())
    }
}

/// `[topic] payload`: a topic has none of the signs that JSON has behind a bracket.
fn parted(line: &str) -> (Option<&str>, &str) {
    let topic = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    match topic {
        Some((topic, payload)) if !topic.is_empty() && !topic.contains(['{', '"', '[', ',']) => (Some(topic), payload),
        _ => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_stands_in_brackets_and_a_list_is_none() {
        assert_eq!(parted(r#"[sensors/d1] {"temp":1}"#), (Some("sensors/d1"), r#"{"temp":1}"#));
        for payload in [r#"[{"temp":1}] "#, "[1, 2] ", "[] x", "d1,2", r#"["a"] b"#] {
            assert_eq!(parted(payload), (None, payload));
        }
    }
}
