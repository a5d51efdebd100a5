//! The user that runs the application: whom root gives it to, and nobody else when we are not root.

#![forbid(unsafe_code)]

use std::ffi::CString;
use std::path::PathBuf;
use std::thread;

use nix::unistd::{Group, User, getgrouplist};
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::problem::Problem;

/// Who servers' children are on Debian, Fedora, Alpine and Arch, and everywhere.
const USUAL: [&str; 5] = ["www-data", "apache", "nginx", "http", "nobody"];

/// A user of this system that the server's children become.
#[derive(Clone, Debug)]
pub struct Account {
    /// Login name, for httpd's `User`.
    pub name: String,
    /// Name of the first group, for httpd's `Group`.
    pub group: String,
    /// Numeric user.
    pub uid: Uid,
    /// Numeric first group.
    pub gid: Gid,
    /// All groups, the first included.
    pub groups: Vec<Gid>,
    /// Home directory.
    pub home: PathBuf,
}

impl Account {
    /// The account to serve as: `Some` when we are root and have to change, `None` when we stay who we are.
    ///
    /// # Errors
    /// The user does not exist, is root, or we are not root and cannot become somebody else.
    pub fn serving(wanted: Option<&str>) -> Result<Option<Self>, Problem> {
        let own = geteuid();
        if !own.is_root() {
            return match wanted.map(find).transpose()?.flatten() {
                Some(user) if user.uid.as_raw() != own.as_raw() => {
                    Err(Problem::new(format!("Only root can serve as another user, here {}", user.name))
                        .cure("leave --user away; the application then runs as you"))
                }
                None if wanted.is_some() => Err(unknown(wanted.unwrap_or_default())),
                _ => Ok(None),
            };
        }
        let user = match wanted {
            Some(name) => find(name)?.ok_or_else(|| unknown(name))?,
            None => first_usual()?,
        };
        if user.uid.is_root() {
            return Err(Problem::new("An application is never run as root")
                .cure("name an ordinary user: --user www-data"));
        }
        Self::of(user).map(Some)
    }

    fn of(user: User) -> Result<Self, Problem> {
        let unusable = |why: String| Problem::new(format!("The user {} cannot be used: {why}", user.name));
        let group = Group::from_gid(user.gid)
            .ok()
            .flatten()
            .ok_or_else(|| unusable(format!("its group {} has no name", user.gid)))?;
        let login = CString::new(user.name.as_str()).map_err(|e| unusable(e.to_string()))?;
        let groups = getgrouplist(&login, user.gid).map_err(|e| unusable(e.to_string()))?;
        Ok(Self {
            name: user.name,
            group: group.name,
            uid: Uid::from_raw(user.uid.as_raw()),
            gid: Gid::from_raw(user.gid.as_raw()),
            groups: groups.into_iter().map(|gid| Gid::from_raw(gid.as_raw())).collect(),
            home: user.dir,
        })
    }

    /// Runs `work` on a thread of its own that has this account's rights, and waits for it.
    ///
    /// Linux keeps user and groups per thread, so the rest of the process stays who it is.
    ///
    /// # Errors
    /// The kernel refused the change.
    pub fn perform<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Problem> {
        let switched = || -> rustix::io::Result<T> {
            set_thread_groups(&self.groups)?;
            set_thread_res_gid(self.gid, self.gid, self.gid)?;
            set_thread_res_uid(self.uid, self.uid, self.uid)?;
            Ok(work())
        };
        let joined = thread::scope(|scope| scope.spawn(switched).join());
        match joined {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Problem::new(format!("Cannot act as {}: {error}", self.name))
                .cure("run this command as an ordinary user")),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn find(name: &str) -> Result<Option<User>, Problem> {
    User::from_name(name).map_err(|error| Problem::new(format!("Cannot look up the user {name}: {error}")))
}

fn first_usual() -> Result<User, Problem> {
    for name in USUAL {
        if let Some(user) = find(name)? {
            return Ok(user);
        }
    }
    Err(Problem::new("There is no user to run the application as")
        .detail(format!("Looked for {}.", USUAL.join(", ")))
        .cure("name one: --user NAME")
        .cure("run this command as an ordinary user"))
}

fn unknown(name: &str) -> Problem {
    Problem::new(format!("There is no user {name}")).cure("name one that `getent passwd` lists: --user NAME")
}
