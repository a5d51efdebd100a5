//! Sends what the application returned (PEP 3333, "Buffering and Streaming" and "Handling the Content-Length Header").

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::exchange::{Exchange, Outcome, RemoteExchange, ReplyHead, Send, SendError, send};
use oxwsgi_core::os::file;
use oxwsgi_core::report::{Level, Number};
use oxwsgi_core::request::ScriptTitle;

use crate::python::{Attached, Blocks, Exception, Obj, PyResult, Raised, RaisedException};
use crate::wsgi::file_wrapper::FileRange;
use crate::wsgi::host::Host;
use crate::wsgi::report::Report;
use crate::wsgi::traceback::{self, Event};
use crate::wsgi::transaction::{SendResult, Stage, Transaction};

/// A body up to this size is copied, so that the thread can detach once and for all before it is written, in bytes.
const COLLECTED: usize = 64 * 1024;

/// What is left to do when the thread has detached.
#[derive(Debug)]
pub enum Ending {
    /// Nothing.
    Over(Outcome),
    /// To send these bytes, the last of the reply.
    Last(Rest),
}

/// The end of a reply, in memory of our own.
#[derive(Debug)]
pub struct Rest {
    head: Option<ReplyHead>,
    known_length: Option<u64>,
    body: Vec<u8>,
    outcome: Outcome,
}

/// How the body went.
enum Body {
    /// All of it is here and nothing was sent.
    Collected(Vec<u8>),
    /// It was sent block by block.
    Sent,
}

/// Sends `result`, calls its `close`, and says how the reply ends. `body` is empty memory to collect a body in.
pub fn deliver(
    py: Attached<'_>,
    host: &Host,
    transaction: &Transaction,
    result: Obj<'_>,
    script: ScriptTitle<'_>,
    body: Vec<u8>,
) -> Ending {
    let blocks = result.exact_items();
    // A plain list has nothing to close.
    let close = if blocks.is_some() { None } else { close_of(py, host, transaction, &result, script) };
    let sent = match blocks {
        Some(blocks) => send_all(py, transaction, &blocks, body),
        None => send_each(py, host, transaction, &result),
    };
    let mut sent = match sent {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => Err(stopped(py, transaction, error)),
        Err(raised) => Err(failed(py, host, transaction, raised.take(), script)),
    };
    if let Some(close) = close {
        sent = sent.and_then(|body| complete_before_close(py, transaction).map(|()| body));
        if let Err(raised) = close.call_no_args() {
            report_close(py, host, transaction, raised, script);
        }
    }
    match sent {
        Ok(body) => finish(py, transaction, body),
        Err(Outcome::Broken) => match transaction.take_kept(py) {
            Ok(body) if !body.is_empty() => Ending::Last(Rest::broken(body)),
            _ => Ending::Over(Outcome::Broken),
        },
        Err(outcome) => Ending::Over(outcome),
    }
}

/// Reports an exception of the application; what the client gets depends on how far the reply was.
pub fn failed(
    py: Attached<'_>,
    host: &Host,
    transaction: &Transaction,
    exception: RaisedException<'_>,
    script: ScriptTitle<'_>,
) -> Outcome {
    let stage = transaction.stage.get();
    let is_interrupt = exception.is_of(host.types().request_timeout.get(py));
    if is_interrupt {
        // Said to be a process's own doing, so its traceback would only look like a defect of the application.
        let end = if matches!(stage, Stage::HeadSent) {
            "after headers sent; response truncated"
        } else {
            "thread recovered"
        };
        let text = format!("Request interrupted by RequestTimeout; {end}.");
        Report::Request(transaction).write(py, Level::Info, vec![text]);
    } else {
        let doing = "processing";
        let event = Event { number: Number(174), exit_number: Number(175), doing, script };
        traceback::report(py, host.place(), Report::Request(transaction), event, &exception);
    }
    match stage {
        Stage::Silent | Stage::HeadKnown => Outcome::Refused(if is_interrupt { 504 } else { 500 }),
        Stage::HeadSent => Outcome::Broken,
        Stage::Complete => Outcome::Sent,
    }
}

/// Sends the end of a reply, detached.
pub fn send_rest(exchange: &mut RemoteExchange<'_>, rest: &Rest) -> Outcome {
    let block = [Bytes::new(&rest.body)];
    let blocks = if rest.body.is_empty() { &[] } else { block.as_slice() };
    let flags = if rest.outcome == Outcome::Broken { Send::FLUSH } else { Send::LAST | Send::DONE };
    match send(exchange, rest.head.as_ref(), rest.known_length, blocks, flags) {
        Ok(()) => rest.outcome,
        Err(SendError::ClientGone | SendError::Revoked) => Outcome::ClientGone,
        Err(SendError::Failed(text)) => {
            let line = format!("{}: Failed to write response data: {text}", Number(1004));
            exchange.log(Level::Error, line.as_bytes());
            Outcome::Broken
        }
    }
}

impl Rest {
    /// The last that the client gets of a reply that cannot be completed.
    const fn broken(body: Vec<u8>) -> Self {
        Self { head: None, known_length: None, body, outcome: Outcome::Broken }
    }

    /// Its memory, for the next reply.
    pub fn into_memory(self) -> (Option<ReplyHead>, Vec<u8>) {
        (self.head, self.body)
    }
}

/// A whole body at once: its length is known, and nothing is sent between two blocks.
fn send_all<'py>(
    py: Attached<'py>,
    transaction: &Transaction,
    blocks: &Blocks<'_, 'py>,
    mut body: Vec<u8>,
) -> SendResult<'py, Body> {
    let mut total = 0;
    for block in blocks.clone() {
        total += bytes_of(py, &block)?.len();
    }
    started(py, transaction)?;
    if total <= COLLECTED {
        for block in blocks.clone() {
            body.extend_from_slice(bytes_of(py, &block)?);
        }
        body.truncate(transaction.take_quota(body.len()));
        return Ok(Ok(Body::Collected(body)));
    }
    // Own references: another thread of the application may change the list while this one sends.
    let held: Vec<Obj<'py>> = blocks.clone().collect();
    let known = known_length(transaction, total as u64);
    let mut slices = Vec::with_capacity(held.len());
    for block in &held {
        let bytes = bytes_of(py, block)?;
        let bytes = &bytes[..transaction.take_quota(bytes.len())];
        if !bytes.is_empty() {
            slices.push(Bytes::new(bytes));
        }
    }
    if transaction.stage.get() == Stage::Complete {
        return Ok(Ok(Body::Sent));
    }
    let flags = if is_short(transaction) { Send::MORE } else { Send::LAST };
    Ok(transaction.send_blocks(py, &slices, known, flags).map(|()| Body::Sent))
}

/// Block after block, each on its way before the next is asked for.
fn send_each<'py>(
    py: Attached<'py>,
    host: &Host,
    transaction: &Transaction,
    result: &Obj<'py>,
) -> SendResult<'py, Body> {
    if let Some(wrapper) = host.types().file_wrapper.value(result)
        && transaction.stage.get() == Stage::HeadKnown
        && let Some(range) = wrapper.range(py)?
    {
        return Ok(send_file(py, transaction, range).map(|()| Body::Sent));
    }
    let blocks = result.iterate()?;
    while let Some(block) = blocks.next()? {
        let bytes = bytes_of(py, &block)?;
        if bytes.is_empty() {
            continue;
        }
        started(py, transaction)?;
        if let Err(error) = transaction.stream(py, bytes) {
            return Ok(Err(error));
        }
    }
    started(py, transaction)?;
    Ok(Ok(Body::Sent))
}

fn send_file(py: Attached<'_>, transaction: &Transaction, range: FileRange) -> Result<(), SendError> {
    let known = known_length(transaction, range.length);
    let length = transaction.take_quota(usize::try_from(range.length).unwrap_or(usize::MAX)) as u64;
    if transaction.is_head_request.get() {
        return transaction.send_blocks(py, &[], known, Send::LAST);
    }
    let flags = if is_short(transaction) { Send::MORE } else { Send::LAST };
    transaction.send_blocks(py, &[], known, Send::MORE)?;
    transaction.stage.set(if flags.has(Send::LAST) { Stage::Complete } else { Stage::HeadSent });
    let sent = transaction.with_exchange(py, |exchange| {
        // Sending may move the position that the application's own file object relies on.
        let position = file::position(range.descriptor);
        let sent = exchange.send_file(range.descriptor, range.offset, length, flags);
        if let Ok(position) = position {
            // It was a valid position of this file a moment ago.
            let _ = file::set_position(range.descriptor, position);
        }
        sent.map_err(|error| SendError::explain(exchange, error))
    });
    sent?
}

fn bytes_of<'a, 'py>(py: Attached<'py>, block: &'a Obj<'py>) -> PyResult<'py, &'a [u8]> {
    block.as_bytes().ok_or_else(|| {
        py.raise(Exception::Type, format!("response iterable must yield bytes, not {}", block.type_name()))
    })
}

fn started<'py>(py: Attached<'py>, transaction: &Transaction) -> PyResult<'py, ()> {
    if transaction.stage.get() != Stage::Silent {
        return Ok(());
    }
    Err(py.raise(Exception::Runtime, "start_response() must be called before response content is produced"))
}

/// The length of a body that is known as a whole. A reply to HEAD without a body says nothing of the length that GET
/// would have, and 204 and 304 have none.
fn known_length(transaction: &Transaction, total: u64) -> Option<u64> {
    let says_something = total > 0 || !transaction.is_head_request.get();
    (says_something && transaction.head.borrow().allows_body()).then_some(total)
}

/// Whether the application declared more than it gave.
fn is_short(transaction: &Transaction) -> bool {
    let head = transaction.head.borrow();
    head.content_length().is_some_and(|length| length > transaction.sent.get())
        && head.allows_body()
        && !transaction.is_head_request.get()
}

/// `close` may take its time, and a client must not wait for it to learn that the reply is complete.
fn complete_before_close(py: Attached<'_>, transaction: &Transaction) -> Result<(), Outcome> {
    if transaction.stage.get() == Stage::Complete || is_short(transaction) {
        return Ok(());
    }
    let known = if transaction.stage.get() == Stage::HeadKnown { known_length(transaction, 0) } else { None };
    let sent = transaction.send_blocks(py, &[], known, Send::FLUSH | Send::LAST);
    sent.map_err(|error| stopped(py, transaction, error))
}

fn finish(py: Attached<'_>, transaction: &Transaction, body: Body) -> Ending {
    let outcome = if is_short(transaction) {
        let declared = transaction.head.borrow().content_length().unwrap_or_default();
        let text = format!(
            "{}: The response body is shorter than its Content-Length: expected {declared} bytes, response generated {}. \
             The connection is closed, so that the client can tell.",
            Number(1005),
            transaction.sent.get()
        );
        Report::Request(transaction).write(py, Level::Warning, vec![text]);
        Outcome::Broken
    } else {
        Outcome::Sent
    };
    let stage = transaction.stage.get();
    if stage == Stage::Complete {
        return Ending::Over(outcome);
    }
    let (body, known_length) = match body {
        Body::Collected(body) if stage == Stage::HeadKnown => {
            let known = known_length(transaction, body.len() as u64);
            (body, known)
        }
        Body::Collected(body) => (body, None),
        Body::Sent => match transaction.take_kept(py) {
            Ok(body) => (body, None),
            Err(error) => return Ending::Over(stopped(py, transaction, error)),
        },
    };
    transaction.stage.set(Stage::Complete);
    let head = (stage == Stage::HeadKnown).then(|| transaction.head.take());
    Ending::Last(Rest { head, known_length, body, outcome })
}

fn stopped(py: Attached<'_>, transaction: &Transaction, error: SendError) -> Outcome {
    match error {
        SendError::ClientGone | SendError::Revoked => Outcome::ClientGone,
        SendError::Failed(text) => {
            let line = format!("{}: Failed to write response data: {text}", Number(1004));
            Report::Request(transaction).write(py, Level::Error, vec![line]);
            Outcome::Broken
        }
    }
}

/// The `close` that is to be called whatever happens (PEP 3333, "The Application/Framework Side").
fn close_of<'py>(
    py: Attached<'py>,
    host: &Host,
    transaction: &Transaction,
    result: &Obj<'py>,
    script: ScriptTitle<'_>,
) -> Option<Obj<'py>> {
    result.attribute_if_any(host.close_name(py)).unwrap_or_else(|raised| {
        report_close(py, host, transaction, raised, script);
        None
    })
}

fn report_close(
    py: Attached<'_>,
    host: &Host,
    transaction: &Transaction,
    raised: Raised<'_>,
    script: ScriptTitle<'_>,
) {
    let doing = "closing the response of";
    let event = Event { number: Number(194), exit_number: Number(194), doing, script };
    traceback::report(py, host.place(), Report::Request(transaction), event, &raised.take());
}
