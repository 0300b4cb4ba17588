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
    /// The command that installs it.
    pub remedy: &'static str,
}

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

    /// The program, to be run in the plugin's folder; what it says goes to standard error.
    pub fn command(&self, folder: &Path) -> Result<Command, String> {
        let mut command = Command::new(self.find(folder)?);
        command.current_dir(folder).stdin(Stdio::null());
        Ok(command)
    }
}

/// A plugin's folder, and those around it that are of the same repository; without one, it alone.
fn within(folder: &Path) -> impl Iterator<Item = &Path> {
    let root = folder.ancestors().position(|above| above.join(".git").exists());
    folder.ancestors().take(root.unwrap_or(0) + 1)
}

/// Runs a command; what it says is shown.
pub fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    // Standard output is for what `plugin build` itself says.
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("{program} does not start: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            eprint!("{}", String::from_utf8_lossy(&output.stdout));
            Err(format!("it does not build: {program} ended with {}", output.status))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_lies_within_the_repository_of_its_plugin_or_on_the_path() {
        let tool = Tool { name: "tidegate-tool", beside: Some(".bin"), remedy: "make it" };
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
}
