//! What others find in this library: the server's module a function table, a `python` that is to be a daemon process an
//! extension module.

#![allow(unsafe_code, reason = "turns the pointers of C calls into references")]

use oxwsgi_core::abi::{Header, Import, Message, RuntimeTable, Start};
use oxwsgi_core::boundary::guard;
use oxwsgi_core::exchange::{Exchange, Outcome, RemoteExchange};
use oxwsgi_core::report::Level;
use oxwsgi_core::request::RequestView;

use crate::python::{Definition, define};
use crate::{worker, wsgi};

static TABLE: RuntimeTable =
    RuntimeTable { header: Header::of::<RuntimeTable>(), start, import, serve, stop };

/// Gives the table. See `oxwsgi_core::abi::Entry`.
#[unsafe(no_mangle)]
pub extern "C" fn oxwsgi_runtime() -> *const RuntimeTable {
    &raw const TABLE
}

/// The extension module `oxwsgi_runtime`. See `oxwsgi_core::daemon::bootstrap`.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "Python asks for this name")]
pub extern "C" fn PyInit_oxwsgi_runtime() -> Definition {
    define(c"oxwsgi_runtime", worker::run)
}

unsafe extern "C" fn start(start: *const Start<'_>, message: *mut Message) -> bool {
    // SAFETY: the caller passes its own message, for the call.
    let message = unsafe { &mut *message };
    // SAFETY: the caller passes a reference, and its header stands first in every version.
    let header = unsafe { (&raw const (*start).header).read() };
    if !header.fits::<Start<'_>>() {
        message.set(&format!(
            "the server's module is of version {}, the runtime of {}: install both from one package",
            String::from_utf8_lossy(&header.package_version),
            env!("CARGO_PKG_VERSION")
        ));
        return false;
    }
    // SAFETY: the caller passes a reference, and the structure is the one that this build knows.
    let start = unsafe { &*start };
    match guard(|| wsgi::start(start), |panic| Err(format!("internal error of oxwsgi: {panic}"))) {
        Ok(()) => true,
        Err(text) => {
            message.set(&text);
            false
        }
    }
}

unsafe extern "C" fn import(import: *const Import<'_>) {
    // SAFETY: the caller passes a reference.
    let import = unsafe { &*import };
    // A panic has been reported by the panic hook; the script will be loaded, or fail, with its first request.
    guard(|| wsgi::import(import), |_| false);
}

unsafe extern "C" fn serve(view: *const RequestView<'_>, exchange: *mut RemoteExchange<'_>) -> Outcome {
    // SAFETY: the caller passes a reference.
    let view = unsafe { &*view };
    // SAFETY: the caller passes a unique reference.
    let exchange = unsafe { &mut *exchange };
    // Panics while the application runs are caught inside; what is left is before the head or after the last byte.
    let outcome = guard(|| Ok(wsgi::serve(view, exchange)), |panic| Err(panic.to_owned()));
    outcome.unwrap_or_else(|panic| {
        exchange.log(Level::Critical, format!("WSGI1006: Internal error of oxwsgi: {panic}").as_bytes());
        Outcome::Broken
    })
}

unsafe extern "C" fn stop() {
    guard(wsgi::stop, |_| ());
}
