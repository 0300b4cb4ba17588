//! Go, by its own compiler. Its runtime imports WASI; `nothing.wat` takes WASI's place inside the component.

use super::{read, tool::Tool, world};
use std::path::Path;

/// The first that exports functions under a name of one's own.
const GO: Tool = Tool {
    name: "go",
    beside: None,
    ask: &["version"],
    least: Some((1, 24)),
    remedy: "install Go 1.24 or later (https://go.dev/dl; a distribution's may be older), first on the PATH",
};

/// Builds the module in `folder` to a component.
pub fn component(folder: &Path) -> Result<Vec<u8>, String> {
    let work = tempfile::tempdir().map_err(|error| format!("a folder for the build: {error}"))?;
    let module = work.path().join("plugin.wasm");
    let mut go = GO.command(folder)?;
    go.env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOFLAGS", "").env("GOWORK", "off");
    // A Go that is too old says so, and fetches no other.
    go.env("GOTOOLCHAIN", "local");
    go.args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-o"]);
    GO.run(go.arg(&module).arg("."))?;
    let nothing = wat::parse_str(include_str!("nothing.wat")).map_err(|error| error.to_string())?;
    world::component(folder, read(&module)?, Some(("wasi_snapshot_preview1", &nothing)))
}
