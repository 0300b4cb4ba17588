//! C, by clang, freestanding: no libc, no WASI.

use super::{read, tool::Tool, world};
use crate::author::Lang;
use std::path::Path;

/// Which is the first that will do is not known: the tests have 14.
const CLANG: Tool = Tool {
    name: "clang",
    beside: None,
    ask: &["--version"],
    least: None,
    remedy: "install clang and lld: apt-get install clang lld (Debian, Ubuntu)",
};
const LINKER: Tool = Tool { name: "wasm-ld", ..CLANG };

/// Contraction would be another rounding on machines that have it. The stack is below the data, so that one too deep
/// traps.
const FLAGS: &[&str] = &[
    "--target=wasm32",
    "-std=c11",
    "-O3",
    "-mbulk-memory",
    "-ffreestanding",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-nostdlib",
    "-Wall",
    "-Wextra",
    "-Wno-unused-function",
    "-Wl,--no-entry",
    "-Wl,--stack-first",
    "-Wl,-z,stack-size=65536",
    "-Wl,--strip-debug",
];

/// Builds `plugin.c` to a component.
pub fn component(folder: &Path) -> Result<Vec<u8>, String> {
    LINKER.command(folder)?;
    let work = tempfile::tempdir().map_err(|error| format!("a folder for the build: {error}"))?;
    let module = work.path().join("plugin.wasm");
    CLANG.run(CLANG.command(folder)?.args(FLAGS).arg("-o").arg(&module).arg(Lang::C.mark()))?;
    world::component(folder, read(&module)?, None)
}
