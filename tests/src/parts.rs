//! Where the built binaries and the real parts are.

use std::path::{Path, PathBuf};

/// The target folder this test was built into.
pub fn target() -> PathBuf {
    built().parent().expect("the target folder").to_path_buf()
}

/// The gateway's binary, built by `cargo build --workspace`.
pub fn gateway_binary() -> PathBuf {
    there(built().join("tidegate"), "cargo build -p tidegate")
}

/// The folder of the built plugins.
pub fn plugins() -> PathBuf {
    there(target().join("plugins"), "cargo xtask plugins")
}

/// The folder of Kafka's jars.
pub fn kafka_libs() -> PathBuf {
    there(target().join("kafka/libs"), "cargo xtask setup")
}

/// The proxy with the faults of a network.
pub fn toxiproxy() -> PathBuf {
    there(target().join("tools/toxiproxy-2.5.0/server"), "cargo xtask setup")
}

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// `target/debug`: where the running binary is, or above `deps` for a test.
fn built() -> PathBuf {
    let exe = std::env::current_exe().expect("the path of this test");
    let folder = exe.parent().expect("a folder");
    if folder.ends_with("deps") { folder.parent().expect("a folder").into() } else { folder.into() }
}

fn there(path: PathBuf, remedy: &str) -> PathBuf {
    assert!(path.exists(), "{} is not there: run `{remedy}`", path.display());
    path
}
