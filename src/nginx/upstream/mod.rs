//! Serves requests: a client of daemon groups in nginx's event loop, by nginx's own upstream module.
//!
//! [`handler`] begins with a request, and [`setup`] says what nginx calls from then on: [`frame`] makes the request's frame,
//! [`peer`] has a connection for it ([`group`], [`link`], [`event`]), [`request_body`] writes to it ([`upload`]), [`receive`]
//! reads from it; [`header`] and then [`buffered`] or [`unbuffered`] make a reply of what is read. [`exchange`] is what they
//! have in common, with an [`attempt`] for each connection. [`refusal`] when there will be no reply, [`watch`] when nobody would notice that; [`remainder`] what comes
//! after a reply; [`lines`] for the log.
//!
//! Everything runs on the thread of the event loop, and nothing waits. A function that nginx's upstream module calls never
//! ends the request, for its caller goes on with it: what is to end it is an event of its own.

mod attempt;
mod buffered;
mod event;
mod exchange;
mod frame;
mod group;
mod handler;
mod header;
mod lines;
mod link;
mod peer;
mod receive;
mod refusal;
mod remainder;
mod request_body;
mod setup;
mod unbuffered;
mod upload;
mod watch;

pub use exchange::measures;
pub use handler::{handle, server};
