//! One request as its Python objects see it: what they share, and the way to the exchange while the request lasts.
//!
//! All cells and counts are used attached, which lets one thread at a time in; no borrow lasts across a detach, where another
//! thread of the application may come in with the same object. The exchange itself is used detached, under its lease.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{Exchange, Lease, Outflow, RemoteExchange, ReplyHead, Revoked, Send, SendError};
use oxwsgi_core::report::{Level, Lines};
use oxwsgi_core::request::{BodyLength, RequestView};

use crate::python::{Attached, PyResult};
use crate::wsgi::read_ahead::ReadAhead;
use crate::wsgi::settings::Settings;
use crate::wsgi::turn::Turn;

/// How far the reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `start_response` has not been called.
    Silent,
    /// Status and headers are known; nothing was sent.
    HeadKnown,
    /// Status and headers were sent; more may follow.
    HeadSent,
    /// All of the reply was sent.
    Complete,
}

/// What the objects of one request share.
#[derive(Debug)]
pub struct Transaction {
    settings: &'static Settings,
    outflow: Arc<Outflow>,
    open: Cell<bool>,
    touched: Cell<bool>,
    /// What is known of the request body's length.
    pub body: Cell<BodyLength>,
    /// The client asked with HEAD.
    pub is_head_request: Cell<bool>,
    content_filters: Cell<bool>,
    /// Reading the request body, from the bytes read ahead to those on the wire.
    pub reading: Turn,
    /// Request body bytes read but not yet asked for.
    pub read_ahead: RefCell<ReadAhead>,
    /// The reply's status and headers.
    pub head: RefCell<ReplyHead>,
    /// How far the reply is.
    pub stage: Cell<Stage>,
    /// Body bytes of the reply that were passed on.
    pub sent: Cell<u64>,
    lines: RefCell<Lines>,
}

impl Transaction {
    /// One that waits for a request.
    pub fn new(settings: &'static Settings) -> Rc<Self> {
        Rc::new(Self {
            settings,
            outflow: Arc::default(),
            open: Cell::new(false),
            touched: Cell::new(false),
            body: Cell::new(BodyLength::None),
            is_head_request: Cell::new(false),
            content_filters: Cell::new(false),
            reading: Turn::new(),
            read_ahead: RefCell::default(),
            head: RefCell::default(),
            stage: Cell::new(Stage::Silent),
            sent: Cell::new(0),
            lines: RefCell::default(),
        })
    }

    /// The right to use the exchange of the request.
    pub fn lease(&self) -> &Lease {
        self.outflow.lease()
    }

    /// Begins a request, inside a loan of its exchange.
    pub fn begin(&self, view: &RequestView<'_>) {
        self.open.set(true);
        self.touched.set(false);
        self.body.set(view.body);
        self.is_head_request.set(view.head);
        self.content_filters.set(view.content_filters);
        self.read_ahead.borrow_mut().reset();
        self.head.borrow_mut().clear();
        self.stage.set(Stage::Silent);
        self.sent.set(0);
    }

    /// The application is about to be called. Attached, for it takes no time.
    pub fn accepted(&self) {
        // The loan has just begun, and nobody else knows of it.
        let _ = self.outflow.lease().with(|exchange| exchange.accepted());
    }

    /// Ends the request: whatever an object does from now on raises. An exchange call that another thread is in
    /// finishes first.
    pub fn end(&self, py: Attached<'_>) {
        self.flush_lines(py);
        self.open.set(false);
        let lease = self.outflow.lease();
        if !lease.try_revoke() {
            py.detach(|| lease.revoke());
        }
    }

    /// Whether the request lasts.
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Notes that the log stream of this request was used in a way that may have changed it.
    pub fn touch(&self) {
        self.touched.set(true);
    }

    /// Whether the log stream was used, and so perhaps closed or given other settings.
    pub fn is_touched(&self) -> bool {
        self.touched.get()
    }

    /// Uses the exchange, detached.
    pub fn with_exchange<R: std::marker::Send>(
        &self,
        py: Attached<'_>,
        body: impl FnOnce(&mut RemoteExchange<'static>) -> R + std::marker::Send,
    ) -> Result<R, Revoked> {
        let lease = self.outflow.lease();
        py.detach(|| lease.with(body))
    }

    /// As [`with_exchange`](Self::with_exchange), to wait for the client; what there is of the reply goes out first, for the client
    /// may be waiting for that.
    pub fn with_client<R: std::marker::Send>(
        &self,
        py: Attached<'_>,
        body: impl FnOnce(&mut RemoteExchange<'static>) -> R + std::marker::Send,
    ) -> Result<R, Revoked> {
        let outflow = &self.outflow;
        py.detach(|| {
            outflow.push();
            outflow.lease().with(body)
        })
    }

    /// Sends body bytes, and the head before the first; bytes beyond the declared length are dropped.
    pub fn send(&self, py: Attached<'_>, data: &[u8], mut flags: Send) -> Result<(), SendError> {
        let data = &data[..self.take_quota(data.len())];
        if self.stage.get() == Stage::Complete {
            return Ok(());
        }
        if self.is_body_complete() {
            flags |= Send::LAST;
        }
        let blocks = [Bytes::new(data)];
        let blocks = if data.is_empty() { &[] } else { blocks.as_slice() };
        self.send_blocks(py, blocks, None, flags)
    }

    /// As [`send`](Self::send), for one of many blocks: it may be kept for a moment, and sent while the application goes on.
    pub fn stream(&self, py: Attached<'_>, data: &[u8]) -> Result<(), SendError> {
        let wanted = &data[..self.quota(data.len())];
        let is_last = self.head.borrow().content_length() == Some(self.sent.get() + wanted.len() as u64);
        let may_wait = self.stage.get() == Stage::HeadSent && !is_last && !self.content_filters.get();
        if may_wait && self.outflow.keep(wanted) {
            self.take_quota(wanted.len());
            return Ok(());
        }
        self.send(py, data, Send::FLUSH)
    }

    /// What [`stream`](Self::stream) has kept, for the end of the reply to send; or why what it kept before was not sent.
    pub fn take_kept(&self, py: Attached<'_>) -> Result<Vec<u8>, SendError> {
        self.outflow.try_take_kept().unwrap_or_else(|| {
            let outflow = &self.outflow;
            py.detach(|| outflow.take_kept())
        })
    }

    /// Sends blocks, and the head before the first. Their lengths have been counted with [`take_quota`](Self::take_quota).
    pub fn send_blocks(
        &self,
        py: Attached<'_>,
        blocks: &[Bytes<'_>],
        known_length: Option<u64>,
        flags: Send,
    ) -> Result<(), SendError> {
        // Taken out, for it must not be borrowed while detached; put back, for its memory serves the next request.
        let head = (self.stage.get() == Stage::HeadKnown).then(|| self.head.take());
        self.stage.set(if flags.has(Send::LAST) { Stage::Complete } else { Stage::HeadSent });
        let outflow = &self.outflow;
        let (head, result) = py.detach(move || {
            let result = outflow.send(head.as_ref(), known_length, blocks, flags);
            (head, result)
        });
        if let Some(head) = head {
            self.head.replace(head);
        }
        result
    }

    /// How many of `wanted` body bytes may still be sent; counts them.
    pub fn take_quota(&self, wanted: usize) -> usize {
        let taken = self.quota(wanted);
        self.sent.set(self.sent.get() + taken as u64);
        taken
    }

    fn quota(&self, wanted: usize) -> usize {
        let sent = self.sent.get();
        let declared = self.head.borrow().content_length();
        let left = declared
            .map_or(usize::MAX, |length| usize::try_from(length.saturating_sub(sent)).unwrap_or(usize::MAX));
        wanted.min(left)
    }

    /// Whether all bytes that the application declared have been counted.
    pub fn is_body_complete(&self) -> bool {
        self.head.borrow().content_length() == Some(self.sent.get())
    }

    /// Writes text to the request's log as whole lines.
    pub fn write_log(&self, py: Attached<'_>, level: Level, text: &[u8]) {
        let mut complete = Vec::new();
        self.lines.borrow_mut().write(text, |line| complete.push(line));
        self.log_lines(py, level, complete);
    }

    /// Writes an incomplete line as it is.
    pub fn flush_lines(&self, py: Attached<'_>) {
        let mut rest = Vec::new();
        self.lines.borrow_mut().flush(|line| rest.push(line));
        self.log_lines(py, Level::Error, rest);
    }

    /// Writes lines to the request's log, or to the server's when the request is over.
    pub fn log_lines(&self, py: Attached<'_>, level: Level, lines: Vec<Vec<u8>>) {
        if lines.is_empty() {
            return;
        }
        let log = self.settings.log;
        let lease = self.outflow.lease();
        py.detach(|| {
            let logged = lease.with(|exchange| lines.iter().for_each(|line| exchange.log(level, line)));
            if logged.is_err() {
                lines.iter().for_each(|line| log.write(level, line));
            }
        });
    }
}

/// A result in attached code that may also end because the reply cannot go on.
pub type SendResult<'py, T> = PyResult<'py, Result<T, SendError>>;
