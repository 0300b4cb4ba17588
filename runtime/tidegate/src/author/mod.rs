//! What a plugin's author does: begin one, build it, try it, measure it, look into it.

mod bench;
mod build;
mod cases;
mod help;
mod inspect;
mod lang;
mod lines;
mod new;
mod place;
#[cfg(feature = "oci")]
mod registry;
mod sign;
mod slots;
mod templates;
mod trials;

pub use bench::{BenchOptions, Measured, bench};
pub use build::{Built, build};
pub use cases::{Case, Cases};
pub use help::explained;
pub use inspect::{FieldSaid, Inspected, Parameter, form, inspect, read_fields};
pub use lang::Lang;
pub use lines::{Counted, LinesOptions, lines};
pub use new::{NewOptions, new};
#[cfg(feature = "oci")]
pub use registry::{Place, PullOptions, Pulled, pull, push, within};
pub use sign::{keygen, sign, verify, verify_with};
pub use trials::{Verdict, run};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_sandbox::{Compiler, Engine, EngineOptions, Grants, Limits, Plugin};

/// The limits a configuration has by default, and all it may grant.
pub fn limits() -> Limits {
    Limits { grants: Grants::all(), ..Limits::default() }
}

/// Loads a plugin as the gateway does: one made to choke the compiler costs only a child of this process. Fuel is counted
/// where it is limited.
pub fn load(file: &Path, limits: &Limits) -> Result<Arc<Plugin>, String> {
    load_with(file, limits, limits.call_fuel.is_some())
}

/// The same, with fuel counted.
pub fn load_counting(file: &Path, limits: &Limits) -> Result<Arc<Plugin>, String> {
    load_with(file, limits, true)
}

fn load_with(file: &Path, limits: &Limits, fuel: bool) -> Result<Arc<Plugin>, String> {
    let temporary = tempfile::tempdir().map_err(|error| format!("no temporary folder to compile in: {error}"))?;
    let exe = std::env::current_exe().map_err(|e| format!("this program's own file cannot be found: {e}"))?;
    let compiler = Compiler::Child { exe, args: vec!["compile-plugin".into()] };
    let options =
        EngineOptions { cache_dir: Some(temporary.path().into()), compiler, fuel, ..EngineOptions::default() };
    let engine = Engine::new(options).map_err(|error| error.to_string())?;
    engine.load(file, limits).map_err(|error| error.to_string())
}

/// The plugin a person means: a file, or the one in a folder, which is named like its folder.
pub fn file_of(path: &Path) -> Result<PathBuf, String> {
    if path.is_file() {
        return Ok(path.into());
    }
    let folder = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let found = ["wasm", "wat"].map(|extension| folder.join(format!("{name}.{extension}")));
    found.into_iter().find(|file| file.is_file()).ok_or_else(|| {
        let remedy = "build it first: tidegate plugin build";
        format!("{}: there is neither {name}.wasm nor {name}.wat; {remedy} {}", path.display(), path.display())
    })
}
