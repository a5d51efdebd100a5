//! What came in: one request as the server's adapter hands it to the gateway.
//!
//! Everything is borrowed from the server's own memory and has a C layout, for it crosses to the runtime's shared
//! object. This folder knows no server and no Python; it does not read the body (that is [`crate::exchange`]).

#![forbid(unsafe_code)]

mod field;
mod forwarded;
mod name;
mod network;
pub mod path;
mod target;
mod variable;
mod view;

pub use field::{ExtraVariable, Field};
pub use forwarded::{Forwarded, ProxyHeader, Trust};
pub use name::{Callable, CallableName, Expression, Name, NameSource};
pub use network::{Network, NotANetwork};
pub use target::{ScriptKind, ScriptTitle, Target};
pub use variable::{Variable, Variables};
pub use view::{Authorization, BodyLength, RequestView};
