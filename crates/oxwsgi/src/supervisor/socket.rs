//! The listening socket of a group: its file belongs to who may connect, and nobody else can open it.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oxwsgi_core::daemon::Group;
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::os::Account;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

/// A group's listening socket and its file.
#[derive(Debug)]
pub struct Socket {
    listener: OwnedFd,
    path: PathBuf,
    /// Device and number of the file: with `WSGISocketRotation Off` another generation puts its own in the same place.
    file: Option<(u64, u64)>,
}

impl Socket {
    /// Makes the socket of `group`. A file that a server left behind is replaced.
    ///
    /// # Errors
    /// What cannot be done, and what to do about it.
    pub fn create(group: &Group, dialect: Dialect) -> Result<Self, String> {
        let path = PathBuf::from(OsStr::from_bytes(&group.socket));
        let failed = |doing: &str, error: Errno| {
            let error = std::io::Error::from(error);
            let directive = dialect.socket_prefix();
            format!("{doing} its socket {}: {error}; {directive} chooses another place", path.display())
        };
        let address = SocketAddrUnix::new(path.as_path()).map_err(|_| too_long(&path, dialect))?;
        let listener =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(|error| failed("creating", error))?;
        let setting = |option| format!("setting {} of", dialect.option(option));
        let (send, receive) = group.socket_buffers;
        if send > 0 {
            sockopt::set_socket_send_buffer_size(&listener, send as usize)
                .map_err(|error| failed(&setting("send-buffer-size"), error))?;
        }
        if receive > 0 {
            sockopt::set_socket_recv_buffer_size(&listener, receive as usize)
                .map_err(|error| failed(&setting("receive-buffer-size"), error))?;
        }
        match bind(&listener, &address) {
            Err(Errno::ADDRINUSE) if is_socket(&path) => {
                if is_alive(&address) {
                    return Err(in_use(&path, dialect));
                }
                rustix::fs::unlink(&path).map_err(|error| failed("replacing", error))?;
                bind(&listener, &address)
            }
            result => result,
        }
        .map_err(|error| failed("creating", error))?;
        let (file, identity) = own_file(&path).map_err(|error| failed("creating", error))?;
        let socket = Self { listener, path, file: Some(identity) };
        if Account::may_change() {
            let owner = Some(Uid::from_raw(group.socket_user));
            rustix::fs::chownat(&file, c"", owner, None, AtFlags::EMPTY_PATH)
                .map_err(|error| socket.failed("giving away", error))?;
        }
        let backlog = i32::try_from(group.backlog).unwrap_or(i32::MAX);
        rustix::net::listen(&socket.listener, backlog)
            .map_err(|error| socket.failed("listening on", error))?;
        Ok(socket)
    }

    /// The socket that an earlier supervisor made.
    pub fn adopt(listener: OwnedFd, path: &[u8]) -> Self {
        let path = PathBuf::from(OsStr::from_bytes(path));
        let file = identity(&path);
        Self { listener, path, file }
    }

    /// Removes the file, if it still is this socket's.
    pub fn remove(&self) {
        if self.file.is_some() && identity(&self.path) == self.file {
            let _ = rustix::fs::unlink(&self.path);
        }
    }

    fn failed(&self, doing: &str, error: Errno) -> String {
        let error = std::io::Error::from(error);
        self.remove();
        format!("{doing} its socket {}: {error}", self.path.display())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Binds so that only the owner may open the file, from its first moment on.
fn bind(listener: &OwnedFd, address: &SocketAddrUnix) -> Result<(), Errno> {
    let mask = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = rustix::net::bind(listener, address);
    rustix::process::umask(mask);
    bound
}

/// The file that was just bound. In a folder that others may write to, something else may be there by now.
fn own_file(path: &Path) -> Result<(OwnedFd, (u64, u64)), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let status = rustix::fs::fstat(&file)?;
    let is_own = FileType::from_raw_mode(status.st_mode) == FileType::Socket
        && status.st_uid == rustix::process::geteuid().as_raw()
        && status.st_nlink == 1;
    if is_own { Ok((file, (status.st_dev, status.st_ino))) } else { Err(Errno::EXIST) }
}

fn is_socket(path: &Path) -> bool {
    let status = rustix::fs::lstat(path);
    status.is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Socket)
}

/// Whether somebody listens there: only a socket that refuses was left behind.
fn is_alive(address: &SocketAddrUnix) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .and_then(|socket| rustix::net::connect(&socket, address))
        != Err(Errno::CONNREFUSED)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let status = rustix::fs::lstat(path).ok()?;
    let is_socket = FileType::from_raw_mode(status.st_mode) == FileType::Socket;
    is_socket.then_some((status.st_dev, status.st_ino))
}

fn in_use(path: &Path, dialect: Dialect) -> String {
    format!(
        "its socket {} is in use by another server; {} chooses another place",
        path.display(),
        dialect.socket_prefix()
    )
}

fn too_long(path: &Path, dialect: Dialect) -> String {
    format!(
        "the path of its socket, {}, has {} bytes, and a socket's may have 107: choose a shorter {}",
        path.display(),
        path.as_os_str().len(),
        dialect.socket_prefix()
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_the_socket_itself_is_given_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let _listener = UnixListener::bind(path("own")).unwrap();
        let (_, found) = own_file(&path("own")).unwrap();
        assert_eq!(Some(found), identity(&path("own")));
        symlink(path("own"), path("link")).unwrap();
        fs::write(path("file"), "").unwrap();
        for other in ["link", "file"] {
            assert_eq!(own_file(&path(other)).unwrap_err(), Errno::EXIST, "{other}");
        }
        // By its other name it may be anybody's.
        fs::hard_link(path("own"), path("other name")).unwrap();
        assert_eq!(own_file(&path("own")).unwrap_err(), Errno::EXIST);
        assert_eq!(own_file(&path("absent")).unwrap_err(), Errno::NOENT);
    }
}
