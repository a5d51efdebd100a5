//! How nginx reads from a worker: as it reads anything else, but for the descriptors that come beside the bytes, and that the
//! end of a connection is for the [request](super::exchange) to judge.

#![allow(unsafe_code, reason = "nginx calls it with its own buffers")]

use std::io::IoSliceMut;
use std::os::fd::BorrowedFd;
use std::slice;

use oxwsgi_client::received::{self, Enclosed, Received};
use oxwsgi_client::reply::Stage;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::attempt::Lost;
use super::exchange::Exchange;
use super::link::Reader;
use crate::nginx::ffi;

/// The most buffers that are filled at once.
const MOST: usize = 64;

/// How a connection of a request is read.
pub const READER: Reader = Reader { bytes: receive, chain: receive_chain };

const AGAIN: isize = ffi::NGX_AGAIN;
const ERROR: isize = ffi::NGX_ERROR;

/// `ngx_connection_t::recv`.
unsafe extern "C" fn receive(connection: *mut ffi::ngx_connection_t, start: *mut u8, size: usize) -> isize {
    catch!(ERROR, {
        // SAFETY: nginx's own buffer, which it has for this.
        let room = unsafe { slice::from_raw_parts_mut(start, size) };
        // SAFETY: nginx calls it for a connection of a request of ours.
        unsafe { receive_into(connection, &mut [IoSliceMut::new(room)], size) }
    })
}

/// `ngx_connection_t::recv_chain`: fills the free ends of buffers.
unsafe extern "C" fn receive_chain(
    connection: *mut ffi::ngx_connection_t,
    chain: *mut ffi::ngx_chain_t,
    limit: ffi::off_t,
) -> isize {
    catch!(ERROR, {
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let mut rooms: Vec<IoSliceMut<'_>> = Vec::new();
        let (mut size, mut link) = (0, chain);
        while !link.is_null() && rooms.len() < MOST && size < limit {
            // SAFETY: a link of the chain, whose buffer's free end is there to be filled.
            let room = unsafe {
                let buffer = (*link).buf;
                let free = (*buffer).end.offset_from_unsigned((*buffer).last);
                slice::from_raw_parts_mut((*buffer).last, free.min(limit - size))
            };
            size += room.len();
            rooms.push(IoSliceMut::new(room));
            // SAFETY: as above; read by value.
            link = unsafe { (*link).next };
        }
        // SAFETY: nginx calls it for a connection of a request of ours.
        unsafe { receive_into(connection, &mut rooms, size) }
    })
}

/// # Safety
/// The connection is that of a request of ours, which uses it.
unsafe fn receive_into(
    connection: *mut ffi::ngx_connection_t,
    rooms: &mut [IoSliceMut<'_>],
    size: usize,
) -> isize {
    // SAFETY: a connection has this event.
    let event = unsafe { &mut *(*connection).read };
    if event.ready() == 0 {
        return AGAIN;
    }
    // SAFETY: nginx's upstream module has made the request the connection's data.
    let exchange = unsafe { Exchange::of((*connection).data.cast()) };
    // SAFETY: the request is alive, so is its exchange; nobody else uses it during the call.
    let exchange = unsafe { &mut *exchange };
    // A complete reply is not waited for, so nginx must not begin to count the worker's time while the client takes its own.
    let is_complete = exchange.stage() == Stage::Complete;
    if exchange.is_read() && is_complete {
        return AGAIN;
    }
    if exchange.is_read() {
        event.set_ready(0);
        return exchange.answer_when_over(event);
    }
    // SAFETY: open as long as the connection's record is in use.
    let socket = unsafe { BorrowedFd::borrow_raw((*connection).fd) };
    match received::receive(socket, rooms, RecvFlags::DONTWAIT) {
        Ok(Received { count: 0, .. }) => lost(exchange, event, Lost::Closed),
        Ok(Received { count, enclosed }) => {
            // The kernel stops behind bytes with a descriptor; otherwise what is short is all there was.
            let is_all = count < size && matches!(enclosed, Enclosed::Nothing);
            if is_all && event.pending_eof() == 0 {
                event.set_ready(0);
            }
            exchange.take_enclosed(enclosed);
            count as isize
        }
        Err(Errno::AGAIN) => {
            event.set_ready(is_complete.into());
            AGAIN
        }
        Err(Errno::CONNRESET) => lost(exchange, event, Lost::Closed),
        Err(error) => lost(exchange, event, Lost::Unreadable(error.into())),
    }
}

fn lost(exchange: &mut Exchange, event: &mut ffi::ngx_event_t, why: Lost) -> isize {
    event.set_ready(0);
    exchange.lose(why);
    exchange.answer_when_over(event)
}
