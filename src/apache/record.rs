//! httpd's own records as borrowed [handles](crate::handle).

#![allow(unsafe_code, reason = "reads and writes fields of httpd's structures")]

use std::ffi::{CStr, c_char, c_int};
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use oxwsgi_core::config::Host;
use rustix::net::sockopt::set_socket_linger;

use crate::apache::ffi;
use crate::apache::pool::Pool;

handle! {
    /// A virtual host, or the main server (`server_rec`).
    Server of server_rec
}

handle! {
    /// A client's connection (`conn_rec`).
    Connection of conn_rec
}

handle! {
    /// A request being served (`request_rec`).
    Request of request_rec
}

handle! {
    /// Names and values (`apr_table_t`); names in any case.
    Table of apr_table_t
}

/// Methods that give a field of C text as bytes; `None` where it is null.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $($path:ident).+;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(self) -> Option<&'a [u8]> {
            let text = field!(self, $($path).+);
            // SAFETY: httpd keeps such text in a pool that lives as long as the record, and replaces it rather than
            // change it in place.
            unsafe { bytes(text) }
        }
    )*};
}

impl<'a> Request<'a> {
    texts! {
        /// As in the request line.
        method: method;
        /// The request line.
        line: the_request;
        /// The decoded path.
        uri: uri;
        /// The query string.
        args: args;
        /// The file that the path maps to, without path info.
        filename: filename;
        /// What is left of the path after the file.
        path_info: path_info;
        /// `HTTP/1.1`.
        protocol: protocol;
        /// The handler's name.
        handler: handler;
        /// The host asked for, without a port.
        hostname: hostname;
        /// The user, when httpd has found out.
        user: user;
        /// How it has found out.
        auth_type: ap_auth_type;
        /// The client's address, which `mod_remoteip` may have corrected.
        remote_addr: useragent_ip;
    }

    /// The request's own pool.
    #[inline]
    pub fn pool(self) -> Pool<'a> {
        let pool = field!(self, pool);
        // SAFETY: the pool lives as long as the record, which it holds.
        unsafe { Pool::from_raw(pool) }
    }

    /// The virtual host.
    #[inline]
    pub fn server(self) -> Server<'a> {
        let server = field!(self, server);
        // SAFETY: servers outlive their requests.
        unsafe { Server::from_raw(server) }
    }

    /// The connection it came on.
    #[inline]
    pub fn connection(self) -> Connection<'a> {
        let connection = field!(self, connection);
        // SAFETY: connections outlive their requests.
        unsafe { Connection::from_raw(connection) }
    }

    /// The request that was redirected to this one, inside the server.
    #[inline]
    pub fn previous(self) -> Option<Self> {
        let previous = field!(self, prev);
        // SAFETY: not null, so a record that lives in a pool this request's own descends from.
        (!previous.is_null()).then(|| unsafe { Self::from_raw(previous) })
    }

    /// Header fields received.
    #[inline]
    pub fn headers_in(self) -> Table<'a> {
        let table = field!(self, headers_in);
        // SAFETY: every request has one, in its pool.
        unsafe { Table::from_raw(table) }
    }

    /// Header fields of the reply.
    pub fn headers_out(self) -> Table<'a> {
        let table = field!(self, headers_out);
        // SAFETY: every request has one, in its pool.
        unsafe { Table::from_raw(table) }
    }

    /// Whether the client knows the end of the reply by that of the connection only, as with HTTP/1.0. Known once httpd's
    /// filters have had the head.
    pub fn ends_with_connection(self) -> bool {
        let main = field!(self, main);
        // SAFETY: not null, so the record of the request that this one is a part of.
        let whole = if main.is_null() { self } else { unsafe { Self::from_raw(main) } };
        let has_body = field!(whole, header_only) == 0 && !matches!(field!(whole, status), 204 | 304);
        has_body && field!(whole, chunked) == 0 && whole.headers_out().get(c"Content-Length").is_none()
    }

    /// Variables for programs: `SetEnv`, `SSL_*`.
    #[inline]
    pub fn environment(self) -> Table<'a> {
        let table = field!(self, subprocess_env);
        // SAFETY: every request has one, in its pool.
        unsafe { Table::from_raw(table) }
    }

    /// Notes that modules leave each other.
    #[inline]
    pub fn notes(self) -> Table<'a> {
        let table = field!(self, notes);
        // SAFETY: every request has one, in its pool.
        unsafe { Table::from_raw(table) }
    }

    /// What kind of file [`Request::filename`] is.
    #[inline]
    pub fn file_type(self) -> ffi::apr_filetype_e {
        field!(self, finfo.filetype)
    }

    /// When the file was changed, in microseconds since the epoch.
    #[inline]
    pub fn file_mtime(self) -> i64 {
        field!(self, finfo.mtime)
    }

    /// Whether the configuration refuses path info (`AcceptPathInfo Off`).
    pub fn refuses_path_info(self) -> bool {
        field!(self, used_path_info) == ffi::AP_REQ_REJECT_PATH_INFO
    }

    /// Whether the client asked with HEAD.
    #[inline]
    pub fn is_head(self) -> bool {
        field!(self, header_only) != 0
    }

    /// Major version times 1000 plus minor version.
    #[inline]
    pub fn protocol_number(self) -> c_int {
        field!(self, proto_num)
    }

    /// When it began to arrive, in microseconds since the epoch.
    #[inline]
    pub fn time(self) -> i64 {
        field!(self, request_time)
    }
}

impl<'a> Connection<'a> {
    texts! {
        /// The server's end.
        local_addr: local_ip;
        /// The id of the connection in the logs, when it has got one.
        log_id: log_id;
    }

    /// The port at the server's end.
    #[inline]
    pub fn local_port(self) -> u16 {
        let address = field!(self, local_addr);
        // SAFETY: every connection has one, in its pool.
        unsafe { (*address).port }
    }

    /// The port at the peer's end.
    #[inline]
    pub fn remote_port(self) -> u16 {
        let address = field!(self, client_addr);
        // SAFETY: every connection has one, in its pool.
        unsafe { (*address).port }
    }

    /// Whether httpd knows that the client has gone.
    #[inline]
    pub fn is_aborted(self) -> bool {
        field!(self, aborted) != 0
    }

    /// Has the connection closed after this request.
    pub fn close_afterwards(self) {
        let record = self.as_raw();
        // SAFETY: the handle's record is alive, and this thread is the one that serves the connection.
        unsafe { (*record).keepalive = ffi::AP_CONN_CLOSE }
    }

    /// The client's socket, when requests come on it one after another; one stream of several (HTTP/2) has none.
    pub fn socket(self) -> Option<*mut ffi::apr_socket_t> {
        if !field!(self, master).is_null() {
            return None;
        }
        // SAFETY: the handle's record is alive.
        let socket = unsafe { ffi::ap_get_conn_socket(self.as_raw()) };
        (!socket.is_null()).then_some(socket)
    }

    /// The descriptor of that socket.
    pub fn descriptor(self) -> Option<BorrowedFd<'a>> {
        let socket = self.socket()?;
        let mut number = -1;
        // SAFETY: the connection's own socket; the number goes to our own variable.
        let status = unsafe { ffi::apr_os_sock_get(&raw mut number, socket) };
        // SAFETY: the connection has it open as long as its record lives.
        (status == ffi::APR_SUCCESS && number >= 0).then(|| unsafe { BorrowedFd::borrow_raw(number) })
    }

    /// Has it closed at once after this request, and in a way that no client takes for the end of a body: with a reset (RFC
    /// 9293 section 3.10.4), and under TLS without an alert before it.
    pub fn break_afterwards(self) {
        let Some(descriptor) = self.descriptor() else { return };
        // When it fails the client has gone.
        let _ = set_socket_linger(descriptor, Some(Duration::ZERO));
        let record = self.as_raw();
        // SAFETY: the handle's record is alive, and this thread is the one that serves the connection.
        unsafe { (*record).aborted = 1 }
    }
}

impl<'a> Server<'a> {
    texts! {
        /// `ServerAdmin`.
        admin: server_admin;
        /// `ServerName`.
        hostname: server_hostname;
        /// `ErrorLog`, as configured.
        error_log_name: error_fname;
    }

    /// Whether it is the main server, or which virtual host.
    pub fn host(self) -> Host {
        if field!(self, is_virtual) == 0 { Host::Main } else { Host::Virtual(self.raw.as_ptr().addr()) }
    }

    /// This server and those after it in httpd's list, of which the main server is the first.
    pub fn and_next(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |server| server.next())
    }

    /// How long it waits for a read or write (`Timeout`).
    pub fn timeout(self) -> Duration {
        Duration::from_micros(u64::try_from(field!(self, timeout)).unwrap_or(0))
    }

    /// The descriptor of its error log; `None` where that is no file and no program.
    pub fn error_log(self) -> Option<i32> {
        let file = field!(self, error_log);
        let mut number = -1;
        // SAFETY: a file is that of an open log, which lasts as long as the configuration; the number goes to our variable.
        let known =
            !file.is_null() && unsafe { ffi::apr_os_file_get(&raw mut number, file) } == ffi::APR_SUCCESS;
        known.then_some(number)
    }

    /// The next virtual host in httpd's list.
    fn next(self) -> Option<Self> {
        let next = field!(self, next);
        // SAFETY: not null, so a record of the same configuration.
        (!next.is_null()).then(|| unsafe { Self::from_raw(next) })
    }
}

impl<'a> Table<'a> {
    /// The value of the first entry of that name.
    #[inline]
    pub fn get(self, name: &CStr) -> Option<&'a [u8]> {
        // SAFETY: the handle's table is alive; C text.
        let value = unsafe { ffi::apr_table_get(self.as_raw(), name.as_ptr()) };
        // SAFETY: null, or C text in a pool that lives as long as the table.
        unsafe { bytes(value) }
    }

    /// Name and value of each entry, as they are now.
    #[inline]
    pub fn entries(self) -> Entries<'a> {
        // SAFETY: the handle's table is alive; its entries are the elements of the array it begins with.
        let array = unsafe { ffi::apr_table_elts(self.as_raw()) };
        // SAFETY: a table's array is never null; read by value.
        let (next, left) = unsafe { ((*array).elts.cast(), (*array).nelts) };
        Entries { next, left: usize::try_from(left).unwrap_or(0), owner: PhantomData }
    }
}

/// Entries of a table that nobody changes meanwhile.
#[derive(Debug)]
pub struct Entries<'a> {
    next: *const ffi::apr_table_entry_t,
    left: usize,
    owner: PhantomData<Table<'a>>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: `left` counts the elements from `next` on; read by value.
        let (key, value) = unsafe { ((*self.next).key, (*self.next).val) };
        // SAFETY: one past the last element at most.
        self.next = unsafe { self.next.add(1) };
        // SAFETY: C text in a pool that lives as long as the table; keys are never null.
        let key = unsafe { bytes(key) }.unwrap_or_default();
        // SAFETY: as above, and values may be null.
        Some((key, unsafe { bytes(value) }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_> {}

/// The bytes of C text; `None` for null.
///
/// # Safety
/// `text` is null, or C text that stays unchanged until `'a` ends.
#[inline]
pub unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, so C text by the caller's word.
    Some(unsafe { CStr::from_ptr(text) }.to_bytes())
}
