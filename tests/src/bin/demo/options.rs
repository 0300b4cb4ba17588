//! What the demo is told.

use std::path::PathBuf;
use std::time::Duration;

const USAGE: &str = "usage: demo [--seconds N] [--plugin PATH [--params PARAMS] [--window DURATION]], N at least 20";

/// How it is to run.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// End by itself, with an outage of the upstream in the middle.
    pub seconds: Option<Duration>,
    /// A plugin of the person's own: its file, or its folder.
    pub plugin: Option<PathBuf>,
    /// Its parameters: an inline table of TOML, as in a configuration, or an object of JSON.
    pub params: Option<String>,
    /// The window of an aggregate.
    pub window: Option<String>,
}

impl Options {
    /// Reads the command line; the error is how it is to be.
    pub fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, &'static str> {
        let mut options = Options::default();
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match name.as_str() {
                "--seconds" => match value.parse() {
                    Ok(number @ 20..=86_400) => options.seconds = Some(Duration::from_secs(number)),
                    _ => return Err(USAGE),
                },
                "--plugin" => options.plugin = Some(value.into()),
                "--params" => options.params = Some(value),
                "--window" => options.window = Some(value),
                _ => return Err(USAGE),
            }
        }
        let tells_a_plugin = options.params.is_some() || options.window.is_some();
        if tells_a_plugin && options.plugin.is_none() { Err(USAGE) } else { Ok(options) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_answered_with_what_there_is() {
        let read = |line: &str| Options::read(line.split_whitespace().map(String::from));
        let plugin = Options { plugin: Some("warm".into()), window: Some("5s".into()), ..Options::default() };
        assert_eq!(read("--plugin warm --window 5s"), Ok(plugin));
        assert_eq!(read("--seconds 30").map(|options| options.seconds), Ok(Some(Duration::from_secs(30))));
        for wrong in ["--seconds 5", "--seconds", "--params {}", "--window 5s", "--plugins x", "x"] {
            assert_eq!(read(wrong), Err(USAGE), "{wrong}");
        }
    }
}
