//! A plugin of the person's own, in a pipeline of its own beside those of config/quickstart.toml.

use crate::options::Options;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tidegate_tests::parts;

/// The path its results are delivered to, and the names of its stream, pipeline and sink.
pub const PATH: &str = "/mine";
/// The window of an aggregate, where none is asked for.
const WINDOW: &str = "5s";
/// What plugins that bring a large runtime along need; `plugins/README.md` says which.
const LIMITS: [(&str, &str); 3] = [("module_bytes", "32MiB"), ("instances", "64"), ("memory_bytes", "64MiB")];

/// The plugin, and what the configuration says of it.
pub struct Own {
    /// What the operator names it by: its file without an extension.
    pub name: String,
    file: PathBuf,
    /// The pipeline's part of a configuration.
    pub section: String,
}

impl Own {
    /// Asks the gateway's command line what the plugin is. The error is a sentence.
    pub fn of(options: &Options) -> Result<Option<Own>, String> {
        let Some(path) = &options.plugin else { return Ok(None) };
        let mut inspect = Command::new(parts::gateway_binary());
        inspect.args(["plugin", "inspect", "--json"]).arg(path);
        inspect.args(LIMITS.iter().flat_map(|(name, value)| ["--limit".to_string(), format!("{name}={value}")]));
        let output = inspect.output().map_err(|error| format!("the gateway does not start: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(said.trim().trim_start_matches("tidegate: ").to_string());
        }
        let plugin: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let file = PathBuf::from(plugin["file"].as_str().unwrap_or_default());
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let section = section(&name, &plugin, options)?;
        Ok(Some(Own { name, file, section }))
    }

    /// Puts the plugins that ship and this one into `folder`. This one is linked to, so that what `plugin build` makes of it
    /// is there at once.
    pub fn link(&self, folder: &Path) -> Result<(), String> {
        let at = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir(folder).map_err(at)?;
        for shipped in fs::read_dir(parts::plugins()).map_err(at)? {
            let shipped = shipped.map_err(at)?;
            if Path::new(&shipped.file_name()).file_stem() == Some(self.name.as_ref()) {
                let name = &self.name;
                return Err(format!("a plugin that ships is called {name:?} too: give yours another name"));
            }
            symlink(shipped.path(), folder.join(shipped.file_name())).map_err(at)?;
        }
        symlink(&self.file, folder.join(self.file.file_name().unwrap_or_default())).map_err(at)
    }

    /// The quickstart's configuration with the plugin in it; a file of it that changes takes the place of what runs.
    pub fn configuration(&self, quickstart: &str) -> String {
        let limits: String = LIMITS.iter().map(|(name, value)| format!("{name} = {}\n", limit(value))).collect();
        let plugins = format!("\n[plugins]\non_change = \"swap\"\n{limits}");
        format!("{}\n{}", quickstart.replacen("\n[plugins]\n", &plugins, 1), self.section)
    }
}

fn limit(value: &str) -> String {
    if value.ends_with('B') { format!("{value:?}") } else { value.into() }
}

/// A stream, a pipeline with the plugin, and a sink.
fn section(name: &str, plugin: &Value, options: &Options) -> Result<String, String> {
    let kind = plugin["kind"].as_str().unwrap_or_default();
    let imports: Vec<&str> = plugin["imports"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if kind == "codec" {
        return Err(format!(
            "{name} is a codec, and the demo's devices send what the gateway decodes itself: try it on lines, \
             `tidegate plugin test --source …`"
        ));
    }
    if imports.contains(&"lookup") {
        return Err(format!(
            "{name} looks tables up, and the demo has none: try it with the tables of its cases, `tidegate plugin test`"
        ));
    }
    let mut operator = format!("{kind} = \"{name}\"\n");
    if let Some(params) = &options.params {
        operator += &format!("params = {}\n", table(params)?);
    }
    match (&options.window, kind) {
        (window, "aggregate") => {
            let size = window.as_deref().unwrap_or(WINDOW);
            operator += &format!("window = {{ tumbling = \"{size}\", lateness = \"2s\", idle = \"5s\" }}\n");
        }
        (Some(_), _) => return Err(format!("{name} is a {kind}, and only an aggregate has a window")),
        (None, _) => {}
    }
    if !imports.is_empty() {
        operator += &format!("grant = {imports:?}\n");
    }
    Ok(format!(
        "[streams.mine]\nmax_bytes = \"16MiB\"\n\n[pipelines.mine]\nfrom = [\"readings\"]\nto = \"mine\"\n\
         [[pipelines.mine.operators]]\n{operator}\n[sinks.mine]\ntype = \"http\"\nfrom = \"mine\"\n\
         url = \"${{TIDEGATE_UPSTREAM:-http://127.0.0.1:9781}}{PATH}\"\nbackoff_max = \"5s\"\n"
    ))
}

/// Parameters as TOML has them: an object of JSON is made an inline table, for other commands take that.
fn table(params: &str) -> Result<String, String> {
    if let Ok(object @ Value::Object(_)) = serde_json::from_str(params) {
        let table = toml::Value::try_from(object).map_err(|error| format!("--params {params}: {error}"))?;
        return Ok(table.to_string());
    }
    match params.trim_start().starts_with('{') && !params.contains('\n') {
        true => Ok(params.into()),
        false => Err(format!("--params {params}: what a configuration has is meant, such as '{{ above = 20.0 }}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_as_in_a_configuration_and_as_on_the_command_line() {
        assert_eq!(table("{ above = 20.0 }").unwrap(), "{ above = 20.0 }");
        let json = r#"{"above":20.5,"fields":["temp","hum"],"site":{"name":"a \"b\""}}"#;
        let made: toml::Table = toml::from_str(&format!("params = {}", table(json).unwrap())).unwrap();
        assert_eq!(serde_json::json!(made["params"]), serde_json::from_str::<Value>(json).unwrap());
        assert!(table("above = 20.0").unwrap_err().contains("such as '{ above = 20.0 }'"));
    }

    /// The gateway's own check says so of a plugin of each kind that fits, under another name.
    #[test]
    fn a_plugin_of_every_kind_has_a_configuration_that_is_sound() {
        let quickstart = fs::read_to_string(parts::root().join("config/quickstart.toml")).unwrap();
        let field = r#"{"field":"temp","above":20}"#;
        let (scale, score) = (r#"{ field = "temp", factor = 2.0 }"#, r#"{ field = "temp" }"#);
        let kinds = [("threshold", field), ("scale", scale), ("zscore", score), ("stats", r#"{ fields = ["hum"] }"#)];
        // One store, and with it one cache of compiled plugins.
        let store = tempfile::tempdir().unwrap();
        for (shipped, params) in kinds {
            let folder = tempfile::tempdir().unwrap();
            let plugin = folder.path().join(format!("my-{shipped}.wasm"));
            fs::copy(parts::plugins().join(format!("{shipped}.wasm")), &plugin).unwrap();
            let options = Options { plugin: Some(plugin), params: Some(params.into()), ..Options::default() };
            let own = Own::of(&options).unwrap().unwrap();
            own.link(&folder.path().join("plugins")).unwrap();
            let file = folder.path().join("demo.toml");
            fs::write(&file, own.configuration(&quickstart)).unwrap();
            let mut check = Command::new(parts::gateway_binary());
            check.arg("check").arg(&file).env("TIDEGATE_PLUGINS", folder.path().join("plugins"));
            let said = check.env("TIDEGATE_STORE", store.path()).output().unwrap();
            let (out, error) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
            assert!(out.contains("3 pipelines, 3 sinks") && error.is_empty(), "{shipped}: {out}{error}");
        }
    }

    #[test]
    fn what_cannot_be_in_the_demo_is_told_with_what_to_do() {
        let of = |name: &str, window: Option<&str>| {
            let plugin = Some(parts::plugins().join(name));
            let options = Options { plugin, window: window.map(String::from), ..Options::default() };
            Own::of(&options).map(|own| own.map(|own| own.link(&tempfile::tempdir().unwrap().path().join("plugins"))))
        };
        let told = |name, window| of(name, window).err().unwrap_or_default();
        assert!(told("ruuvi.wasm", None).contains("try it on lines"));
        assert!(told("enrich.wasm", None).contains("with the tables of its cases"));
        assert!(told("scale.wasm", Some("5s")).contains("scale is a transform, and only an aggregate has a window"));
        assert!(told("nothing.wasm", None).contains("nothing.wasm"));
        let clash = of("stats.wasm", None).unwrap().unwrap().unwrap_err();
        assert!(clash.contains("give yours another name"), "{clash}");
    }
}
