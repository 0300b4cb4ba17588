//! `[pipelines.NAME]`: streams in, operators in order, a stream out.

use super::section::Section;
use super::suggest::did_you_mean;
use super::units::Size;
use std::time::Duration;
use tidegate_pipeline::OnQuarantine;
use tidegate_record::valid_name;
use tidegate_sandbox::{Grant, Grants, Kind};

/// Most operators a pipeline may have.
const OPERATORS_MAX: usize = 32;
/// The policies for a plugin in quarantine.
const POLICIES: [OnQuarantine; 3] = [OnQuarantine::Halt, OnQuarantine::Bypass, OnQuarantine::DeadLetter];
/// Most streams a pipeline may read.
const FROM_MAX: usize = 16;

/// A pipeline as configured; its plugins are names yet.
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// Its name.
    pub name: String,
    /// The streams it reads.
    pub from: Vec<String>,
    /// The stream it appends to.
    pub to: String,
    /// How much arrival time may pass between snapshots.
    pub checkpoint_interval: Duration,
    /// How many bytes of input may pass between snapshots.
    pub checkpoint_bytes: u64,
    /// Operators in order.
    pub operators: Vec<OperatorConfig>,
}

/// One operator as configured.
#[derive(Debug, Clone)]
pub struct OperatorConfig {
    /// What it does.
    pub kind: Kind,
    /// The window of an aggregate; `None` for the other kinds.
    pub window: Option<WindowConfig>,
    /// The plugin's name: `threshold` is `threshold.wasm` or `threshold.wat` in `plugins.dir`.
    pub plugin: String,
    /// Its parameters, a JSON object.
    pub params_json: String,
    /// What its plugin may import.
    pub grants: Grants,
    /// Transform: the input's fields that go on; `None`: all of them.
    pub keep: Option<Vec<String>>,
    /// Most devices with state; a new device beyond it goes to the dead letters.
    pub max_keys: usize,
    /// What becomes of records when the plugin is in quarantine.
    pub on_quarantine: OnQuarantine,
    /// After how long it is tried again by itself.
    pub release_after: Option<Duration>,
}

/// A tumbling window on event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowConfig {
    /// Its span, aligned to the epoch.
    pub tumbling: Duration,
    /// Lateness bound.
    pub lateness: Duration,
    /// A device silent so long has its windows closed.
    pub idle: Duration,
    /// What happens to late records.
    pub late: Late,
}

/// The policy for late records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// To the ledger, counted.
    Drop,
}

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);

/// The pipelines in the order of the file.
pub(super) fn read(root: &mut Section<'_>) -> Vec<PipelineConfig> {
    root.named("pipelines", |name, section| {
        let from: Vec<String> = section.needed("from").unwrap_or_default();
        if section.has("from") && !(1..=FROM_MAX).contains(&from.len()) {
            section.problem("from", format!("{} streams are outside of 1 to {FROM_MAX}", from.len()));
        }
        let pipeline = PipelineConfig {
            name: name.into(),
            from,
            to: section.needed_text("to"),
            checkpoint_interval: section.within(
                "checkpoint_interval",
                Duration::from_secs(10),
                Duration::from_millis(100)..=DAY,
            ),
            checkpoint_bytes: section.within("checkpoint_bytes", Size::mib(16), Size::kib(64)..=Size::gib(1)).0,
            operators: section.sections("operators", operator),
        };
        if !(1..=OPERATORS_MAX).contains(&pipeline.operators.len()) {
            let count = pipeline.operators.len();
            section.problem("operators", format!("{count} operators are outside of 1 to {OPERATORS_MAX}"));
        }
        pipeline
    })
}

fn operator(section: &mut Section<'_>) -> OperatorConfig {
    let named: Vec<(Kind, String)> =
        Kind::ALL.into_iter().filter_map(|kind| Some((kind, section.text(kind.word())?))).collect();
    if named.len() != 1 {
        let path = section.path.clone();
        let words = "filter, transform, detect, aggregate or codec";
        section.context.problem_at(&path, format!("an operator names exactly one plugin: {words}"));
    }
    let (kind, plugin) = named.into_iter().next().unwrap_or((Kind::Filter, String::new()));
    let (params_json, grants) = (params(section), grants(section));
    let keep = match kind {
        Kind::Transform => section.opt("keep"),
        _ => {
            section.not_here(&["keep"], "only a transform chooses which fields go on");
            None
        }
    };
    let (window, max_keys) = if kind == Kind::Aggregate {
        section.not_here(&["max_keys"], "an aggregate has it in its window");
        let (window, max_keys) = section.section("window", window);
        (Some(window), max_keys)
    } else {
        section.not_here(&["window"], "only an aggregate has a window");
        (None, max_keys(section))
    };
    if !plugin.is_empty() && !valid_name(&plugin) {
        section.problem(
            kind.word(),
            format!("{plugin:?} is no plugin name: it is a file name in plugins.dir without .wasm"),
        );
    }
    let on_quarantine = section.word("on_quarantine", "halt", &POLICIES.map(|policy| (policy.word(), policy)));
    let release_after = section.opt_within("release_after", Duration::from_secs(1)..=7 * DAY);
    if on_quarantine == OnQuarantine::Bypass && !matches!(kind, Kind::Filter | Kind::Transform) {
        let problem = format!(
            "\"bypass\" is for filter and transform: past a {kind} there is nothing that goes on; say \"halt\" or \
             \"dead_letter\""
        );
        section.problem("on_quarantine", problem);
    }
    OperatorConfig { kind, window, plugin, params_json, grants, keep, max_keys, on_quarantine, release_after }
}

fn grants(section: &mut Section<'_>) -> Grants {
    let mut grants = Grants::default();
    for word in section.or::<Vec<String>>("grant", Vec::new()) {
        match Grant::ALL.into_iter().find(|grant| grant.word() == word) {
            Some(Grant::Log) => grants.log = true,
            Some(Grant::Clock) => grants.clock = true,
            Some(Grant::Lookup) => grants.lookup = true,
            None => {
                let words = Grant::ALL.map(Grant::word);
                let hint = did_you_mean(&word, words.into_iter());
                section.problem("grant", format!("{word:?} is none of {}{hint}", words.join(", ")));
            }
        }
    }
    grants
}

fn params(section: &mut Section<'_>) -> String {
    match section.opt::<serde_json::Value>("params") {
        Some(params @ serde_json::Value::Object(_)) => params.to_string(),
        Some(_) => {
            section.problem("params", "expected a section");
            String::new()
        }
        None => "{}".into(),
    }
}

fn window(section: &mut Section<'_>) -> (WindowConfig, usize) {
    let tumbling = section.needed("tumbling");
    let tumbling = section.limited("tumbling", tumbling, MILLISECOND..=7 * DAY);
    let window = WindowConfig {
        tumbling: tumbling.unwrap_or(DAY),
        lateness: section.within("lateness", Duration::from_secs(2), Duration::ZERO..=7 * DAY),
        idle: section.within("idle", Duration::from_secs(30), Duration::from_millis(100)..=7 * DAY),
        late: section.word("late", "drop", &[("drop", Late::Drop)]),
    };
    (window, max_keys(section))
}

fn max_keys(section: &mut Section<'_>) -> usize {
    section.within("max_keys", 100_000, 1..=10_000_000)
}
