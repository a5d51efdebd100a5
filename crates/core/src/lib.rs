//! What the server side and the Python side share: the request, the exchange, the settings, and the C contract
//! between the two. No Python, no server, and almost no unsafe, so that all of it can be tested alone.
//!
//! Modules, each importing only those before it:
//! [`borrowed`] bytes and slices with a C layout; [`dialect`] what each server calls its settings; [`report`] levels and
//! numbered messages; [`boundary`] keeps panics out of C; [`os`] what the operating system is asked for; [`home`] finds a
//! Python; [`request`] what came in;
//! [`config`] the directives and what they set; [`exchange`] the two byte flows of a request; [`abi`] the function
//! tables the two shared objects hand each other; [`wire`] the same request and reply between two processes; [`daemon`]
//! what those processes hand each other besides; [`worker`] what one of them decides by itself.

pub mod abi;
pub mod borrowed;
pub mod boundary;
pub mod config;
pub mod daemon;
pub mod dialect;
pub mod exchange;
pub mod home;
pub mod os;
pub mod report;
pub mod request;
pub mod wire;
pub mod worker;
