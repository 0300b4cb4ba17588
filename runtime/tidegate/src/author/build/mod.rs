//! From an author's folder to a component in it. Which language it is, the files there say.

mod c;
mod go;
mod rust;
mod script;
mod tool;
mod world;

use super::{Lang, place::place};
use std::path::{Path, PathBuf};

/// A plugin that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The component.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Builds the plugin in `folder` to `NAME.wasm` there. What a compiler says goes to standard error.
pub fn build(folder: &Path) -> Result<Built, String> {
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    let component = match Lang::of(&folder)? {
        Lang::Rust => rust::component(&folder)?,
        Lang::C => c::component(&folder)?,
        Lang::Wat => wat(&folder)?,
        Lang::Js => script::javascript(&folder)?,
        Lang::Python => script::python(&folder)?,
        Lang::Go => go::component(&folder)?,
    };
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let file = folder.join(format!("{name}.wasm"));
    place(&file, &component)?;
    Ok(Built { file, bytes: component.len() as u64 })
}

/// WebAssembly text of a core module with the contract's functions under their canonical names.
fn wat(folder: &Path) -> Result<Vec<u8>, String> {
    let file = folder.join(Lang::Wat.mark());
    let module = wat::parse_file(&file).map_err(|error| error.to_string())?;
    world::component(folder, module, None)
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}
