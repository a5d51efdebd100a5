//! A daemon group as one process of nginx knows it: how to reach it, and the connections that wait for a request.

#![allow(unsafe_code, reason = "called by nginx for connections that wait")]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use oxwsgi_client::ClientSettings;
use oxwsgi_client::connection::Connection;
use oxwsgi_client::waiting::Waiting;
use oxwsgi_core::daemon::board::Board;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketAddrUnix, recv};

use super::link::{Link, User};
use crate::nginx::ffi;

/// How long a connection is kept without being used.
const PATIENCE: Duration = Duration::from_secs(15);

/// A group. One for each process and group, on the thread of the event loop, for the life of the process.
pub struct Group {
    /// What the configuration says of it.
    pub settings: ClientSettings,
    /// Its board; without one no connection is used twice.
    pub board: Option<Board>,
    /// Where its queue is.
    pub address: Result<SocketAddrUnix, Errno>,
    /// The same for nginx, and as text (`$upstream_addr`).
    pub peer: PeerAddress,
    waiting: RefCell<Waiting<Link>>,
    busy: Cell<usize>,
    most_busy: Cell<usize>,
}

/// An address as nginx's upstream module wants it.
pub struct PeerAddress {
    text: Box<[u8]>,
    /// The text again, as nginx has texts.
    name: Box<Cell<ffi::ngx_str_t>>,
    address: Box<libc::sockaddr_un>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerAddress").field(&String::from_utf8_lossy(&self.text)).finish()
    }
}

impl PeerAddress {
    fn new(path: &[u8]) -> Self {
        let text: Box<[u8]> = [b"unix:", path].concat().into();
        let name = ffi::ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() };
        // SAFETY: plain numbers, of which zero is a value.
        let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        // A path that is too long is found to be so when somebody connects.
        let room = address.sun_path.len() - 1;
        for (place, byte) in address.sun_path[..room].iter_mut().zip(path) {
            *place = byte.cast_signed() as libc::c_char;
        }
        Self { text, name: Box::new(Cell::new(name)), address: Box::new(address) }
    }

    /// Gives it to a peer connection, as the place where that leads.
    ///
    /// # Safety
    /// The peer connection is used no longer than this address.
    pub unsafe fn put(&self, peer: &mut ffi::ngx_peer_connection_t) {
        let length = offset_of!(libc::sockaddr_un, sun_path) + self.text.len();
        peer.sockaddr = (&raw const *self.address).cast_mut().cast();
        peer.socklen = length.min(size_of::<libc::sockaddr_un>()) as ffi::socklen_t;
        peer.name = self.name.as_ptr();
    }
}

impl Group {
    /// The group of these settings. Without its board no request is sent twice once a process has taken the connection.
    pub fn new(settings: ClientSettings, board: Option<Board>) -> Self {
        let address = SocketAddrUnix::new(&settings.socket);
        let peer = PeerAddress::new(settings.socket.as_os_str().as_bytes());
        Self {
            settings,
            board,
            address,
            peer,
            waiting: RefCell::default(),
            busy: Cell::new(0),
            most_busy: Cell::new(0),
        }
    }

    /// Its name, for messages.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.settings.name).into_owned()
    }

    /// A request begins.
    pub fn enter(&self) {
        self.busy.set(self.busy.get() + 1);
        self.most_busy.set(self.most_busy.get().max(self.busy.get()));
    }

    /// A request is over.
    pub fn leave(&self) {
        self.busy.set(self.busy.get().saturating_sub(1));
    }

    /// A connection whose process has a thread for one request, with its ticket: see [`Waiting::take`].
    #[inline]
    pub fn take(&self, log: *mut ffi::ngx_log_t) -> Option<Connection<Link>> {
        let connection = self.waiting.borrow_mut().take(self.board.as_ref()?)?;
        connection.socket.resume(log);
        Some(connection)
    }

    /// Keeps a connection for the next request.
    pub fn put(&'static self, connection: Connection<Link>) {
        let link = &connection.socket;
        // SAFETY: set by signals and read by value, on the same thread.
        let ends = unsafe { ffi::ngx_exiting != 0 || ffi::ngx_terminate != 0 };
        if ends || self.board.is_none() || !link.watch() {
            return;
        }
        let user = User { data: std::ptr::from_ref(self).cast_mut().cast(), read: on_read };
        link.hand_over(user, PATIENCE);
        link.set_idle();
        let event = link.read();
        let superfluous = self.waiting.borrow_mut().put(connection, self.most_busy.get(), Instant::now());
        drop(superfluous);
        // SAFETY: when it was closed just now its event stays nginx's, and says that it is closed.
        if unsafe { (*event).closed() == 0 && (*event).ready() != 0 } {
            // SAFETY: the event of a connection that waits.
            unsafe { on_read(event) };
        }
    }
}

/// Something has come on a connection that waits: nothing is expected, so it is the end. Or its time is up.
unsafe extern "C" fn on_read(event: *mut ffi::ngx_event_t) {
    catch!((), {
        // SAFETY: nginx passes the event of a connection that waits, whose data is its group's address.
        let (connection, record) = unsafe { ((*event).data.cast::<ffi::ngx_connection_t>(), &mut *event) };
        // SAFETY: as above; groups live as long as the process.
        let group = unsafe { &*(*connection).data.cast::<Group>() };
        // SAFETY: as above; read by value.
        let is_closing = unsafe { (*connection).close() } != 0;
        if !is_closing && record.timedout() == 0 {
            // SAFETY: as above; open while it waits.
            let socket = unsafe { BorrowedFd::borrow_raw((*connection).fd) };
            let peeked = recv(socket, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
            record.set_ready(0);
            let is_quiet = matches!(peeked, Err(Errno::AGAIN | Errno::INTR));
            // SAFETY: the event of a connection that is open.
            if is_quiet && unsafe { ffi::ngx_handle_read_event(event, 0) } == ffi::NGX_OK {
                return;
            }
        }
        let gone = group.waiting.borrow_mut().remove(|link| link.as_raw() == connection);
        drop(gone);
    });
}
