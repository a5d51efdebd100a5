//! Requests under way, looked at about once a second: a worker may have ended, or closed the connection, without anybody
//! noticing, for a child that it has left behind may hold its end open.

#![allow(unsafe_code, reason = "called by nginx; finds requests by address")]

use std::cell::RefCell;
use std::time::Duration;

use oxwsgi_core::daemon::board::Board;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::attempt::{Attempt, Lost, State};
use super::event::Event;
use super::exchange::Exchange;
use crate::nginx::ffi;
use crate::nginx::record::current_cycle;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

thread_local! {
    static WATCH: RefCell<Watch> = const { RefCell::new(Watch { exchanges: Vec::new(), timer: None }) };
}

/// All requests with a connection.
struct Watch {
    exchanges: Vec<*mut Exchange>,
    /// Set as long as there are any.
    timer: Option<Box<Event>>,
}

/// Looks after a request with a connection, until [`leave`].
pub fn enter(exchange: &mut Exchange) {
    WATCH.with_borrow_mut(|watch| {
        if exchange.watched.is_some() {
            return;
        }
        exchange.watched = Some(watch.exchanges.len());
        watch.exchanges.push(exchange);
        if watch.exchanges.len() > 1 && watch.timer.is_some() {
            return;
        }
        if watch.timer.is_none() {
            let Some(cycle) = current_cycle() else { return };
            let timer = Box::new(Event::new());
            // SAFETY: it stays in its box for the life of the process, and so does the log of the process.
            unsafe { timer.bind(on_timer, std::ptr::null_mut(), cycle.log().as_raw()) };
            // A process that ends need not wait for it.
            timer.set_cancelable();
            watch.timer = Some(timer);
        }
        if let Some(timer) = watch.timer.as_ref().filter(|timer| !timer.is_set()) {
            timer.start_timer(LOOK);
        }
    });
}

/// The request has no connection any more.
pub fn leave(exchange: &mut Exchange) {
    let Some(place) = exchange.watched.take() else { return };
    WATCH.with_borrow_mut(|watch| {
        watch.exchanges.swap_remove(place);
        if let Some(moved) = watch.exchanges.get(place) {
            // SAFETY: a request with a connection, which leaves before it goes; another one than the caller's.
            unsafe { (**moved).watched = Some(place) };
        }
    });
}

unsafe extern "C" fn on_timer(_event: *mut ffi::ngx_event_t) {
    catch!((), {
        WATCH.with_borrow_mut(|watch| {
            for exchange in &watch.exchanges {
                // SAFETY: a request with a connection, which leaves before it goes; nobody else uses it during the call.
                look_at(unsafe { &mut **exchange });
            }
            if let Some(timer) = watch.timer.as_ref().filter(|_| !watch.exchanges.is_empty()) {
                timer.start_timer(LOOK);
            }
        });
    });
}

/// What has been sent before an end is still there: the end counts when there was nothing more for a while.
fn look_at(exchange: &mut Exchange) {
    let Some(board) = &exchange.group.board else { return };
    let Some(attempt) = &mut exchange.attempt else { return };
    let ended = has_ended(attempt, board);
    if std::mem::replace(&mut attempt.seems_ended, ended) && ended {
        exchange.lose(Lost::Closed);
    }
}

fn has_ended(attempt: &Attempt, board: &Board) -> bool {
    let is_waiting = attempt.is_connected && attempt.state == State::Open && attempt.lost.is_none();
    if !is_waiting || !attempt.connection.has_ended(board) {
        return false;
    }
    let peeked = recv(attempt.connection.socket.socket(), &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Err(Errno::AGAIN))
}
