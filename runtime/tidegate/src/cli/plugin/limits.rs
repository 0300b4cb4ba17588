//! `--limit OPTION=VALUE`: other limits than the default ones, by their names in a configuration's `[plugins]`.

use crate::author;
use crate::config::units::{parse_duration, parse_size};
use clap::Args;
use std::time::Duration;
use tidegate_sandbox::Limits;

/// What a plugin may use, where it is not the default.
#[derive(Debug, Args)]
pub struct LimitArgs {
    /// A limit as in [plugins], such as module_bytes=32MiB or call_time=1s; may be given again
    #[arg(long = "limit", value_name = "OPTION=VALUE", value_parser = limit)]
    limits: Vec<Limit>,
}

#[derive(Debug, Clone)]
enum Limit {
    CallTime(Duration),
    Instances(usize),
    Memories(usize),
    MemoryBytes(usize),
    ModuleBytes(usize),
    OutputBytes(usize),
    TableElements(usize),
}

impl LimitArgs {
    /// The limits to run with.
    pub fn limits(&self) -> Limits {
        let mut limits = author::limits();
        for limit in &self.limits {
            match *limit {
                Limit::CallTime(time) => limits.call_time = time,
                Limit::Instances(count) => limits.instances = count,
                Limit::Memories(count) => limits.memories = count,
                Limit::MemoryBytes(bytes) => limits.memory_bytes = bytes,
                Limit::ModuleBytes(bytes) => limits.module_bytes = bytes,
                Limit::OutputBytes(bytes) => limits.output_bytes = bytes,
                Limit::TableElements(count) => limits.table_elements = count,
            }
        }
        limits
    }
}

fn limit(text: &str) -> Result<Limit, String> {
    let (name, value) = text.split_once('=').ok_or("expected OPTION=VALUE, such as module_bytes=32MiB")?;
    let size = || parse_size(value).map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let count = || value.parse().map_err(|_| format!("{value:?} is no whole number"));
    match name {
        "call_time" => parse_duration(value).map(Limit::CallTime),
        "instances" => count().map(Limit::Instances),
        "memories" => count().map(Limit::Memories),
        "memory_bytes" => size().map(Limit::MemoryBytes),
        "module_bytes" => size().map(Limit::ModuleBytes),
        "output_bytes" => size().map(Limit::OutputBytes),
        "table_elements" => count().map(Limit::TableElements),
        _ => {
            let known = "call_time, instances, memories, memory_bytes, module_bytes, output_bytes, table_elements";
            Err(format!("{name:?} is none of {known}"))
        }
    }
}
