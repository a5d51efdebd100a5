//! The exchange of a request that a daemon process answers: that of embedded mode, and what httpd does with the replies
//! of programs besides. A reply of 200 with a `Location` of this server is another request's reply; an error can be
//! httpd's own to word (`WSGIErrorOverride`). Used by the client of the group, on the request's thread.

#![allow(unsafe_code, reason = "calls httpd for its client's socket, and for an internal redirect")]

use std::ffi::{CStr, c_char};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{Exchange, FlowError, Head, Outcome, Send};
use oxwsgi_core::report::Level;

use crate::apache::exchange::{BrigadeExchange, Known};
use crate::apache::record::Request;
use crate::apache::{ffi, log};
use crate::daemon::client::ServerExchange;

/// What the client gets instead of the application's reply.
#[derive(Clone, Copy, Debug)]
enum Instead {
    /// The reply to another request: its URL, C text in the request's pool.
    Redirect(*mut c_char),
    /// httpd's page for this status.
    Error(u16),
}

/// How much is read of a reply that is not sent, in bytes, and for how long: after that the application is told that its
/// client has gone.
const MOST_UNSENT: u64 = 1 << 20;
const LONGEST_UNSENT: Duration = Duration::from_secs(5);

/// The exchange of one request.
#[derive(Debug)]
pub struct ProxiedExchange<'r> {
    inner: BrigadeExchange<'r>,
    error_override: bool,
    instead: Option<Instead>,
    /// Bytes of a reply that is not sent, and since when there is one.
    unsent: (u64, Option<Instant>),
    /// When the client was last seen to send some of the body, once that has been waited for.
    body_since: Option<Instant>,
    /// The timeout of the client's socket, where it is to be set back, in microseconds.
    timeout_before: Option<ffi::apr_interval_time_t>,
}

impl<'r> ProxiedExchange<'r> {
    /// The exchange of `request`; `error_override` leaves the pages of errors to httpd.
    #[inline]
    pub fn new(request: Request<'r>, enable_sendfile: bool, error_override: bool) -> Self {
        Self {
            inner: BrigadeExchange::proxied(request, enable_sendfile),
            error_override,
            instead: None,
            unsent: (0, None),
            body_since: None,
            timeout_before: None,
        }
    }

    /// What the handler answers httpd.
    pub fn finish(&mut self, outcome: Outcome) -> i32 {
        if let Some(before) = self.timeout_before.take() {
            self.set_socket_timeout(before);
        }
        match (self.instead.take(), outcome) {
            (Some(Instead::Redirect(location)), Outcome::Sent) => {
                // SAFETY: C text in the request's pool, made by `send_head`.
                redirect(self.inner.request(), unsafe { CStr::from_ptr(location) });
                ffi::OK
            }
            (Some(Instead::Error(status)), Outcome::Sent | Outcome::Broken) => status.into(),
            _ => self.inner.finish(outcome),
        }
    }

    /// What becomes of a reply with this head.
    fn instead_of(&self, head: &Head<'_>) -> Option<Instead> {
        if self.error_override && head.status >= 400 {
            return Some(Instead::Error(head.status));
        }
        if head.status != 200 {
            return None;
        }
        let location = head.headers.iter().rfind(|field| field.name.eq_ignore_ascii_case(b"location"))?;
        let path = location.value.starts_with(b"/").then_some(location.value)?;
        Some(Instead::Redirect(self.inner.request().pool().c_text(&path)))
    }

    /// Keeps what outlasts a reply that is not sent: httpd adds it to whatever it sends instead.
    fn keep_headers(&self, head: &Head<'_>) {
        let request = self.inner.request();
        // SAFETY: the handle's record is alive; read by value.
        let kept = unsafe { (*request.as_raw()).err_headers_out };
        for field in head.headers.iter() {
            if matches!(Known::of(&field.name), Known::SetCookie | Known::WwwAuthenticate) {
                let (name, value) = (request.pool().c_text(&field.name), request.pool().c_text(&field.value));
                // SAFETY: the request's own table; both texts live as long as the request.
                unsafe { ffi::apr_table_addn(kept, name, value) };
            }
        }
    }

    fn set_socket_timeout(&self, timeout: ffi::apr_interval_time_t) {
        if let Some(socket) = self.inner.request().connection().socket() {
            // SAFETY: the connection's own socket, on the thread that serves it. That it fails is no reason to fail.
            unsafe { ffi::apr_socket_timeout_set(socket, timeout) };
        }
    }

    /// How long httpd waits for a client (`Timeout`).
    fn server_timeout(&self) -> Duration {
        let server = self.inner.request().server().as_raw();
        // SAFETY: the handle's record is alive; read by value.
        let timeout = unsafe { (*server).timeout };
        Duration::from_micros(u64::try_from(timeout).unwrap_or(u64::MAX))
    }
}

impl Exchange for ProxiedExchange<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FlowError> {
        self.inner.read(buffer)
    }

    fn send_head(&mut self, head: &Head<'_>) -> Result<(), FlowError> {
        self.instead = self.instead_of(head);
        if self.instead.is_some() {
            self.unsent = (0, Some(Instant::now()));
            self.keep_headers(head);
            return Ok(());
        }
        self.inner.send_head(head)
    }

    fn send(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError> {
        if self.instead.is_some() {
            self.unsent.0 += blocks.iter().map(|block| block.len() as u64).sum::<u64>();
            return Ok(());
        }
        self.inner.send(blocks, flags)
    }

    fn send_file(&mut self, descriptor: i32, offset: u64, length: u64, flags: Send) -> Result<(), FlowError> {
        if self.instead.is_some() {
            return Ok(());
        }
        self.inner.send_file(descriptor, offset, length, flags)
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        self.inner.log(level, line);
    }

    fn error_text(&mut self) -> String {
        self.inner.error_text()
    }
}

impl ServerExchange for ProxiedExchange<'_> {
    fn try_read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, FlowError> {
        let found = self.inner.try_read(buffer)?;
        if found.is_some() {
            self.body_since = None;
            return Ok(found);
        }
        // httpd counts the time of reads that wait, and these do not.
        let limit = self.server_timeout();
        if self.body_since.get_or_insert_with(Instant::now).elapsed() >= limit {
            return Err(self.inner.input_timed_out());
        }
        Ok(None)
    }

    fn body_descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.request().connection().descriptor()
    }

    fn client_timeout(&self) -> Duration {
        let mut timeout = -1;
        if let Some(socket) = self.inner.request().connection().socket() {
            // SAFETY: the connection's own socket; the number goes to our own variable, which is for ever when it fails.
            unsafe { ffi::apr_socket_timeout_get(socket, &raw mut timeout) };
        }
        // A negative number is for ever.
        u64::try_from(timeout).map_or(Duration::MAX, Duration::from_micros)
    }

    fn wants_more(&self) -> bool {
        let (bytes, since) = self.unsent;
        since.is_none_or(|since| bytes <= MOST_UNSENT && since.elapsed() < LONGEST_UNSENT)
    }

    fn wants(&self, level: Level) -> bool {
        log::wants_request(self.inner.request(), level)
    }

    fn set_retry_after(&mut self, delay: Duration) {
        let request = self.inner.request();
        let seconds = request.pool().c_text(delay.as_secs().to_string().as_bytes());
        // SAFETY: the handle's record is alive; read by value.
        let kept = unsafe { (*request.as_raw()).err_headers_out };
        // SAFETY: the request's own table; both texts live as long as the request.
        unsafe { ffi::apr_table_setn(kept, c"Retry-After".as_ptr(), seconds) };
    }

    fn set_send_timeout(&mut self, limit: Duration) {
        let Some(socket) = self.inner.request().connection().socket() else { return };
        let mut before = 0;
        // SAFETY: the connection's own socket; the number goes to our own variable.
        if unsafe { ffi::apr_socket_timeout_get(socket, &raw mut before) } == ffi::APR_SUCCESS {
            self.timeout_before = Some(before);
            self.set_socket_timeout(i64::try_from(limit.as_micros()).unwrap_or(i64::MAX));
        }
    }
}

/// Has httpd serve a GET of `location` to the client of this request.
fn redirect(request: Request<'_>, location: &CStr) {
    let r = request.as_raw();
    // SAFETY: the handle's record is alive; read by value.
    if unsafe { (*r).expecting_100 } != 0 {
        // The client may or may not send its body now; nothing on this connection can be told from it.
        request.connection().close_afterwards();
        // SAFETY: as above.
        unsafe { (*r).expecting_100 = 0 };
    } else {
        // The other request has no body, so this one's must not be left for it.
        // SAFETY: as above. When it fails the connection is not kept.
        let status = unsafe { ffi::ap_discard_request_body(r) };
        if status != ffi::OK {
            request.connection().close_afterwards();
        }
    }
    // SAFETY: as above; the text is static.
    unsafe { (*r).method = c"GET".as_ptr() };
    // SAFETY: as above.
    unsafe { (*r).method_number = ffi::M_GET as _ };
    // SAFETY: as above; read by value.
    let headers = unsafe { (*r).headers_in };
    for name in [c"Content-Length", c"Transfer-Encoding"] {
        // SAFETY: the request's own table; C text.
        unsafe { ffi::apr_table_unset(headers, name.as_ptr()) };
    }
    // SAFETY: C text in the request's pool; httpd serves the other request on this thread, and returns.
    unsafe { ffi::ap_internal_redirect(location.as_ptr(), r) };
}
