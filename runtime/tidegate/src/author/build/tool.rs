//! Programs of other people that a build runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program, where it may lie beside a plugin, and what brings it.
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// A folder such as `node_modules/.bin`, looked for before the PATH: in the plugin's folder and those around it up
    /// to the repository's. What lies further out is of others.
    pub beside: Option<&'static str>,
    /// What has it tell its version; empty: it does not.
    pub ask: &'static [&'static str],
    /// The first version that will do, where that is known.
    pub least: Option<Version>,
    /// The command that installs it.
    pub remedy: &'static str,
}

/// Major and minor.
type Version = (u32, u32);

impl Tool {
    /// Where it is.
    fn find(&self, folder: &Path) -> Result<PathBuf, String> {
        let beside = self.beside.iter().flat_map(|beside| within(folder).map(move |above| above.join(beside)));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = beside.chain(std::env::split_paths(&path)).map(|place| place.join(self.name));
        all.into_iter()
            .find(|file| file.is_file())
            .ok_or_else(|| format!("{} is not there: {}", self.name, self.remedy))
    }

    /// The program, to be run in the plugin's folder; what it says goes to standard error. One that is known to be too old is
    /// refused.
    pub fn command(&self, folder: &Path) -> Result<Command, String> {
        let program = self.find(folder)?;
        if let (Some(least), Some(told)) = (self.least, self.told(&program))
            && let Some(found) = version(&told)
            && found < least
        {
            let (major, minor) = least;
            let (name, place) = (self.name, program.display());
            return Err(format!(
                "{place} says {told:?}, and {name} {major}.{minor} or later is needed: {}",
                self.remedy
            ));
        }
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command of it; what it says is shown.
    pub fn run(&self, command: &mut Command) -> Result<(), String> {
        let program = PathBuf::from(command.get_program());
        // Standard output is for what `plugin build` itself says.
        let output = command.stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("{} does not start: {error}", program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        eprint!("{}", String::from_utf8_lossy(&output.stdout));
        let told = self.told(&program).map(|told| format!(" ({told})")).unwrap_or_default();
        Err(format!("it does not build: {}{told} ended with {}", program.display(), output.status))
    }

    /// The first line it answers when asked for its version.
    fn told(&self, program: &Path) -> Option<String> {
        if self.ask.is_empty() {
            return None;
        }
        let mut command = Command::new(program);
        // Go would fetch another of its versions to answer.
        let output = command.args(self.ask).env("GOTOOLCHAIN", "local").stdin(Stdio::null()).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines().next().filter(|_| output.status.success()).map(|line| line.trim().to_string())
    }
}

/// The first number with a point in a line such as `go version go1.26.8 linux/amd64`.
fn version(line: &str) -> Option<Version> {
    let mut words = line.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.find_map(|word| {
        let mut parts = word.split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    })
}

/// A plugin's folder, and those around it that are of the same repository; without one, it alone.
fn within(folder: &Path) -> impl Iterator<Item = &Path> {
    let root = folder.ancestors().position(|above| above.join(".git").exists());
    folder.ancestors().take(root.unwrap_or(0) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_lies_within_the_repository_of_its_plugin_or_on_the_path() {
        let tool = Tool { name: "tidegate-tool", beside: Some(".bin"), ask: &[], least: None, remedy: "make it" };
        let outer = tempfile::tempdir().unwrap();
        let plugin = outer.path().join("repository/plugins/warm");
        let place = |folder: &Path| {
            std::fs::create_dir_all(folder.join(".bin")).unwrap();
            std::fs::write(folder.join(".bin/tidegate-tool"), "").unwrap();
            folder.join(".bin/tidegate-tool")
        };
        std::fs::create_dir_all(&plugin).unwrap();
        place(outer.path());
        let shared = place(&outer.path().join("repository"));
        assert_eq!(tool.find(&plugin), Err("tidegate-tool is not there: make it".into()), "nobody says it is theirs");
        std::fs::create_dir(outer.path().join("repository/.git")).unwrap();
        assert_eq!(tool.find(&plugin), Ok(shared));
        let own = place(&plugin);
        assert_eq!(tool.find(&plugin), Ok(own));
    }

    #[test]
    fn a_tool_that_is_too_old_says_what_it_is_and_what_is_needed() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidegate-go");
        std::fs::write(&file, "#!/bin/sh\necho go version go1.23.12 linux/amd64\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let of = |least| Tool { name: "tidegate-go", beside: Some("."), ask: &["version"], least, remedy: "get it" };
        let refused = of(Some((1, 24))).command(folder.path()).map(|_| ()).unwrap_err();
        let told = "says \"go version go1.23.12 linux/amd64\", and tidegate-go 1.24 or later is needed: get it";
        assert!(refused.ends_with(told), "{refused}");
        for least in [None, Some((1, 23)), Some((1, 9)), Some((0, 99))] {
            assert!(of(least).command(folder.path()).is_ok(), "{least:?}");
        }
    }

    #[test]
    fn versions_are_found_in_what_tools_say() {
        let told = [
            ("go version go1.26.8 linux/amd64", Some((1, 26))),
            ("go version devel go1.27-0123abc", Some((1, 27))),
            ("v20.20.2", Some((20, 20))),
            ("Debian clang version 14.0.6", Some((14, 0))),
            ("componentize-py 0.25.1", Some((0, 25))),
            ("4 or so.", None),
        ];
        told.into_iter().for_each(|(line, expected)| assert_eq!(version(line), expected, "{line}"));
    }
}
