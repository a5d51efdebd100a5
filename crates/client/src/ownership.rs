//! `script-user` and `script-group`: a group runs scripts of one owner only, and nobody else can have changed them.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use oxwsgi_core::config::ScriptOwner;
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::report::Number;
use oxwsgi_core::request::{ScriptKind, Target};

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Why a script does not run in its group.
#[derive(Debug, thiserror::Error)]
#[error("{what} {} {}", path.display(), wrong.text(*dialect))]
pub struct Offence {
    what: What,
    path: PathBuf,
    wanted: ScriptOwner,
    wrong: Wrong,
    dialect: Dialect,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum What {
    #[error("WSGI script file")]
    Script,
    /// In which somebody else could put another script.
    #[error("Parent directory of WSGI script file,")]
    Folder,
    #[error("WSGI module")]
    Module,
}

#[derive(Debug)]
enum Wrong {
    Unseen(io::Error),
    /// A module has none.
    NoPath,
    /// Whose it is, and whose it is to be.
    User(u32, u32),
    Group(u32, u32),
    /// Its mode.
    GroupWrites(u32),
    WorldWrites(u32),
}

impl Wrong {
    fn text(&self, dialect: Dialect) -> String {
        let (user, group) = (dialect.option("script-user"), dialect.option("script-group"));
        match self {
            Self::Unseen(error) => format!("cannot be looked at, which {user} and {group} need: {error}"),
            Self::NoPath => {
                format!("is found by its name, and {user} and {group} need the path of a script file")
            }
            Self::User(found, wanted) => format!("belongs to uid {found}, and {user}={wanted}"),
            Self::Group(found, wanted) => format!("belongs to gid {found}, and {group}={wanted}"),
            Self::GroupWrites(mode) => {
                format!("is writable to group (mode {mode:04o}), which {user} does not allow")
            }
            Self::WorldWrites(mode) => {
                format!("is writable to world (mode {mode:04o}), which {user} and {group} do not allow")
            }
        }
    }
}

impl Offence {
    /// The number of its message.
    pub const fn number(&self) -> Number {
        use ScriptOwner::{Group, User};
        use What::{Folder, Module, Script};
        Number(match (self.wanted, self.what, &self.wrong) {
            (Group(_), Module, _) | (Group(_), Script, Wrong::Unseen(_)) => 153,
            (Group(_), Script, Wrong::WorldWrites(_)) => 157,
            (Group(_), Script, _) => 155,
            (Group(_), Folder, Wrong::Unseen(_)) => 158,
            (Group(_), Folder, Wrong::WorldWrites(_)) => 161,
            (Group(_), Folder, _) => 160,
            (User(_), Module, _) | (User(_), Script, Wrong::Unseen(_)) => 162,
            (User(_), Script, Wrong::GroupWrites(_)) => 166,
            (User(_), Script, Wrong::WorldWrites(_)) => 168,
            (User(_), Script, _) => 164,
            (User(_), Folder, Wrong::Unseen(_)) => 169,
            (User(_), Folder, Wrong::GroupWrites(_)) => 173,
            (User(_), Folder, Wrong::WorldWrites(_)) => 172,
            (User(_), Folder, _) => 171,
        })
    }
}

/// Looks at the script of a request and at its folder. Where a module will be found, and so whose it is, cannot be told
/// from its name.
pub fn check(wanted: ScriptOwner, target: &Target<'_>, dialect: Dialect) -> Result<(), Offence> {
    let script = Path::new(OsStr::from_bytes(target.script.as_slice()));
    if target.script_kind == ScriptKind::Module {
        let (what, wrong) = (What::Module, Wrong::NoPath);
        return Err(Offence { what, path: script.into(), wanted, wrong, dialect });
    }
    let folder = script.parent().unwrap_or(Path::new("/"));
    for (what, path) in [(What::Script, script), (What::Folder, folder)] {
        check_one(wanted, path).map_err(|wrong| Offence {
            what,
            path: path.into(),
            wanted,
            wrong,
            dialect,
        })?;
    }
    Ok(())
}

fn check_one(wanted: ScriptOwner, path: &Path) -> Result<(), Wrong> {
    let found = path.metadata().map_err(Wrong::Unseen)?;
    let mode = found.mode() & 0o7777;
    match wanted {
        ScriptOwner::User(uid) if found.uid() != uid => return Err(Wrong::User(found.uid(), uid)),
        ScriptOwner::User(_) if mode & GROUP_WRITES != 0 => return Err(Wrong::GroupWrites(mode)),
        ScriptOwner::Group(gid) if found.gid() != gid => return Err(Wrong::Group(found.gid(), gid)),
        ScriptOwner::User(_) | ScriptOwner::Group(_) => {}
    }
    if mode & OTHERS_WRITE != 0 { Err(Wrong::WorldWrites(mode)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Site(PathBuf);

    impl Site {
        fn new(name: &str, folder: u32, file: u32) -> Self {
            let prefix = format!("oxwsgi-owner-{name}-");
            let path = tempfile::Builder::new().prefix(&prefix).tempdir().unwrap().keep();
            File::create(path.join("a.wsgi")).unwrap();
            fs::set_permissions(path.join("a.wsgi"), Permissions::from_mode(file)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(folder)).unwrap();
            Self(path)
        }

        /// For its own user or another one, and for its own group or another one.
        fn check(&self, other_user: u32, other_group: u32) -> (u16, u16) {
            let found = self.0.metadata().unwrap();
            let script = self.0.join("a.wsgi");
            let number = |wanted| {
                let target = Target { script: script.as_os_str().as_bytes().into(), ..Target::default() };
                check(wanted, &target, Dialect::Httpd).map_or_else(|offence| offence.number().0, |()| 0)
            };
            (
                number(ScriptOwner::User(found.uid() + other_user)),
                number(ScriptOwner::Group(found.gid() + other_group)),
            )
        }
    }

    impl Drop for Site {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_owner_runs_scripts_that_nobody_else_writes() {
        let site = Site::new("good", 0o755, 0o644);
        assert_eq!(site.check(0, 0), (0, 0));
        assert_eq!(site.check(1, 1), (164, 155));
    }

    #[test]
    fn a_group_may_write_where_the_group_is_the_owner() {
        assert_eq!(Site::new("group-file", 0o755, 0o664).check(0, 0), (166, 0));
        assert_eq!(Site::new("group-folder", 0o775, 0o644).check(0, 0), (173, 0));
    }

    #[test]
    fn everybody_may_write_neither_script_nor_folder() {
        assert_eq!(Site::new("world-file", 0o755, 0o646).check(0, 0), (168, 157));
        assert_eq!(Site::new("world-folder", 0o757, 0o644).check(0, 0), (172, 161));
    }

    #[test]
    fn what_cannot_be_seen_does_not_run() {
        let target = Target { script: "/no/such/script.wsgi".into(), ..Target::default() };
        let offence = check(ScriptOwner::User(0), &target, Dialect::Httpd).unwrap_err();
        assert_eq!(offence.number().0, 162);
        assert!(offence.to_string().contains("/no/such/script.wsgi"), "{offence}");
    }

    #[test]
    fn options_are_called_what_they_are_in_the_configuration() {
        let texts = |dialect| {
            let error = io::Error::from(io::ErrorKind::NotFound);
            [
                Wrong::Unseen(error),
                Wrong::NoPath,
                Wrong::User(1, 2),
                Wrong::Group(1, 2),
                Wrong::GroupWrites(0o20),
                Wrong::WorldWrites(0o2),
            ]
            .map(|wrong| wrong.text(dialect))
        };
        let httpd = texts(Dialect::Httpd);
        assert!(httpd.iter().all(|text| text.contains("script-user") || text.contains("script-group=2")));
        assert_eq!(texts(Dialect::Nginx), httpd.map(|text| text.replace("script-", "script_")));
    }

    #[test]
    fn nobody_can_tell_whose_a_module_is() {
        let target =
            Target { script: "shop.web".into(), script_kind: ScriptKind::Module, ..Target::default() };
        for (wanted, number) in [(ScriptOwner::User(0), 162), (ScriptOwner::Group(0), 153)] {
            let offence = check(wanted, &target, Dialect::Httpd).unwrap_err();
            assert_eq!(offence.number().0, number);
            assert!(
                offence.to_string().starts_with("WSGI module shop.web is found by its name"),
                "{offence}"
            );
        }
    }
}
