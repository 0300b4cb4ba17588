//! A component of a core module, by the world in the plugin's folder `wit`: in process, no tool to install.

use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The folder with the world a plugin is made for, and the world's name in it.
pub const FOLDER: &str = "wit";
/// Its name there.
pub const NAME: &str = "plugin";

/// Makes a component of `module`, which exports the functions of the world under their canonical names. `adapter` stands
/// in for the imports of that name, and becomes a part of the component.
pub fn component(folder: &Path, mut module: Vec<u8>, adapter: Option<(&str, &[u8])>) -> Result<Vec<u8>, String> {
    let wit = folder.join(FOLDER);
    let mut resolve = Resolve::default();
    let world = resolve
        .push_dir(&wit)
        .and_then(|(package, _)| resolve.select_world(&[package], Some(NAME)))
        .map_err(|error| format!("{}: {error:#}", wit.display()))?;
    let encoded = embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).and_then(|()| {
        let mut encoder = ComponentEncoder::default();
        encoder.validate(true).module(&module)?;
        if let Some((name, bytes)) = adapter {
            encoder.adapter(name, bytes)?;
        }
        encoder.encode()
    });
    encoded.map_err(|error| {
        let remedy = "does it export what wit/world.wit says, and import nothing else?";
        format!("{}: makes no component ({remedy}): {error:#}", folder.display())
    })
}
