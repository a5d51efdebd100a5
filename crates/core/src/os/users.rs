//! The system's database of users and groups (`getpwnam_r(3)` and its like). Whoever asks may wait for a name service.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use nix::unistd::{self, Gid, Uid};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Number.
    pub uid: u32,
    /// Number of the primary group.
    pub gid: u32,
    /// Name.
    pub name: Box<[u8]>,
    /// Home directory.
    pub home: Box<[u8]>,
}

impl User {
    /// The user of that name.
    pub fn named(name: &[u8]) -> Option<Self> {
        unistd::User::from_name(str::from_utf8(name).ok()?).ok()?.map(Into::into)
    }

    /// The user of that number.
    pub fn numbered(uid: u32) -> Option<Self> {
        unistd::User::from_uid(Uid::from_raw(uid)).ok()?.map(Into::into)
    }

    /// The groups that it is in, `gid` among them.
    pub fn groups(&self, gid: u32) -> Vec<u32> {
        let found = CString::new(&*self.name)
            .ok()
            .and_then(|name| unistd::getgrouplist(&name, Gid::from_raw(gid)).ok());
        found.map_or_else(|| vec![gid], |groups| groups.into_iter().map(Gid::as_raw).collect())
    }
}

impl From<unistd::User> for User {
    fn from(user: unistd::User) -> Self {
        Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            name: user.name.into_bytes().into(),
            home: user.dir.as_os_str().as_bytes().into(),
        }
    }
}

/// Number of the group of that name.
pub fn group_named(name: &[u8]) -> Option<u32> {
    let group = unistd::Group::from_name(str::from_utf8(name).ok()?).ok()??;
    Some(group.gid.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_number() {
        let root = User::named(b"root").unwrap();
        assert_eq!((root.uid, &*root.name), (0, &b"root"[..]));
        assert_eq!(User::numbered(0), Some(root.clone()));
        assert!(root.groups(0).contains(&0));
    }

    #[test]
    fn nobody_has_an_impossible_name() {
        assert_eq!(User::named(b"no:such:user"), None);
        assert_eq!(User::named(b"\xff"), None);
        assert_eq!(group_named(b"no:such:group"), None);
    }
}
