//! The account that a process runs as, and how a process becomes it for good.

#![allow(unsafe_code, reason = "calls the functions of the C library that change a process's identity")]

use std::ffi::CStr;

use libc::{c_int, gid_t, uid_t};

/// A user, its group and its supplementary groups. Made before a fork, assumed after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    uid: uid_t,
    gid: gid_t,
    groups: Vec<gid_t>,
}

impl Account {
    /// The account of `uid` and `gid`, with the supplementary groups that the user database gives `name`; without a
    /// name `gid` is the only group.
    pub fn new(uid: uid_t, gid: gid_t, name: Option<&CStr>) -> Self {
        Self { uid, gid, groups: name.map_or_else(|| vec![gid], |name| groups_of(name, gid)) }
    }

    /// The account of `uid` and `gid` with just these supplementary groups.
    pub const fn with_groups(uid: uid_t, gid: gid_t, groups: Vec<gid_t>) -> Self {
        Self { uid, gid, groups }
    }

    /// Like [`Account::new`], with the name that the user database gives `uid`.
    pub fn of_uid(uid: uid_t, gid: gid_t) -> Self {
        // SAFETY: the entry is copied before anything else can call a function that overwrites it; configuration is
        // read on one thread.
        let entry = unsafe { libc::getpwuid(uid) };
        if entry.is_null() {
            return Self::new(uid, gid, None);
        }
        // SAFETY: not null, so an entry whose name is C text.
        let name = unsafe { CStr::from_ptr((*entry).pw_name) }.to_owned();
        Self::new(uid, gid, Some(&name))
    }

    /// Whether this process could assume another account, which only root can.
    pub fn may_change() -> bool {
        // SAFETY: takes nothing and cannot fail.
        unsafe { libc::geteuid() == 0 }
    }

    /// The user's number.
    pub const fn uid(&self) -> uid_t {
        self.uid
    }

    /// Becomes this account for good; what failed is in `errno`. May be called between fork and exec: allocates
    /// nothing.
    pub(super) fn assume(&self) -> Result<(), c_int> {
        // Groups first, the user last: afterwards the process may change neither.
        // SAFETY: the list is readable for its length.
        check(unsafe { libc::setgroups(self.groups.len() as _, self.groups.as_ptr()) })?;
        // SAFETY: plain numbers.
        check(unsafe { libc::setgid(self.gid) })?;
        // SAFETY: plain numbers.
        check(unsafe { libc::setuid(self.uid) })?;
        // SAFETY: plain numbers. That there is no way back is the point of it all, so it is tried.
        if self.uid != 0 && unsafe { libc::setuid(0) } == 0 {
            return Err(libc::EPERM);
        }
        Ok(())
    }
}

fn check(code: c_int) -> Result<(), c_int> {
    if code == 0 { Ok(()) } else { Err(errno()) }
}

/// The reason why the last call failed.
pub(super) fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn groups_of(name: &CStr, gid: gid_t) -> Vec<gid_t> {
    let mut groups = vec![gid; 32];
    loop {
        let mut count = groups.len() as c_int;
        // SAFETY: the name is C text, the list is writable for `count` entries.
        let found =
            unsafe { libc::getgrouplist(name.as_ptr(), gid as _, groups.as_mut_ptr().cast(), &mut count) };
        let wanted = usize::try_from(count).unwrap_or(0);
        if found >= 0 || wanted <= groups.len() {
            groups.truncate(wanted);
            return groups;
        }
        groups.resize(wanted, gid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_among_the_groups() {
        // SAFETY: takes nothing and cannot fail.
        let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
        assert!(Account::of_uid(uid, gid).groups.contains(&gid));
        assert_eq!(Account::new(uid, gid, None).groups, [gid]);
    }

    #[test]
    fn an_account_that_may_not_be_assumed_says_why() {
        if Account::may_change() {
            assert_eq!(Account::new(uid_t::MAX, gid_t::MAX, None).assume(), Err(libc::EINVAL));
        } else {
            assert_eq!(Account::new(0, 0, None).assume(), Err(libc::EPERM));
        }
    }
}
