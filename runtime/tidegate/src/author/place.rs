//! Putting a file in its place, all of it or nothing.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes `bytes` to `file`, which afterwards is what it was or the whole of them, over a power cut too.
pub(super) fn place(file: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut temporary = tempfile::Builder::new().prefix(".tidegate-").permissions(mode()).tempfile_in(folder)?;
        temporary.write_all(bytes)?;
        temporary.as_file().sync_all()?;
        temporary.persist(file).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| format!("{}: cannot be written: {error}", file.display()))
}

/// A plugin is read by the gateway, which may run as another user; the process's umask takes its share.
fn mode() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::Permissions::from_mode(0o644)
}
