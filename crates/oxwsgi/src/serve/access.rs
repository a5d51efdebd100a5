//! Can the user that runs the application read what it needs? Asked before the server starts, because that only
//! says "permission denied" in the middle of a traceback. Reads nothing but permissions.

#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};
use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::problem::Problem;
use crate::serve::account::Account;

/// Something that must be readable: what it is for the user, and where.
#[derive(Clone, Debug)]
pub struct Need {
    /// "the application", "the static files": begins a sentence's object.
    pub what: &'static str,
    /// The path as it will be used.
    pub path: PathBuf,
    /// Whether it is a file to read, a directory to list, or a program to execute.
    pub mode: Mode,
}

/// What has to be possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Read a file.
    Read,
    /// Enter and list a directory.
    List,
    /// Execute a program.
    Execute,
}

impl Mode {
    fn bits(self) -> Access {
        match self {
            Self::Read => Access::READ_OK,
            Self::List => Access::READ_OK | Access::EXEC_OK,
            Self::Execute => Access::EXEC_OK,
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Read | Self::List => "read",
            Self::Execute => "execute",
        }
    }
}

/// Checks all of `needs` with the rights of `account`, or with our own.
///
/// # Errors
/// The first path that is closed, with the directory that closes it and the cures.
pub fn check(account: Option<&Account>, needs: &[Need]) -> Result<(), Problem> {
    // Where symbolic links end is looked up with our own rights: theirs may stop half-way.
    let ends: Vec<PathBuf> =
        needs.iter().map(|need| fs::canonicalize(&need.path).unwrap_or_else(|_| need.path.clone())).collect();
    let look = || {
        let mut pairs = needs.iter().zip(&ends);
        pairs.find_map(|(need, end)| obstacle(need, end).map(|at| (need, at)))
    };
    let found = match account {
        Some(account) => account.perform(look)?,
        None => look(),
    };
    found.map_or(Ok(()), |(need, at)| Err(closed(account, need, &at)))
}

/// The path that stands in the way: a directory that cannot be entered, or the thing itself.
fn obstacle(need: &Need, end: &Path) -> Option<PathBuf> {
    if access(&need.path, need.mode.bits()) != Err(Errno::ACCESS) {
        return None;
    }
    // The end first: the way as written may go through a link and look closed where it is not.
    let directories = |way: &Path| way.ancestors().skip(1).map(Path::to_path_buf).collect::<Vec<_>>();
    let (from_end, as_written) = (directories(end), directories(&need.path));
    let mut outermost_first = from_end.into_iter().rev().chain(as_written.into_iter().rev());
    let closed = outermost_first.find(|directory| access(directory, Access::EXEC_OK) == Err(Errno::ACCESS));
    Some(closed.unwrap_or_else(|| end.to_path_buf()))
}

fn closed(account: Option<&Account>, need: &Need, at: &Path) -> Problem {
    let who = account.map_or_else(|| "This user".to_owned(), |account| account.name.clone());
    let problem = Problem::new(format!("{who} cannot {} {}", need.mode.verb(), need.path.display()))
        .detail(format!("It is {}, and {} is {}.", need.what, at.display(), permissions(at)));
    let Some(account) = account else {
        return problem.cure(format!("make it readable: chmod u+r {}", at.display()));
    };
    let problem = problem.detail(format!(
        "As root, the server runs the application as {}; nothing of it runs as root.",
        account.name
    ));
    let problem = match need.mode {
        // The first python3 on PATH is often one that a version manager keeps in a home directory.
        Mode::Execute => {
            problem.cure("name a Python that it can execute: --python DIR, such as /usr/bin/python3")
        }
        Mode::Read | Mode::List => problem,
    };
    let missing = match (at.is_dir(), need.mode) {
        (true, Mode::List) if need.path.ends_with(at) => "o+rx",
        (true, _) => "o+x",
        (false, Mode::Execute) => "o+rx",
        (false, _) => "o+r",
    };
    let problem =
        problem.cure(format!("move it to a place that {} can read, such as /srv or /opt", account.name));
    // Root's own directory had better stay closed.
    let problem = match at == Path::new("/root") {
        true => problem,
        false => problem.cure(format!("open it: chmod {missing} {}", at.display())),
    };
    problem
        .cure("run the application as a user that can read it: --user NAME")
        .cure("run this command as an ordinary user")
}

/// `drwx------ root:root`, as `ls` shows it.
fn permissions(path: &Path) -> String {
    let Ok(data) = fs::metadata(path) else { return "not there".to_owned() };
    let kind = if data.is_dir() { 'd' } else { '-' };
    let bits: String =
        (0..9).map(|i| if data.mode() & (0o400 >> i) == 0 { '-' } else { ['r', 'w', 'x'][i % 3] }).collect();
    let owner = User::from_uid(Uid::from_raw(data.uid())).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(data.gid())).ok().flatten();
    format!(
        "{kind}{bits} {}:{}",
        owner.map_or_else(|| data.uid().to_string(), |user| user.name),
        group.map_or_else(|| data.gid().to_string(), |group| group.name)
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn permissions_read_like_ls() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o750)).expect("chmod");
        assert!(permissions(directory.path()).starts_with("drwxr-x--- "));
    }

    #[test]
    fn what_is_open_or_absent_is_no_obstacle() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for path in [directory.path().to_path_buf(), directory.path().join("absent")] {
            let need = Need { what: "it", path, mode: Mode::List };
            assert_eq!(obstacle(&need, &need.path), None);
        }
    }
}
