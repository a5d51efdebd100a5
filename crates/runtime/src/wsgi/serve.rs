//! Serves one request, from its head to the last byte of the reply. Called on a thread of the server.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use oxwsgi_core::boundary::guard;
use oxwsgi_core::exchange::{Exchange, Outcome, RemoteExchange, ReplyHead, RetryReason};
use oxwsgi_core::report::{Level, Number};
use oxwsgi_core::request::RequestView;

use crate::python::Attached;
use crate::wsgi::error_log;
use crate::wsgi::host::Host;
use crate::wsgi::loading::Search;
use crate::wsgi::process::{EnterError, Process};
use crate::wsgi::reply::{self, Ending};
use crate::wsgi::report::Report;
use crate::wsgi::toolkit::Toolkit;
use crate::wsgi::transaction::Stage;

/// Memory for a collected reply that is not kept when it has grown beyond this, in bytes.
const KEPT: usize = 64 * 1024;

thread_local! {
    // 1-based number of the thread among those that serve; 0 before its first request.
    static THREAD_ID: Cell<u32> = const { Cell::new(0) };
    // Memory of the last collected reply on this thread, for the next one.
    static SPARE: RefCell<(ReplyHead, Vec<u8>)> = RefCell::default();
}

static THREADS: AtomicU32 = AtomicU32::new(0);

/// Serves `view` through `exchange`. See `RuntimeTable::serve`.
pub fn serve(view: &RequestView<'_>, exchange: &mut RemoteExchange<'_>) -> Outcome {
    let Some(process) = Process::current() else {
        exchange.log(Level::Error, b"WSGI0210: Python is not initialised in this process.");
        return Outcome::Refused(500);
    };
    match process.enter(&view.target.application_group, |py, host| attend(py, host, view, exchange)) {
        Ok(Ending::Over(outcome)) => outcome,
        Ok(Ending::Last(rest)) => {
            let outcome = reply::send_rest(exchange, &rest);
            let (head, mut body) = rest.into_memory();
            body.clear();
            body.shrink_to(KEPT);
            SPARE.set((head.unwrap_or_default(), body));
            outcome
        }
        Err(EnterError::Stopping) if process.settings().is_daemon() => Outcome::Retry(RetryReason::Stopping),
        Err(error) => {
            exchange.log(Level::Error, error.to_string().as_bytes());
            Outcome::Refused(if matches!(error, EnterError::Stopping) { 503 } else { 500 })
        }
    }
}

/// The part of a request during which the thread is attached.
fn attend(
    py: Attached<'_>,
    host: &Host,
    view: &RequestView<'_>,
    exchange: &mut RemoteExchange<'_>,
) -> Ending {
    // A request may be made by a filter on another's reply, on the same thread; until this one has its own log, nothing
    // of it may go to that one's, whose exchange this thread is using.
    let outer = error_log::set_current(None);
    let ending = attend_alone(py, host, view, exchange);
    error_log::set_current(outer);
    ending
}

fn attend_alone(
    py: Attached<'_>,
    host: &Host,
    view: &RequestView<'_>,
    exchange: &mut RemoteExchange<'_>,
) -> Ending {
    let toolkit = match host.take_toolkit(py) {
        Ok(toolkit) => toolkit,
        Err(raised) => {
            Report::Process(host.place().settings()).write(py, Level::Error, raised.take().lines());
            return Ending::Over(Outcome::Refused(500));
        }
    };
    let transaction = Rc::clone(&toolkit.transaction);
    error_log::set_current(Some(Rc::clone(&transaction)));
    // Of a reply that was broken off: none of it may go out on this exchange.
    let _ = transaction.take_kept(py);
    let ending = transaction.lease().lend(exchange, || {
        transaction.begin(view);
        let ending = guard(
            || call(py, host, view, &toolkit),
            |panic| {
                py.clear_exception();
                let text =
                    format!("{}: Internal error of oxwsgi while serving the request: {panic}", Number(1006));
                Report::Request(&transaction).write(py, Level::Critical, vec![text]);
                Ending::Over(match transaction.stage.get() {
                    Stage::Silent | Stage::HeadKnown => Outcome::Refused(500),
                    Stage::HeadSent | Stage::Complete => Outcome::Broken,
                })
            },
        );
        transaction.end(py);
        ending
    });
    error_log::set_current(None);
    host.give_back(py, toolkit);
    ending
}

fn call(py: Attached<'_>, host: &Host, view: &RequestView<'_>, toolkit: &Toolkit) -> Ending {
    let transaction = &*toolkit.transaction;
    let report = Report::Request(transaction);
    let search = Search { place: host.place(), report, target: &view.target };
    let application = match host.scripts().find(py, &search) {
        Ok(application) => application,
        Err(refusal) => return Ending::Over(refusal.into()),
    };
    let (head, body) = SPARE.take();
    transaction.head.replace(head);
    transaction.head.borrow_mut().clear();
    let called = host.environ().build(py, view, toolkit, thread_id()).and_then(|environ| {
        transaction.accepted();
        application.call_two(&environ, toolkit.start_response(py))
    });
    match called {
        Ok(result) => reply::deliver(py, host, transaction, result, view.target.title(), body),
        Err(raised) => Ending::Over(reply::failed(py, host, transaction, raised.take(), view.target.title())),
    }
}

fn thread_id() -> u32 {
    THREAD_ID.with(|id| {
        if id.get() == 0 {
            id.set(THREADS.fetch_add(1, Ordering::Relaxed) + 1);
        }
        id.get()
    })
}
