//! `script-user` and `script-group`: a group runs scripts of one owner only, and nobody else can have changed them.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use oxwsgi_core::config::ScriptOwner;
use oxwsgi_core::report::Number;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Why a script does not run in its group.
#[derive(Debug, thiserror::Error)]
pub enum Offence {
    /// It cannot be looked at.
    #[error("{} cannot be looked at, which script-user and script-group need: {error}", path.display())]
    Unseen {
        /// The script or its folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Someone else has it.
    #[error("{} belongs to uid {found}, and script-user allows uid {wanted} only", path.display())]
    User {
        /// The script or its folder.
        path: PathBuf,
        /// Whose it is.
        found: u32,
        /// Whose it should be.
        wanted: u32,
    },
    /// Another group has it.
    #[error("{} belongs to gid {found}, and script-group allows gid {wanted} only", path.display())]
    Group {
        /// The script or its folder.
        path: PathBuf,
        /// Whose it is.
        found: u32,
        /// Whose it should be.
        wanted: u32,
    },
    /// Others could have written it.
    #[error("{} can be written to by {who} (mode {mode:04o}), which {option} does not allow", path.display())]
    Writable {
        /// The script or its folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// By whom.
        who: &'static str,
        /// The option.
        option: &'static str,
    },
}

impl Offence {
    /// The number of its message.
    pub const fn number(&self) -> Number {
        Number(match self {
            Self::Unseen { .. } => 153,
            Self::User { .. } => 154,
            Self::Group { .. } => 155,
            Self::Writable { .. } => 156,
        })
    }
}

/// Looks at a script and at its folder, in which somebody else could put another script.
pub fn check(owner: ScriptOwner, script: &[u8]) -> Result<(), Offence> {
    let script = Path::new(OsStr::from_bytes(script));
    let folder = script.parent().unwrap_or(Path::new("/"));
    [script, folder].into_iter().try_for_each(|path| check_one(owner, path))
}

fn check_one(owner: ScriptOwner, path: &Path) -> Result<(), Offence> {
    let found = path.metadata().map_err(|error| Offence::Unseen { path: path.into(), error })?;
    let not_writable = |bit: u32, who, option| {
        let mode = found.mode() & 0o7777;
        if mode & bit == 0 {
            return Ok(());
        }
        Err(Offence::Writable { path: path.into(), mode, who, option })
    };
    match owner {
        ScriptOwner::User(wanted) => {
            if found.uid() != wanted {
                return Err(Offence::User { path: path.into(), found: found.uid(), wanted });
            }
            not_writable(GROUP_WRITES, "its group", "script-user")?;
            not_writable(OTHERS_WRITE, "everybody", "script-user")
        }
        ScriptOwner::Group(wanted) => {
            if found.gid() != wanted {
                return Err(Offence::Group { path: path.into(), found: found.gid(), wanted });
            }
            not_writable(OTHERS_WRITE, "everybody", "script-group")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Script(PathBuf);

    impl Script {
        fn new(name: &str, folder: u32, file: u32) -> Self {
            let path = std::env::temp_dir().join(format!("oxwsgi-owner-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            File::create(path.join("a.wsgi")).unwrap();
            fs::set_permissions(path.join("a.wsgi"), Permissions::from_mode(file)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(folder)).unwrap();
            Self(path)
        }

        fn check(&self, owner: ScriptOwner) -> Result<(), u16> {
            let script = self.0.join("a.wsgi");
            check(owner, script.as_os_str().as_bytes()).map_err(|offence| offence.number().0)
        }

        fn owners(&self) -> (ScriptOwner, ScriptOwner) {
            let found = self.0.metadata().unwrap();
            (ScriptOwner::User(found.uid()), ScriptOwner::Group(found.gid()))
        }
    }

    impl Drop for Script {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_owner_runs_scripts_that_nobody_else_writes() {
        let script = Script::new("good", 0o755, 0o644);
        let (user, group) = script.owners();
        assert_eq!((script.check(user), script.check(group)), (Ok(()), Ok(())));
        let (ScriptOwner::User(uid), ScriptOwner::Group(gid)) = (user, group) else { unreachable!() };
        assert_eq!(script.check(ScriptOwner::User(uid + 1)), Err(154));
        assert_eq!(script.check(ScriptOwner::Group(gid + 1)), Err(155));
    }

    #[test]
    fn a_group_may_write_where_the_group_is_the_owner() {
        let script = Script::new("group", 0o775, 0o664);
        let (user, group) = script.owners();
        assert_eq!((script.check(user), script.check(group)), (Err(156), Ok(())));
    }

    #[test]
    fn everybody_may_write_neither_script_nor_folder() {
        for (name, folder, file) in [("file", 0o755, 0o646), ("folder", 0o757, 0o644)] {
            let script = Script::new(name, folder, file);
            let (user, group) = script.owners();
            assert_eq!((script.check(user), script.check(group)), (Err(156), Err(156)));
        }
    }

    #[test]
    fn what_cannot_be_seen_does_not_run() {
        let offence = check(ScriptOwner::User(0), b"/no/such/script.wsgi").unwrap_err();
        assert_eq!(offence.number().0, 153);
        assert!(offence.to_string().contains("/no/such/script.wsgi"));
    }
}
