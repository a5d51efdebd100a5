//! Watches the Python files of the project for `--reload`.
//!
//! Directories are watched one by one, because a project's folder often holds a virtual environment or `node_modules`
//! with more directories than the kernel will watch.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use walkdir::{DirEntry, WalkDir};

use crate::problem::Problem;

/// An editor or a checkout writes several files; the application starts anew when they have all been written.
const QUIET: Duration = Duration::from_millis(120);

/// The longest wait for that.
const PATIENCE: Duration = Duration::from_secs(1);

/// What happened in the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file that counts was written, made, moved or removed.
    File(PathBuf),
    /// There is a new directory.
    Directory(PathBuf),
}

/// Watches a project.
#[derive(Debug)]
pub struct Watcher {
    inner: RecommendedWatcher,
}

impl Watcher {
    /// Watches `project`, and the own directory of a script of the user's; `tell` is called on the watcher's thread.
    ///
    /// # Errors
    /// The kernel watches no more directories.
    pub fn start(
        project: &Path,
        script: Option<&Path>,
        tell: impl Fn(Change) + Send + 'static,
    ) -> Result<Self, Problem> {
        let script_path = script.map(Path::to_path_buf);
        let handler = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            for path in &event.paths {
                change(event.kind, path, script_path.as_deref()).into_iter().for_each(&tell);
            }
        };
        let inner = notify::recommended_watcher(handler)
            .map_err(|error| Problem::new(format!("Files cannot be watched for --reload: {error}")))?;
        let mut watcher = Self { inner };
        watcher.add(project)?;
        if let Some(directory) = script.and_then(Path::parent) {
            watcher.add_one(directory)?;
        }
        Ok(watcher)
    }

    /// Watches `directory` and what is below it.
    ///
    /// # Errors
    /// The kernel watches no more directories.
    pub fn add(&mut self, directory: &Path) -> Result<(), Problem> {
        let walk = WalkDir::new(directory).into_iter();
        let relevant = walk.filter_entry(|entry| entry.depth() == 0 || is_project_directory(entry));
        for entry in relevant.filter_map(Result::ok) {
            if entry.file_type().is_dir() {
                self.add_one(entry.path())?;
            }
        }
        Ok(())
    }

    fn add_one(&mut self, directory: &Path) -> Result<(), Problem> {
        match self.inner.watch(directory, RecursiveMode::NonRecursive) {
            // It went again while we looked.
            Err(_) if !directory.is_dir() => Ok(()),
            Err(error) => {
                Err(Problem::new(format!("{} cannot be watched for --reload: {error}", directory.display()))
                    .cure("allow more watches: sysctl fs.inotify.max_user_watches=524288")
                    .cure("run without --reload"))
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Directories with sources of the project; not those with what was installed, built or cached.
fn is_project_directory(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    entry.file_type().is_dir()
        && !name.starts_with('.')
        && !matches!(name.as_ref(), "__pycache__" | "node_modules" | "site-packages")
        && !entry.path().join("pyvenv.cfg").exists()
}

fn change(kind: EventKind, path: &Path, script: Option<&Path>) -> Option<Change> {
    let written = match kind {
        EventKind::Create(CreateKind::Folder) => return Some(Change::Directory(path.to_path_buf())),
        EventKind::Create(_) | EventKind::Remove(_) => true,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Name(_) | ModifyKind::Any) => true,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        _ => false,
    };
    let name = path.file_name()?.to_string_lossy();
    let counts = Some(path) == script
        || (!name.starts_with('.') && (name.ends_with(".py") || name.ends_with(".wsgi")));
    if written && counts {
        return Some(Change::File(path.to_path_buf()));
    }
    // A directory that was moved here.
    (matches!(kind, EventKind::Modify(ModifyKind::Name(_))) && path.is_dir())
        .then(|| Change::Directory(path.to_path_buf()))
}

/// Changes that have not been acted on.
#[derive(Debug, Default)]
pub struct Pending {
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    path: PathBuf,
    first: Instant,
    last: Instant,
}

impl Pending {
    /// Notes a change of `path` at `now`.
    pub fn add(&mut self, path: PathBuf, now: Instant) {
        let first = self.seen.as_ref().map_or(now, |seen| seen.first);
        self.seen = Some(Seen { path, first, last: now });
    }

    /// When to act, if nothing else changes.
    pub fn due(&self) -> Option<Instant> {
        self.seen.as_ref().map(|seen| (seen.last + QUIET).min(seen.first + PATIENCE))
    }

    /// The last changed file, once it is time to act.
    pub fn take(&mut self, now: Instant) -> Option<PathBuf> {
        if self.due()? > now {
            return None;
        }
        self.seen.take().map(|seen| seen.path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;

    use notify::event::{DataChange, MetadataKind};

    use super::*;

    #[test]
    fn python_files_and_the_script_count() {
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let script = Some(Path::new("/srv/run"));
        for path in ["/srv/a.py", "/srv/b.wsgi", "/srv/run"] {
            assert_eq!(change(written, Path::new(path), script), Some(Change::File(PathBuf::from(path))));
        }
        for path in ["/srv/.#a.py", "/srv/a.pyc", "/srv/log.txt", "/srv/a.py~"] {
            assert_eq!(change(written, Path::new(path), script), None, "{path}");
        }
        let read = EventKind::Access(AccessKind::Read);
        let mode = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        assert_eq!(change(read, Path::new("/srv/a.py"), script), None);
        assert_eq!(change(mode, Path::new("/srv/a.py"), script), None);
    }

    #[test]
    fn several_changes_are_one() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        pending.add(PathBuf::from("a.py"), now);
        pending.add(PathBuf::from("b.py"), now + QUIET / 2);
        assert_eq!(pending.take(now + QUIET), None);
        assert_eq!(pending.take(now + QUIET * 2), Some(PathBuf::from("b.py")));
        assert_eq!(pending.take(now + QUIET * 2), None);
    }

    #[test]
    fn a_project_is_watched_without_its_virtual_environment() {
        let project = tempfile::tempdir().expect("a directory");
        let root = project.path();
        for directory in ["shop/web", "venv/lib", ".git"] {
            fs::create_dir_all(root.join(directory)).expect("a directory");
        }
        fs::write(root.join("venv/pyvenv.cfg"), "").expect("a file");
        let (tell, told) = mpsc::channel();
        let script = root.join("app.py");
        let watcher = Watcher::start(root, Some(&script), move |change| {
            let _ = tell.send(change);
        });
        let _watcher = watcher.expect("a watcher");
        fs::write(root.join("venv/lib/installed.py"), "").expect("a file");
        fs::write(root.join(".git/hook.py"), "").expect("a file");
        fs::write(root.join("shop/web/views.py"), "").expect("a file");
        let first = told.recv_timeout(Duration::from_secs(5)).expect("a change");
        assert_eq!(first, Change::File(root.join("shop/web/views.py")));
    }
}
