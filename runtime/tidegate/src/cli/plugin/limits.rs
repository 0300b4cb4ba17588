//! `--limit OPTION=VALUE`: other limits than the default ones, by their names in a configuration's `[plugins]`.

use crate::author;
use crate::config;
use clap::Args;
use tidegate_sandbox::Limits;

/// What a plugin may use, where it is not the default.
#[derive(Debug, Args)]
pub struct LimitArgs {
    /// A limit as in [plugins], such as module_bytes=32MiB or call_time=1s; may be given again
    #[arg(long = "limit", value_name = "OPTION=VALUE", value_parser = limit)]
    limits: Vec<(String, String)>,
}

impl LimitArgs {
    /// The limits to run with.
    pub fn limits(&self) -> Limits {
        let limits = config::plugin_limits(&self.limits.iter().cloned().collect());
        let limits = limits.unwrap_or_else(|problem| unreachable!("each was read by itself: {problem}"));
        Limits { grants: author::limits().grants, ..limits }
    }
}

fn limit(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected OPTION=VALUE, such as module_bytes=32MiB")?;
    let limit = (name.to_string(), value.to_string());
    config::plugin_limits(&[limit.clone()].into()).map(|_| limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_a_configurations_are() {
        let args = |limits: &[&str]| limits.iter().map(|text| limit(text)).collect::<Result<_, _>>();
        let args = LimitArgs { limits: args(&["module_bytes=32MiB", "output_records=7", "call_time=1s"]).unwrap() };
        let limits = args.limits();
        assert_eq!((limits.module_bytes, limits.output_records, limits.call_time.as_millis()), (32 << 20, 7, 1000));
        assert_eq!(LimitArgs { limits: Vec::new() }.limits(), author::limits());
        assert_eq!(LimitArgs { limits: vec![limit("call_fuel=5000").unwrap()] }.limits().call_fuel, Some(5000));
        for (bad, part) in [
            ("memory_bytes", "expected OPTION=VALUE"),
            ("dir=x", "\"dir\" is none of call_fuel, call_time, faults_max, "),
            ("memory_bytes=1KiB", "plugins.memory_bytes: 1KiB is outside of 1MiB to 1GiB"),
            ("call_time=soon", "plugins.call_time: "),
            ("output_records=0", "plugins.output_records: 0 is outside of 1 to 10000000"),
        ] {
            let error = limit(bad).unwrap_err();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }
}
