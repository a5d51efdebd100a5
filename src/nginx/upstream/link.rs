//! A connection to a worker as nginx's loop knows it. Owned by whoever holds the handle: a request, the connections that
//! wait for one, or what is left of a reply.

#![allow(unsafe_code, reason = "makes and closes nginx's connections")]

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::event::Handler;
use crate::nginx::ffi;

/// How bytes are read from it while a request has it.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// `ngx_connection_t::recv`.
    pub bytes: unsafe extern "C" fn(*mut ffi::ngx_connection_t, *mut u8, usize) -> isize,
    /// `ngx_connection_t::recv_chain`.
    pub chain: unsafe extern "C" fn(*mut ffi::ngx_connection_t, *mut ffi::ngx_chain_t, ffi::off_t) -> isize,
}

/// A connection; closed when it is dropped.
#[derive(Debug)]
pub struct Link(NonNull<ffi::ngx_connection_t>);

/// Who uses a connection: the data of its events, and what they call.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// The connection's data.
    pub data: *mut c_void,
    /// Called when there is something to read, when the time is up, and when nginx ends.
    pub read: Handler,
}

impl Link {
    /// A record for a socket that does not block; none when nginx has no more of them (`worker_connections`).
    pub fn new(socket: OwnedFd, reader: Reader, log: *mut ffi::ngx_log_t) -> Option<Self> {
        // SAFETY: an open socket and a log; nginx makes a record of its own for it.
        let connection = unsafe { ffi::ngx_get_connection(socket.as_raw_fd(), log) };
        let link = Self(NonNull::new(connection)?);
        // From here on the record closes it.
        let _ = socket.into_raw_fd();
        // SAFETY: the loop's functions, set before any connection is made; read by value.
        let io = unsafe { ffi::ngx_io };
        // SAFETY: the loop's counter, which processes share.
        let counter = unsafe { ffi::ngx_connection_counter };
        // SAFETY: a record of our own, that nobody uses yet.
        let record = unsafe { &mut *connection };
        record.recv = Some(reader.bytes);
        record.recv_chain = Some(reader.chain);
        record.send = io.send;
        record.send_chain = io.send_chain;
        record.set_sendfile(1);
        record.set_tcp_nopush(ffi::NGX_TCP_NOPUSH_DISABLED);
        record.set_tcp_nodelay(ffi::NGX_TCP_NODELAY_DISABLED);
        // That a worker has closed it is not an error yet; who finds that out knows.
        record.set_log_error(ffi::NGX_ERROR_INFO);
        // SAFETY: as above; the counter is an atomic number.
        let number = unsafe { (*counter.cast::<AtomicUsize>()).fetch_add(1, Ordering::Relaxed) };
        record.number = number as _;
        // SAFETY: the loop's clock; read by value.
        record.start_time = unsafe { ffi::ngx_current_msec };
        link.set_log(log);
        // SAFETY: a connection has two events; there is room in a new socket.
        unsafe { (*record.write).set_ready(1) };
        Some(link)
    }

    /// For calls to nginx.
    #[inline]
    pub const fn as_raw(&self) -> *mut ffi::ngx_connection_t {
        self.0.as_ptr()
    }

    /// Its socket.
    #[inline]
    pub fn socket(&self) -> BorrowedFd<'_> {
        // SAFETY: the record has it open until it is closed, which is when the handle is dropped.
        unsafe { BorrowedFd::borrow_raw((*self.as_raw()).fd) }
    }

    /// The event of bytes that have come.
    #[inline]
    pub fn read(&self) -> *mut ffi::ngx_event_t {
        // SAFETY: a connection has two events; read by value.
        unsafe { (*self.as_raw()).read }
    }

    /// The event of room for bytes.
    #[inline]
    pub fn write(&self) -> *mut ffi::ngx_event_t {
        // SAFETY: a connection has two events; read by value.
        unsafe { (*self.as_raw()).write }
    }

    /// Asks the loop for what comes; false when it cannot.
    pub fn watch(&self) -> bool {
        // SAFETY: the event of a connection that is open.
        unsafe { ffi::ngx_handle_read_event(self.read(), 0) == ffi::NGX_OK }
    }

    /// Bytes that the request under way has sent on it.
    pub fn sent(&self) -> ffi::off_t {
        // SAFETY: the record is ours; read by value.
        unsafe { (*self.as_raw()).sent }
    }

    /// nginx's upstream module is not to end the request when the time for writing is up, but to try again.
    pub fn ignore_send_timeout(&self) {
        // SAFETY: a connection has two events, which nobody else uses during the call. `ngx_http_upstream_handler` takes such a
        // timer for one of its own, that only holds the connection back.
        unsafe { (*self.write()).set_delayed(1) };
    }

    /// Whether nothing has gone wrong with it.
    pub fn is_sound(&self) -> bool {
        // SAFETY: a connection has two events, which nobody else uses during the call.
        let (read, write) = unsafe { (&*self.read(), &*self.write()) };
        let is_over = read.eof() | read.error() | read.timedout() | write.error() | write.timedout();
        is_over == 0
    }

    /// A request takes it again.
    pub fn resume(&self, log: *mut ffi::ngx_log_t) {
        self.stop_timers();
        // SAFETY: the record is ours, and nobody else uses it during the call.
        let record = unsafe { &mut *self.as_raw() };
        record.set_idle(0);
        record.sent = 0;
        record.data = std::ptr::null_mut();
        self.set_log(log);
    }

    /// Hands it to another user than a request, for `limit` at most.
    pub fn hand_over(&self, user: User, limit: Duration) {
        self.stop_timers();
        // SAFETY: read by value.
        let log = unsafe { (*ffi::ngx_cycle).log };
        self.set_log(log);
        // SAFETY: the record is ours.
        unsafe { (*self.as_raw()).data = user.data };
        // SAFETY: a connection has two events, and this one is not waited for.
        unsafe { (*self.write()).handler = Some(nothing_to_do) };
        self.ignore_room();
        // SAFETY: as above.
        unsafe { (*self.read()).handler = Some(user.read) };
        let milliseconds = ffi::ngx_msec_t::try_from(limit.as_millis()).unwrap_or(ffi::ngx_msec_t::MAX / 4);
        // SAFETY: the event of a connection that is open.
        unsafe { ffi::shim_add_timer(self.read(), milliseconds) };
    }

    /// Says that nginx may close it when its process ends: nobody's request is on it.
    pub fn set_idle(&self) {
        // SAFETY: the record is ours.
        unsafe { (*self.as_raw()).set_idle(1) };
    }

    /// Has the loop not tell of room any more, once it was asked to: each byte that the worker takes makes some.
    fn ignore_room(&self) {
        // SAFETY: a connection has two events; read by value.
        let is_watched = unsafe { (*self.write()).active() } != 0;
        // SAFETY: the loop's functions, set before any connection is made; read by value.
        let stop = unsafe { ffi::ngx_event_actions.del };
        if let Some(stop) = stop.filter(|_| is_watched) {
            // SAFETY: the event of a connection that is open. When it fails, there is more to do than need be.
            unsafe { stop(self.write(), ffi::SHIM_WRITE_EVENT, 0) };
        }
    }

    fn stop_timers(&self) {
        for event in [self.read(), self.write()] {
            // SAFETY: a connection has two events, which nobody else uses during the call.
            let record = unsafe { &mut *event };
            record.set_delayed(0);
            if record.timer_set() != 0 {
                // SAFETY: it is in the loop's tree of timers.
                unsafe { ffi::shim_del_timer(event) };
            }
            if record.posted() != 0 {
                // SAFETY: it is in a queue of the loop's.
                unsafe { ffi::shim_delete_posted_event(event) };
            }
        }
    }

    fn set_log(&self, log: *mut ffi::ngx_log_t) {
        // SAFETY: the record is ours; read by value.
        let pool = unsafe { (*self.as_raw()).pool };
        // SAFETY: the record is ours.
        unsafe { (*self.as_raw()).log = log };
        // SAFETY: a connection has two events.
        unsafe { (*self.read()).log = log };
        // SAFETY: as above.
        unsafe { (*self.write()).log = log };
        if !pool.is_null() {
            // SAFETY: the connection's own pool.
            unsafe { (*pool).log = log };
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // SAFETY: the record is ours; read by value.
        let pool = unsafe { (*self.as_raw()).pool };
        if !pool.is_null() {
            // SAFETY: nginx's upstream module has made it for the connection, and holds nothing in it.
            unsafe { ffi::ngx_destroy_pool(pool) };
        }
        // SAFETY: the record is ours, and not used after this.
        unsafe { ffi::ngx_close_connection(self.as_raw()) };
    }
}

unsafe extern "C" fn nothing_to_do(_event: *mut ffi::ngx_event_t) {}
