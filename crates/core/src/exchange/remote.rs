//! An exchange on the other side of the border between the two shared objects: its function table, the trampolines
//! that fill one in for any [`Exchange`], and the [`RemoteExchange`] that calls through one.

#![allow(
    unsafe_code,
    reason = "calls through C function pointers, and turns their arguments back into slices"
)]

use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;

use crate::borrowed::{Bytes, Slice};
use crate::boundary::guard;
use crate::exchange::{Exchange, FlowError, Head, Send};
use crate::report::Level;

const OK: i32 = 0;
const CLIENT_GONE: i32 = 1;
const FAILED: i32 = 2;

/// What the server's side gives the runtime to reach an exchange. All functions answer 0, 1 (client gone) or 2 (failed).
#[repr(C)]
pub struct ExchangeTable {
    accepted: unsafe extern "C" fn(*mut c_void),
    read: unsafe extern "C" fn(*mut c_void, *mut u8, usize, *mut usize) -> i32,
    send_head: unsafe extern "C" fn(*mut c_void, *const Head<'_>) -> i32,
    send: unsafe extern "C" fn(*mut c_void, *const Slice<'_, Bytes<'_>>, Send) -> i32,
    send_file: unsafe extern "C" fn(*mut c_void, i32, u64, u64, Send) -> i32,
    log: unsafe extern "C" fn(*mut c_void, Level, *const u8, usize),
    error_text: unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> usize,
}

impl fmt::Debug for ExchangeTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeTable").finish_non_exhaustive()
    }
}

/// A borrowed exchange of the other side. Used by one thread at a time.
#[repr(C)]
pub struct RemoteExchange<'a> {
    table: &'a ExchangeTable,
    context: *mut c_void,
    exchange: PhantomData<&'a mut ()>,
}

// SAFETY: an exchange is not bound to the thread it was made on, only to one user at a time, and `&mut self` on all
// methods sees to that.
unsafe impl std::marker::Send for RemoteExchange<'_> {}

impl fmt::Debug for RemoteExchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteExchange").finish_non_exhaustive()
    }
}

impl<'a> RemoteExchange<'a> {
    /// Lends `exchange` to the other side.
    pub fn new<E: Exchange>(exchange: &'a mut E) -> Self {
        Self {
            table: const { &table::<E>() },
            context: std::ptr::from_mut(exchange).cast(),
            exchange: PhantomData,
        }
    }

    /// The same exchange under a lifetime of the caller's choice.
    ///
    /// # Safety
    /// The result must not be used after `'a`, nor at the same time as `self`.
    pub unsafe fn extended<'b>(&mut self) -> RemoteExchange<'b> {
        // SAFETY: only the lifetime changes, and the caller answers for that.
        let table = unsafe { &*std::ptr::from_ref(self.table) };
        RemoteExchange { table, context: self.context, exchange: PhantomData }
    }
}

impl Exchange for RemoteExchange<'_> {
    fn accepted(&mut self) {
        // SAFETY: table and context belong together.
        unsafe { (self.table.accepted)(self.context) }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FlowError> {
        let mut count = 0;
        // SAFETY: the table belongs to the type behind `context` (see `new`), and the buffer is ours to write to.
        let code =
            unsafe { (self.table.read)(self.context, buffer.as_mut_ptr(), buffer.len(), &raw mut count) };
        result(code)?;
        // The other side is our own code, yet a count beyond the buffer must not become a slice.
        Ok(count.min(buffer.len()))
    }

    fn send_head(&mut self, head: &Head<'_>) -> Result<(), FlowError> {
        // SAFETY: table and context belong together; the head is borrowed for the call only.
        result(unsafe { (self.table.send_head)(self.context, head) })
    }

    fn send(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError> {
        let blocks = Slice::new(blocks);
        // SAFETY: table and context belong together; the blocks are borrowed for the call only.
        result(unsafe { (self.table.send)(self.context, &raw const blocks, flags) })
    }

    fn send_file(&mut self, descriptor: i32, offset: u64, length: u64, flags: Send) -> Result<(), FlowError> {
        // SAFETY: table and context belong together; the rest are plain values.
        result(unsafe { (self.table.send_file)(self.context, descriptor, offset, length, flags) })
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        // SAFETY: table and context belong together; the line is borrowed for the call only.
        unsafe { (self.table.log)(self.context, level, line.as_ptr(), line.len()) }
    }

    fn error_text(&mut self) -> String {
        let mut text = [0; 256];
        // SAFETY: table and context belong together; the buffer is ours to write to.
        let length = unsafe { (self.table.error_text)(self.context, text.as_mut_ptr(), text.len()) };
        String::from_utf8_lossy(&text[..length.min(text.len())]).into_owned()
    }
}

const fn result(code: i32) -> Result<(), FlowError> {
    match code {
        OK => Ok(()),
        CLIENT_GONE => Err(FlowError::ClientGone),
        _ => Err(FlowError::Failed),
    }
}

const fn code(result: Result<(), FlowError>) -> i32 {
    match result {
        Ok(()) => OK,
        Err(FlowError::ClientGone) => CLIENT_GONE,
        Err(FlowError::Failed) => FAILED,
    }
}

const fn table<E: Exchange>() -> ExchangeTable {
    ExchangeTable {
        accepted: accepted::<E>,
        read: read::<E>,
        send_head: send_head::<E>,
        send: send::<E>,
        send_file: send_file::<E>,
        log: log::<E>,
        error_text: error_text::<E>,
    }
}

/// # Safety
/// `context` comes from `RemoteExchange::new::<E>` and is used by nobody else during the call.
unsafe fn exchange<'a, E: Exchange>(context: *mut c_void) -> &'a mut E {
    // SAFETY: `new` made it from a `&mut E`, and the caller is its only user.
    unsafe { &mut *context.cast() }
}

unsafe extern "C" fn accepted<E: Exchange>(context: *mut c_void) {
    // SAFETY: called through a `RemoteExchange` of this `E` only.
    let exchange = unsafe { exchange::<E>(context) };
    guard(|| exchange.accepted(), |_| ());
}

unsafe extern "C" fn read<E: Exchange>(
    context: *mut c_void,
    start: *mut u8,
    length: usize,
    count: *mut usize,
) -> i32 {
    // SAFETY: called through a `RemoteExchange` of this `E` only.
    let exchange = unsafe { exchange::<E>(context) };
    // SAFETY: the caller passes a buffer of its own and its length; `u8` needs no initialisation that could be missed,
    // for callers zero or own it.
    let buffer = unsafe { std::slice::from_raw_parts_mut(start, length) };
    let body = || {
        code(exchange.read(buffer).map(|n| {
            // SAFETY: the caller passes the address of its own variable.
            unsafe { *count = n };
        }))
    };
    guard(body, |_| FAILED)
}

unsafe extern "C" fn send_head<E: Exchange>(context: *mut c_void, head: *const Head<'_>) -> i32 {
    // SAFETY: called through a `RemoteExchange` of this `E` only.
    let exchange = unsafe { exchange::<E>(context) };
    // SAFETY: the caller passes a reference.
    let head = unsafe { &*head };
    guard(|| code(exchange.send_head(head)), |_| FAILED)
}

unsafe extern "C" fn send<E: Exchange>(
    context: *mut c_void,
    blocks: *const Slice<'_, Bytes<'_>>,
    flags: Send,
) -> i32 {
    // SAFETY: called through a `RemoteExchange` of this `E` only.
    let exchange = unsafe { exchange::<E>(context) };
    // SAFETY: the caller passes a reference.
    let blocks = unsafe { &*blocks };
    guard(|| code(exchange.send(blocks, flags)), |_| FAILED)
}

unsafe extern "C" fn send_file<E: Exchange>(
    context: *mut c_void,
    descriptor: i32,
    offset: u64,
    length: u64,
    flags: Send,
) -> i32 {
    // SAFETY: called through a `RemoteExchange` of this `E` only.
    let exchange = unsafe { exchange::<E>(context) };
    guard(|| code(exchange.send_file(descriptor, offset, length, flags)), |_| FAILED)
}

unsafe extern "C" fn log<E: Exchange>(context: *mut c_void, level: Level, start: *const u8, length: usize) {
    // SAFETY: called through a `RemoteExchange` of this `E` only.
    let exchange = unsafe { exchange::<E>(context) };
    // SAFETY: the caller passes a slice's parts.
    let line = unsafe { std::slice::from_raw_parts(start, length) };
    guard(|| exchange.log(level, line), |_| ());
}

unsafe extern "C" fn error_text<E: Exchange>(context: *mut c_void, start: *mut u8, size: usize) -> usize {
    // SAFETY: called through a `RemoteExchange` of this `E` only.
    let exchange = unsafe { exchange::<E>(context) };
    // SAFETY: the caller passes its own initialised buffer and its size.
    let buffer = unsafe { std::slice::from_raw_parts_mut(start, size) };
    let body = || {
        let text = exchange.error_text();
        let length = text.len().min(buffer.len());
        buffer[..length].copy_from_slice(&text.as_bytes()[..length]);
        length
    };
    guard(body, |_| 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::MemoryExchange;

    #[test]
    fn calls_reach_the_exchange_and_answers_come_back() {
        let mut memory = MemoryExchange::with_body(b"abc");
        let mut remote = RemoteExchange::new(&mut memory);
        let mut buffer = [0; 2];
        assert_eq!(remote.read(&mut buffer), Ok(2));
        assert_eq!(&buffer, b"ab");
        remote.log(Level::Error, b"line");
        assert_eq!(remote.send(&[Bytes::new(b"x")], Send::LAST), Ok(()));
        memory.client_is_gone = true;
        assert_eq!(RemoteExchange::new(&mut memory).send(&[], Send::MORE), Err(FlowError::ClientGone));
        assert_eq!(memory.sent, b"x");
        assert_eq!(memory.logged, [(Level::Error, b"line".to_vec())]);
    }
}
