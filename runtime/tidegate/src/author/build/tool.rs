//! Programs of other people that a build runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program, where it may lie in a plugin's folder or one around it, and what brings it.
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// A folder such as `node_modules/.bin`, looked for before the PATH.
    pub beside: Option<&'static str>,
    /// The command that installs it.
    pub remedy: &'static str,
}

impl Tool {
    /// Where it is.
    fn find(&self, folder: &Path) -> Result<PathBuf, String> {
        let beside = self.beside.iter().flat_map(|beside| folder.ancestors().map(move |above| above.join(beside)));
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
