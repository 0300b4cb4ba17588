//! `[streams.NAME]`: fields, caps and policies.

use super::section::Section;
use super::suggest::did_you_mean;
use super::units::{Size, parse_duration};
use super::value::Value;
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{Field, Scalar, Schema, streams};
use tidegate_store::{Keep, Retention, Thin, ThinValue, WhenFull};
use toml::de::DeValue;

/// A stream as configured, or as every gateway has it, or as a pipeline makes it.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Its name.
    pub name: String,
    /// Its fields; `None` where the pipelines that append to it say them.
    pub schema: Option<Arc<Schema>>,
    /// Caps and policies.
    pub retention: Retention,
}

const MAX_BYTES: Size = Size::mib(256);
const MAX_BYTES_OWN: Size = Size::mib(64);
/// Less than this holds no block of a usual batch.
const MAX_BYTES_MIN: Size = Size::kib(256);
const MAX_BYTES_MAX: Size = Size(1 << 46);
const KEEP_UNTIL_READ: &str = "until_read";
const KEEP_ALL: &str = "all";
const SCALARS: [Scalar; 4] = [Scalar::Float, Scalar::Integer, Scalar::Boolean, Scalar::Text];

impl StreamConfig {
    /// A stream that is not in the file: a pipeline makes it.
    pub(super) fn made_by_pipelines(name: &str) -> Self {
        let retention =
            Retention { max_bytes: MAX_BYTES.0, max_age: None, keep: Keep::UntilRead, when_full: WhenFull::Block };
        StreamConfig { name: name.into(), schema: None, retention }
    }
}

/// The declared streams in the order of the file, then the two every gateway has.
pub(super) fn read(root: &mut Section<'_>) -> Vec<StreamConfig> {
    let mut out = root.named("streams", |name, section| match name {
        streams::DEAD_LETTERS => own(section, name, streams::dead_letters()),
        streams::LEDGER => own(section, name, streams::ledger()),
        _ => declared(section, name),
    });
    for (name, schema) in [(streams::DEAD_LETTERS, streams::dead_letters()), (streams::LEDGER, streams::ledger())] {
        if !out.iter().any(|stream| stream.name == name) {
            let retention = own_retention(MAX_BYTES_OWN, None);
            out.push(StreamConfig { name: name.into(), schema: Some(Arc::new(schema)), retention });
        }
    }
    out
}

fn declared(section: &mut Section<'_>, name: &str) -> StreamConfig {
    let schema = fields(section);
    let retention = Retention {
        max_bytes: section.within("max_bytes", MAX_BYTES, MAX_BYTES_MIN..=MAX_BYTES_MAX).0,
        max_age: max_age(section),
        keep: keep(section),
        when_full: when_full(section),
    };
    if retention.keep == Keep::All {
        if retention.when_full != WhenFull::Block {
            section.problem("when_full", "a stream with keep = \"all\" gives nothing up: it can only \"block\"");
        }
        if retention.max_age.is_some() {
            section.problem("max_age", "a stream with keep = \"all\" gives nothing up, however old: leave max_age out");
        }
    }
    StreamConfig { name: name.into(), schema, retention }
}

fn when_full(section: &mut Section<'_>) -> WhenFull {
    let day = Duration::from_secs(86_400);
    let thin = Thin {
        every: section.within("thin_every", Duration::from_secs(60), Duration::from_millis(100)..=day),
        value: section.word(
            "thin_value",
            "mean",
            &[("mean", ThinValue::Mean), ("last", ThinValue::Last), ("min", ThinValue::Min), ("max", ThinValue::Max)],
        ),
    };
    let words = [("block", WhenFull::Block), ("drop_oldest", WhenFull::DropOldest), ("thin", WhenFull::Thin(thin))];
    let when_full = section.word("when_full", "block", &words);
    for key in ["thin_every", "thin_value"] {
        if section.has(key) && !matches!(when_full, WhenFull::Thin(_)) {
            let path = section.path_of(key);
            section.context.warning_at(&path, "means nothing here: only when_full = \"thin\" makes records coarser");
        }
    }
    when_full
}

/// A stream every gateway has: only its bounds may be set.
fn own(section: &mut Section<'_>, name: &str, schema: Schema) -> StreamConfig {
    let max_bytes = section.within("max_bytes", MAX_BYTES_OWN, MAX_BYTES_MIN..=MAX_BYTES_MAX);
    let retention = own_retention(max_bytes, max_age(section));
    StreamConfig { name: name.into(), schema: Some(Arc::new(schema)), retention }
}

fn own_retention(max_bytes: Size, max_age: Option<Duration>) -> Retention {
    Retention { max_bytes: max_bytes.0, max_age, keep: Keep::UntilRead, when_full: WhenFull::DropOldest }
}

fn max_age(section: &mut Section<'_>) -> Option<Duration> {
    section.opt_within("max_age", Duration::from_secs(1)..=Duration::from_secs(10 * 365 * 86_400))
}

fn keep(section: &mut Section<'_>) -> Keep {
    let text = section.or("keep", KEEP_UNTIL_READ.to_string());
    match (text.as_str(), parse_duration(&text)) {
        (KEEP_UNTIL_READ, _) => Keep::UntilRead,
        (KEEP_ALL, _) => Keep::All,
        (_, Ok(duration)) => Keep::For(duration),
        (_, Err(_)) => {
            let hint = did_you_mean(&text, [KEEP_UNTIL_READ, KEEP_ALL].into_iter());
            let message = format!("{text:?} is neither \"until_read\", \"all\" nor a duration such as \"7d\"{hint}");
            section.problem("keep", message);
            Keep::UntilRead
        }
    }
}

/// The declared fields in the order of the file; `None` where there are none, or after a problem was noted.
fn fields(section: &mut Section<'_>) -> Option<Arc<Schema>> {
    let entries = section.entries("fields");
    let fields: Vec<Field> = entries.iter().filter_map(|(name, value)| field(name, value)).collect();
    if fields.is_empty() || fields.len() < entries.len() {
        if entries.is_empty() && section.has("fields") {
            section.problem("fields", "a stream has at least one field");
        }
        return None;
    }
    match Schema::new(fields) {
        Ok(schema) => Some(Arc::new(schema)),
        Err(error) => {
            section.problem("fields", error.to_string());
            None
        }
    }
}

/// `temp = "f64"` or `temp = { type = "f64", unit = "Cel" }`.
pub(super) fn field(name: &str, value: &Value<'_>) -> Option<Field> {
    if let DeValue::String(_) = value.inner.get_ref() {
        let word: String = value.get()?;
        return match scalar(&word) {
            Ok(scalar) => Some(Field::new(name, scalar)),
            Err(message) => {
                value.problem(message);
                None
            }
        };
    }
    value.section(|section| {
        let word = section.needed_text("type");
        let unit = section.text("unit").unwrap_or_default();
        match scalar(&word) {
            Ok(scalar) => Some(Field { name: name.into(), scalar, unit }),
            Err(message) if !word.is_empty() => {
                section.problem("type", message);
                None
            }
            Err(_) => None,
        }
    })?
}

fn scalar(word: &str) -> Result<Scalar, String> {
    let found = SCALARS.into_iter().find(|scalar| scalar.word() == word);
    found.ok_or_else(|| {
        let hint = did_you_mean(word, SCALARS.iter().map(|scalar| scalar.word()));
        format!("{word:?} is no type of a field: f64, i64, bool or text{hint}")
    })
}
