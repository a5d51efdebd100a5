//! The runtime's files: which there are beside the server's module, and which one fits a Python.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::answer::Python;
use super::error::Reason;
use crate::os::{Obstacle, Step};

/// The runtime's files in one folder.
#[derive(Clone, Debug)]
pub struct RuntimeFiles {
    folder: PathBuf,
    found: Vec<PathBuf>,
}

const PREFIX: &str = "oxwsgi_runtime";
/// As installed.
const STABLE: &str = "oxwsgi_runtime.abi3.so";
/// As cargo builds it.
const BUILT: &str =
    if cfg!(target_os = "macos") { "liboxwsgi_runtime.dylib" } else { "liboxwsgi_runtime.so" };

impl RuntimeFiles {
    /// What is in `folder` now.
    pub fn beside(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let is_ours = |name: &OsStr| {
            name == BUILT
                || (name.as_bytes().starts_with(PREFIX.as_bytes()) && name.as_bytes().ends_with(b".so"))
        };
        let found = entries.filter(|entry| is_ours(&entry.file_name())).map(|entry| entry.path()).collect();
        Self { folder: folder.to_owned(), found }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// As C text, for the account to try.
    pub(super) fn names(&self) -> Vec<CString> {
        // A path from the file system holds no NUL.
        self.found
            .iter()
            .filter_map(|path| CString::new(path.clone().into_os_string().into_vec()).ok())
            .collect()
    }

    /// The file for `python`. `obstacles` say which ones the account could not read.
    pub(super) fn choose(&self, python: &Python, obstacles: Vec<Obstacle>) -> Result<PathBuf, Reason> {
        let specific = format!("{PREFIX}{}", python.extension_suffix);
        // A free-threaded Python has no stable ABI, and any other one needs nothing but that.
        let names = if python.is_free_threaded() { vec![specific.as_str()] } else { vec![STABLE, BUILT] };
        let fits =
            |name: &&str| self.found.iter().position(|path| path.file_name() == Some(OsStr::new(name)));
        let Some(index) = names.iter().find_map(fits) else {
            return Err(Reason::NoRuntime {
                looked: names.iter().map(|name| self.folder.join(name)).collect(),
            });
        };
        let file = self.found[index].clone();
        match obstacles.into_iter().find(|obstacle| obstacle.step == Step::Read(index)) {
            Some(obstacle) => {
                Err(Reason::UnreadableRuntime { file, reason: obstacle.reason, folder: obstacle.folder })
            }
            None => Ok(file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> RuntimeFiles {
        let folder = PathBuf::from("/m");
        RuntimeFiles { found: names.iter().map(|name| folder.join(name)).collect(), folder }
    }

    fn python(tag: &str) -> Python {
        Python {
            executable: "/p/bin/python3".into(),
            version: (3, 13, 0),
            library: None,
            extension_suffix: format!(".cpython-{tag}-x86_64-linux-gnu.so"),
        }
    }

    #[test]
    fn the_installed_file_wins_over_the_built_one() {
        let both = files(&[BUILT, STABLE]);
        assert_eq!(both.choose(&python("313"), Vec::new()).unwrap(), Path::new("/m").join(STABLE));
        let built = files(&[BUILT]);
        assert_eq!(built.choose(&python("313"), Vec::new()).unwrap(), Path::new("/m").join(BUILT));
    }

    #[test]
    fn a_free_threaded_python_takes_its_own_file_only() {
        let own = "oxwsgi_runtime.cpython-313t-x86_64-linux-gnu.so";
        let both = files(&[STABLE, own]);
        assert_eq!(both.choose(&python("313t"), Vec::new()).unwrap(), Path::new("/m").join(own));
        match files(&[STABLE]).choose(&python("313t"), Vec::new()) {
            Err(Reason::NoRuntime { looked }) => assert_eq!(looked, [Path::new("/m").join(own)]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_unreadable_file_is_told() {
        let refused = Obstacle {
            step: Step::Read(0),
            reason: std::io::Error::from_raw_os_error(libc::EACCES),
            folder: None,
        };
        let result = files(&[STABLE]).choose(&python("313"), vec![refused]);
        assert!(matches!(result, Err(Reason::UnreadableRuntime { .. })));
    }
}
