//! The byte flows of a request over httpd's filters: the body through the input filters, the reply through the output
//! filters. The runtime calls it on the request's thread, or on another one that the application uses meanwhile, but
//! never on two at once.

#![allow(unsafe_code, reason = "writes a reply's head to httpd's record")]

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{Exchange, FlowError, Head, Outcome, Send};
use oxwsgi_core::report::Level;

use crate::apache::brigade::{Brigade, First, Status};
use crate::apache::record::Request;
use crate::apache::{ffi, log, request};

/// Asked of the input filters at once: what httpd reads from a socket at once.
const LEAST_READ: usize = 8 * 1024;

/// How far a reply has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing has been sent.
    Nothing,
    /// httpd has the head, and may still send another one.
    Head,
    /// The head is past the first filter.
    Body,
    /// So is the end.
    End,
}

/// The exchange of one request.
#[derive(Debug)]
pub struct BrigadeExchange<'r> {
    request: Request<'r>,
    enable_sendfile: bool,
    /// The reply comes from another process.
    is_proxied: bool,
    output: Option<Brigade<'r>>,
    input: Option<Brigade<'r>>,
    /// Bytes of the first input bucket that have been read.
    consumed: usize,
    input_ended: bool,
    stage: Stage,
    /// What the input filters answered when they failed.
    input_failure: Option<Status>,
    /// An output filter has sent an answer of its own instead of the reply (416 for a range beyond the end).
    superseded: bool,
    last_failure: Status,
}

impl<'r> BrigadeExchange<'r> {
    /// The exchange of `request`; file wrappers may use `sendfile` when `enable_sendfile`.
    #[inline]
    pub fn new(request: Request<'r>, enable_sendfile: bool) -> Self {
        Self {
            request,
            enable_sendfile,
            is_proxied: false,
            output: None,
            input: None,
            consumed: 0,
            input_ended: false,
            stage: Stage::Nothing,
            input_failure: None,
            superseded: false,
            last_failure: ffi::APR_SUCCESS,
        }
    }

    /// The exchange of a `request` that another process answers: its header fields, of one name no more than one, are joined
    /// with those that httpd has already, as from any program of httpd's (`Set-Cookie` and `WWW-Authenticate`, which cannot
    /// be joined, apart); and its files are not mapped, for whoever else can cut them short meanwhile must not bring down
    /// the server.
    #[inline]
    pub fn proxied(request: Request<'r>, enable_sendfile: bool) -> Self {
        Self { is_proxied: true, ..Self::new(request, enable_sendfile) }
    }

    /// The request.
    pub const fn request(&self) -> Request<'r> {
        self.request
    }

    /// Reads what has come of the body; `None` when nothing has.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, FlowError> {
        self.ask_for_body();
        if self.input_failure.is_some() {
            return Err(FlowError::Failed);
        }
        if self.input_ended {
            return Ok(Some(0));
        }
        match self.read_into(buffer, false) {
            Ok(count) => Ok(Some(count)),
            Err(status) if is_eagain(status) => Ok(None),
            Err(status) => Err(self.input_failed(status)),
        }
    }

    /// The client has not sent more of the body for too long.
    pub fn input_timed_out(&mut self) -> FlowError {
        self.input_failed(ffi::APR_TIMEUP as Status)
    }

    /// What the handler answers httpd.
    #[inline]
    pub fn finish(&mut self, outcome: Outcome) -> i32 {
        if self.superseded {
            return filter_error();
        }
        match outcome {
            Outcome::Sent => ffi::OK,
            Outcome::Refused(status) => self.refuse(status.into()),
            Outcome::Broken => self.break_off(),
            Outcome::ClientGone => self.abandon(),
            // There is no other process to take it.
            Outcome::Retry(_) => self.refuse(ffi::HTTP_SERVICE_UNAVAILABLE),
        }
    }

    /// httpd answers with an error page of its own.
    fn refuse(&mut self, status: i32) -> i32 {
        if self.stage > Stage::Head {
            return self.break_off();
        }
        if self.stage == Stage::Head {
            self.forget_head();
        }
        let answered = filter_error();
        if self.input_failure == Some(answered) {
            // The filter that refused the body has sent its own answer (413, 400).
            return answered;
        }
        status
    }

    /// What is sent is sent; what is missing must not look like an end.
    fn break_off(&mut self) -> i32 {
        if self.stage <= Stage::Head {
            return self.refuse(ffi::HTTP_INTERNAL_SERVER_ERROR);
        }
        self.request.connection().close_afterwards();
        if self.stage != Stage::End {
            self.stage = Stage::End;
            let output = self.output.get_or_insert_with(|| Brigade::new(self.request));
            output.append_broken();
            output.append_end();
            // Nothing is left to be done when this fails too.
            let _ = output.pass();
            if self.request.ends_with_connection() {
                self.request.connection().break_afterwards();
            }
        }
        ffi::OK
    }

    /// Nobody listens any more. The access log keeps the application's status, when it has given one.
    fn abandon(&mut self) -> i32 {
        if self.request.connection().is_aborted() {
            self.request.connection().close_afterwards();
            return ffi::OK;
        }
        let failure = self.input_failure.unwrap_or(ffi::APR_SUCCESS);
        // SAFETY: plain values.
        let status = unsafe { ffi::ap_map_http_request_error(failure, ffi::HTTP_BAD_REQUEST) };
        self.refuse(status)
    }

    /// Undoes `send_head`, as far as httpd's error page does not do so itself.
    fn forget_head(&mut self) {
        let r = self.request.as_raw();
        // SAFETY: the handle's record is alive; httpd then takes a line of its own.
        unsafe { (*r).status_line = std::ptr::null() };
        // SAFETY: as above.
        unsafe { (*r).status = ffi::HTTP_OK };
        // SAFETY: as above; read by value.
        let kept = unsafe { (*r).err_headers_out };
        // SAFETY: the request's own table, C text.
        unsafe { ffi::apr_table_unset(kept, c"WWW-Authenticate".as_ptr()) };
        self.stage = Stage::Nothing;
    }

    /// Sends the `100 Continue` that the client waits for. httpd's own filter does so only before a read that waits.
    fn ask_for_body(&self) {
        let r = self.request.as_raw();
        // SAFETY: the handle's record is alive; read by value.
        if unsafe { (*r).expecting_100 } == 0 || self.stage > Stage::Nothing {
            return;
        }
        // SAFETY: as above; nothing has been sent, so the status is nobody's yet.
        let status = unsafe { std::mem::replace(&mut (*r).status, ffi::HTTP_CONTINUE) };
        // SAFETY: as above.
        unsafe { ffi::ap_send_interim_response(r, 0) };
        // SAFETY: as above.
        unsafe { (*r).status = status };
    }

    /// Reads at least a byte; whether it waits for one is for `wait` to say.
    fn read_into(&mut self, buffer: &mut [u8], wait: bool) -> Result<usize, Status> {
        let request = self.request;
        let input = self.input.get_or_insert_with(|| Brigade::new(request));
        loop {
            match input.first()? {
                First::Bytes(bytes) => {
                    let rest = &bytes[self.consumed.min(bytes.len())..];
                    let count = rest.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&rest[..count]);
                    if count == rest.len() {
                        self.consumed = 0;
                        input.remove_first();
                    } else {
                        self.consumed += count;
                    }
                    if count > 0 || buffer.is_empty() {
                        return Ok(count);
                    }
                }
                First::Other => input.remove_first(),
                First::End => {
                    self.input_ended = true;
                    input.clear();
                    return Ok(0);
                }
                // Without a buffer it is only for the filters to ask for the body (`100 Continue`).
                First::Nothing => {
                    let wait = wait && !buffer.is_empty();
                    let filled = input.fill(buffer.len().max(LEAST_READ), wait);
                    // Some filters answer a read that does not wait with success and nothing.
                    let filled = filled
                        .and_then(|()| if wait || !input.is_empty() { Ok(()) } else { Err(libc::EAGAIN) });
                    match filled {
                        Err(status) if buffer.is_empty() && is_eagain(status) => return Ok(0),
                        filled => filled?,
                    }
                }
            }
        }
    }

    fn input_failed(&mut self, status: Status) -> FlowError {
        self.input_failure = Some(status);
        self.request.connection().close_afterwards();
        self.failure(status)
    }

    /// Whose fault it is.
    fn failure(&mut self, status: Status) -> FlowError {
        self.last_failure = status;
        // SAFETY: a plain value.
        let disconnected = unsafe { ffi::shim_status_is_disconnect(status) } != 0;
        if disconnected || self.request.connection().is_aborted() {
            FlowError::ClientGone
        } else {
            FlowError::Failed
        }
    }

    /// Whether this is a reply to HEAD of which the client has everything: mod_http2 drops the bytes of the body that come
    /// with the head, and sends those that come later. A filter of the content may still hold the head back.
    #[inline]
    fn has_all_of_head(&self) -> bool {
        self.stage >= Stage::Body && self.request.is_head() && !request::has_content_filters(self.request)
    }

    /// Sends what `fill` puts into the brigade.
    #[inline]
    fn pass(
        &mut self,
        flags: Send,
        fill: impl FnOnce(&mut Brigade<'r>) -> Result<(), Status>,
    ) -> Result<(), FlowError> {
        let request = self.request;
        let output = self.output.get_or_insert_with(|| Brigade::new(request));
        let result = fill(output).and_then(|()| {
            if flags == Send::MORE && output.is_empty() {
                // Filters decide much by the first brigade they see: an end with it lets them count and cut (ranges).
                return Ok(());
            }
            self.stage = Stage::Body;
            if flags.has(Send::LAST) {
                self.stage = Stage::End;
                // httpd takes the last bucket only for the end of the stream, so a flush goes after it on its own.
                output.append_end();
                output.pass()?;
            }
            if flags.has(Send::FLUSH) {
                output.append_flush();
                output.pass()?;
            } else if !flags.has(Send::LAST) {
                output.pass()?;
            }
            Ok(())
        });
        match result {
            Err(status) => {
                output.clear();
                if status == filter_error() {
                    // For the application that is as if its client had gone: nobody wants more, nobody is at fault.
                    self.superseded = true;
                    return Err(FlowError::ClientGone);
                }
                Err(self.failure(status))
            }
            Ok(()) if request.connection().is_aborted() => Err(FlowError::ClientGone),
            Ok(()) => Ok(()),
        }
    }
}

impl Exchange for BrigadeExchange<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FlowError> {
        if self.input_failure.is_some() {
            return Err(FlowError::Failed);
        }
        if self.input_ended {
            return Ok(0);
        }
        self.read_into(buffer, true).map_err(|status| self.input_failed(status))
    }

    fn send_head(&mut self, head: &Head<'_>) -> Result<(), FlowError> {
        let r = self.request.as_raw();
        let mut copy = Copies::for_head(self.request, head);
        // SAFETY: the handle's record is alive, and the text lives as long as it.
        unsafe { (*r).status_line = copy.add(&head.status_line) };
        // SAFETY: as above.
        unsafe { (*r).status = head.status.into() };
        // SAFETY: as above; read by value.
        if unsafe { (*r).expecting_100 } != 0 {
            // The client waits to be asked for a body that nobody has read. It may send it now or never (RFC 9110
            // section 10.1.1), so httpd must neither wait for it nor take it for another request.
            self.request.connection().close_afterwards();
            // And a read from now on must not put a `100 Continue` into the reply.
            // SAFETY: as above.
            unsafe { (*r).expecting_100 = 0 };
        }
        if head.content_length >= 0 {
            // SAFETY: as above.
            unsafe { ffi::ap_set_content_length(r, head.content_length) };
        }
        // SAFETY: as above; read by value.
        let headers = unsafe { (*r).headers_out };
        for field in head.headers.iter() {
            let known = Known::of(&field.name);
            let table = match known {
                Known::ContentType => {
                    // SAFETY: as above; the text lives as long as the request.
                    unsafe { ffi::ap_set_content_type(r, copy.add(&field.value)) };
                    continue;
                }
                // Said above, as a number; and framing is httpd's.
                Known::ContentLength | Known::TransferEncoding => continue,
                // These survive an ErrorDocument.
                // SAFETY: as above; read by value.
                Known::WwwAuthenticate => unsafe { (*r).err_headers_out },
                Known::SetCookie | Known::Not => headers,
            };
            let (name, value) = (copy.add(&field.name), copy.add(&field.value));
            if self.is_proxied && known == Known::Not {
                // Copies what was there; the client has joined fields of one name before.
                // SAFETY: the request's own table; both texts live as long as the request.
                unsafe { ffi::apr_table_mergen(table, name, value) };
            } else {
                // SAFETY: as above.
                unsafe { ffi::apr_table_addn(table, name, value) };
            }
        }
        self.stage = Stage::Head;
        Ok(())
    }

    fn send(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError> {
        let blocks = if self.has_all_of_head() { &[] } else { blocks };
        self.pass(flags, |output| {
            for block in blocks {
                if !block.is_empty() {
                    // SAFETY: passed before this call returns, and the caller lends the blocks for as long.
                    unsafe { output.append_borrowed(block) };
                }
            }
            Ok(())
        })
    }

    fn send_file(&mut self, descriptor: i32, offset: u64, length: u64, flags: Send) -> Result<(), FlowError> {
        if self.has_all_of_head() {
            return self.pass(flags, |_| Ok(()));
        }
        let (use_sendfile, is_foreign) = (self.enable_sendfile, self.is_proxied);
        self.pass(flags, |output| {
            if is_foreign {
                output.append_foreign_file(descriptor, offset, length, use_sendfile)
            } else {
                output.append_file(descriptor, offset, length, use_sendfile)
            }
        })
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        if log::wants_request(self.request, level) {
            log::request_line(self.request, level, line);
        }
    }

    fn error_text(&mut self) -> String {
        let status = self.last_failure;
        if status == filter_error() {
            return "An input filter has refused the request".to_owned();
        }
        if is_eagain(status) {
            return "Connection was terminated".to_owned();
        }
        // SAFETY: a plain value.
        if unsafe { ffi::shim_status_is_incomplete(status) } != 0 {
            return "The client ended the request before its body was complete".to_owned();
        }
        let mut text = [0; 120];
        // SAFETY: writable for its size; apr ends the text within it.
        let start = unsafe { ffi::apr_strerror(status, text.as_mut_ptr(), text.len()) };
        // SAFETY: our own buffer, which holds C text now.
        unsafe { CStr::from_ptr(start) }.to_string_lossy().into_owned()
    }
}

/// What a filter answers that has sent a reply of its own (`AP_FILTER_ERROR`).
fn filter_error() -> Status {
    // SAFETY: takes nothing.
    unsafe { ffi::shim_filter_error() }
}

fn is_eagain(status: Status) -> bool {
    // SAFETY: a plain value.
    unsafe { ffi::shim_status_is_eagain(status) != 0 }
}

/// Header fields of a reply that httpd keeps in places of their own, or that cannot be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the field it is named after")]
pub enum Known {
    ContentType,
    ContentLength,
    TransferEncoding,
    WwwAuthenticate,
    SetCookie,
    Not,
}

impl Known {
    /// Which of them a name is.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        // The length tells nearly all others apart.
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"set-cookie") => Self::SetCookie,
            12 if name.eq_ignore_ascii_case(b"content-type") => Self::ContentType,
            14 if name.eq_ignore_ascii_case(b"content-length") => Self::ContentLength,
            16 if name.eq_ignore_ascii_case(b"www-authenticate") => Self::WwwAuthenticate,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => Self::TransferEncoding,
            _ => Self::Not,
        }
    }
}

/// Copies of a head's texts as C text, in one piece of the request's memory.
struct Copies<'r> {
    room: &'r mut [MaybeUninit<u8>],
}

impl<'r> Copies<'r> {
    fn for_head(request: Request<'r>, head: &Head<'_>) -> Self {
        let fields = head.headers.iter().map(|field| field.name.len() + field.value.len() + 2);
        Self { room: request.pool().room(head.status_line.len() + 1 + fields.sum::<usize>()) }
    }

    #[inline]
    fn add(&mut self, text: &[u8]) -> *const c_char {
        let (copy, rest) = std::mem::take(&mut self.room).split_at_mut(text.len() + 1);
        self.room = rest;
        copy[..text.len()].write_copy_of_slice(text);
        copy[text.len()].write(0);
        copy.as_ptr().cast()
    }
}
