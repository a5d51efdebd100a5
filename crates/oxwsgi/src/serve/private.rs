//! The private directory of one run: the server's configuration, its runtime files and the scripts we write. It goes when
//! the command ends; what a killed run left behind goes when the next one starts.

#![forbid(unsafe_code)]

use std::env;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::problem::Problem;

const PREFIX: &str = "oxwsgi-serve-";

/// A socket's path has at most so many bytes (`unix(7)`).
const LONGEST_SOCKET: usize = 107;

/// Locked as long as its run lives; the kernel unlocks it whatever way the run ends.
const LOCK: &str = "lock";

/// A directory of our own below the temporary directory.
#[derive(Debug)]
pub struct Private {
    directory: TempDir,
    /// Holds the lock.
    _lock: File,
}

impl Private {
    /// Makes the directory, readable by others only by exact path, and removes those of runs that were killed.
    ///
    /// # Errors
    /// The temporary directory cannot be written.
    pub fn create() -> Result<Self, Problem> {
        let parent = env::temp_dir();
        remove_abandoned(&parent);
        Self::below(&parent).map_err(|error| {
            Problem::new(format!("No private directory can be made in {}: {error}", parent.display()))
                .cure("name a directory that can be written: TMPDIR=/tmp oxwsgi serve ...")
        })
    }

    fn below(parent: &Path) -> io::Result<Self> {
        let parent = fs::canonicalize(parent)?;
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::create(directory.path().join(LOCK))?;
        lock.lock()?;
        fs::create_dir(directory.path().join("htdocs"))?;
        // The user that runs the application must reach the scripts in it.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o711))?;
        fs::set_permissions(directory.path().join("htdocs"), Permissions::from_mode(0o755))?;
        Ok(Self { directory, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Finds out whether sockets can be made in it, with names up to `name`; whether the application can do without.
    ///
    /// # Errors
    /// Its path is too long for that.
    pub fn check_sockets(&self, name: &str, can_embed: bool) -> Result<(), Problem> {
        if self.path().as_os_str().len() + name.len() <= LONGEST_SOCKET {
            return Ok(());
        }
        let problem = Problem::new(format!(
            "The temporary directory {} has too long a path",
            env::temp_dir().display()
        ))
        .detail("The server reaches the application's processes by a socket in it, whose path is limited.")
        .cure("name another one: TMPDIR=/tmp oxwsgi serve ...");
        Err(match can_embed {
            true => problem.cure("run the application inside httpd: --embedded"),
            false => problem,
        })
    }

    /// Writes a file in it that everybody can read.
    ///
    /// # Errors
    /// The disk is full, for one.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Problem> {
        let path = self.path().join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)))
            .map_err(|error| Problem::new(format!("{} cannot be written: {error}", path.display())))?;
        Ok(path)
    }
}

/// Removes directories of ours whose run is gone. A failure is left to the next run: this one does not need them.
fn remove_abandoned(parent: &Path) {
    let own = geteuid().as_raw();
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let named =
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
        // Not followed: in a directory that all can write, a link could lead anywhere.
        let ours = || fs::symlink_metadata(&path).is_ok_and(|data| data.is_dir() && data.uid() == own);
        if named && ours() && File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_abandoned_directories_are_removed() {
        let parent = tempfile::tempdir().expect("a directory");
        let living = Private::below(parent.path()).expect("a private directory");
        let abandoned = parent.path().join("oxwsgi-serve-abandoned");
        fs::create_dir(&abandoned).expect("a directory");
        File::create(abandoned.join(LOCK)).expect("a lock");
        let foreign = parent.path().join("other");
        fs::create_dir(&foreign).expect("a directory");
        File::create(foreign.join(LOCK)).expect("a lock");
        remove_abandoned(parent.path());
        assert!(living.path().is_dir());
        assert!(!abandoned.exists());
        assert!(foreign.is_dir());
    }

    #[test]
    fn others_reach_files_by_exact_path_only() {
        let parent = tempfile::tempdir().expect("a directory");
        let private = Private::below(parent.path()).expect("a private directory");
        let file = private.write("script.wsgi", "").expect("a file");
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!((mode(private.path()), mode(&file)), (0o711, 0o644));
    }
}
