//! The listening socket of a group: its file belongs to who may connect, and nobody else can open it.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oxwsgi_core::daemon::Group;
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::os::Account;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Uid};
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
                rustix::fs::unlink(&path).map_err(|error| failed("replacing", error))?;
                bind(&listener, &address)
            }
            result => result,
        }
        .map_err(|error| failed("creating", error))?;
        let file = identity(&path);
        let socket = Self { listener, path, file };
        if Account::may_change() {
            // The file itself: in a folder that others may write to, something else may be there by now.
            let owner = Some(Uid::from_raw(group.socket_user));
            rustix::fs::chownat(CWD, &socket.path, owner, None, AtFlags::SYMLINK_NOFOLLOW)
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

fn is_socket(path: &Path) -> bool {
    let status = rustix::fs::lstat(path);
    status.is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Socket)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let status = rustix::fs::lstat(path).ok()?;
    let is_socket = FileType::from_raw_mode(status.st_mode) == FileType::Socket;
    is_socket.then_some((status.st_dev, status.st_ino))
}

fn too_long(path: &Path, dialect: Dialect) -> String {
    format!(
        "the path of its socket, {}, has {} bytes, and a socket's may have 107: choose a shorter {}",
        path.display(),
        path.as_os_str().len(),
        dialect.socket_prefix()
    )
}
