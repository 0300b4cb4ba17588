//! `[sources.NAME.decode]`: how frames become records.

use super::section::Section;
use super::value::Value;
use std::collections::HashSet;
use std::time::Duration;
use tidegate_devices::DecodeOptions;
use tidegate_devices::decode::{Format, TimeUnit};
use tidegate_record::{DEVICE_BYTES_MAX, valid_name};

/// Reads the section; `over_mqtt`: there is a topic to take the device out of.
pub(super) fn read(section: &mut Section<'_>, over_mqtt: bool, max_future: Duration) -> DecodeOptions {
    section.section("decode", |section| {
        let Some(format) = section.needed_word("format", &FORMATS) else {
            section.ignore();
            return DecodeOptions::default();
        };
        let mut options = DecodeOptions { format, max_future, ..DecodeOptions::default() };
        if over_mqtt {
            options.topic = section.text("topic");
        } else {
            section.not_here(&["topic"], "there is no topic on a serial line");
        }
        if let Some(reason) = options.topic.as_deref().and_then(|topic| template_problem(topic).err()) {
            section.problem("topic", reason);
        }
        match format {
            Format::Json => json(section, &mut options),
            Format::Csv => csv(section, &mut options),
            Format::Raw => {
                let why = "frames stay as they are with format = \"raw\": a codec finds what is in them";
                section.not_here(&[&JSON_ONLY[..], &CSV_ONLY, &["time_unit"]].concat(), why);
            }
        }
        if format != Format::Raw {
            options.time_unit = section.word("time_unit", "ms", &TIME_UNITS);
        }
        options.device_name = device_name(section);
        let from_topic = options.topic.as_deref().is_some_and(|topic| topic.contains("{device}"));
        let from_frame = options.device.is_some() || options.columns.iter().any(|column| column == "device");
        if !from_topic && !from_frame && options.device_name.is_none() {
            let path = section.path.clone();
            let remedy = "name it in device, topic, columns or device_name";
            section.context.problem_at(&path, format!("nothing says which device a reading is of: {remedy}"));
        }
        options
    })
}

const FORMATS: [(&str, Format); 3] = [("json", Format::Json), ("csv", Format::Csv), ("raw", Format::Raw)];
const JSON_ONLY: [&str; 5] = ["records", "device", "time", "numbers_in_text", "fields"];
const CSV_ONLY: [&str; 3] = ["columns", "delimiter", "comment"];

const TIME_UNITS: [(&str, TimeUnit); 4] =
    [("s", TimeUnit::Seconds), ("ms", TimeUnit::Millis), ("us", TimeUnit::Micros), ("rfc3339", TimeUnit::Rfc3339)];

fn json(section: &mut Section<'_>, options: &mut DecodeOptions) {
    section.not_here(&CSV_ONLY, "this is for format = \"csv\"");
    options.records = section.or("records", String::new());
    options.device = section.text("device");
    options.time = section.text("time");
    options.numbers_in_text = section.or("numbers_in_text", false);
    let pointers =
        [("records", Some(&options.records)), ("device", options.device.as_ref()), ("time", options.time.as_ref())];
    for (key, pointer) in pointers {
        if let Some(reason) = pointer.and_then(|pointer| pointer_problem(pointer)) {
            section.problem(key, reason);
        }
    }
    let field = |(name, value): (String, Value<'_>)| {
        let pointer: String = value.get()?;
        if let Some(reason) = pointer_problem(&pointer) {
            value.problem(reason);
        }
        Some((name, pointer))
    };
    options.fields = section.entries("fields").into_iter().filter_map(field).collect();
}

fn csv(section: &mut Section<'_>, options: &mut DecodeOptions) {
    section.not_here(&JSON_ONLY, "this is for format = \"json\"; csv has columns");
    options.columns = section.needed("columns").unwrap_or_default();
    let mut seen = HashSet::new();
    let twice = options.columns.iter().find(|column| !column.is_empty() && !seen.insert(column.as_str()));
    if let Some(column) = twice {
        section.problem("columns", format!("{column:?} is there twice"));
    }
    let delimiter = section.or("delimiter", ",".to_string());
    match character(&delimiter) {
        Some(Some(byte)) => options.delimiter = byte,
        _ => section.problem("delimiter", format!("{delimiter:?} is not one ASCII character")),
    }
    let comment = section.or("comment", "#".to_string());
    match character(&comment) {
        Some(byte) => options.comment = byte,
        None => section.problem("comment", format!("{comment:?} is not one ASCII character")),
    }
}

fn device_name(section: &mut Section<'_>) -> Option<String> {
    let name = section.or("device_name", String::new());
    if name.len() > DEVICE_BYTES_MAX || name.chars().any(|c| c.is_control() || c == '/') {
        let rule = format!("at most {DEVICE_BYTES_MAX} bytes without control characters and '/'");
        section.problem("device_name", format!("{name:?} is no device id: {rule}"));
    }
    Some(name).filter(|name| !name.is_empty())
}

/// `Some(None)` of an empty text, `None` of what is more than one ASCII character.
fn character(text: &str) -> Option<Option<u8>> {
    match text.as_bytes() {
        [] => Some(None),
        [byte] => Some(Some(*byte)),
        _ => None,
    }
}

fn pointer_problem(pointer: &str) -> Option<String> {
    let good = pointer.is_empty() || pointer.starts_with('/');
    (!good).then(|| format!("{pointer:?} is no JSON pointer: it begins with '/', such as \"/{pointer}\""))
}

/// The names a topic template takes out, or why it is none.
pub(super) fn template_problem(template: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for level in template.split('/') {
        let inside = level.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match inside {
            Some(name) if !valid_name(name) => return Err(format!("{{{name}}} in {template:?} is no name of a field")),
            Some(name) if names.iter().any(|seen| seen == name) => {
                return Err(format!("{{{name}}} is in {template:?} twice"));
            }
            Some(name) => names.push(name.to_string()),
            None if level.contains(['{', '}', '#']) || (level.contains('+') && level != "+") => {
                let rule = "each level is a text, \"+\" or \"{name}\"";
                return Err(format!("{level:?} in {template:?} is no level of a template: {rule}"));
            }
            None => {}
        }
    }
    Ok(names)
}
