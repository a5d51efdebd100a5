//! What is configured: the blocks that nginx makes, fills by directives, and merges from `http { }` to the innermost location.
//!
//! Changed only while a configuration is read; requests and daemon groups read it, and it lives as long as its cycle.

mod application;
mod group;
mod location;
mod main;
mod named;
mod upstream;
mod value;

pub use application::{Application, Param};
pub use group::{Group, IMPLICIT, Variable};
pub use location::{LocationConfig, Pass};
pub use main::{Import, MainConfig};
pub use named::Named;
pub use upstream::three_way;
pub use value::{AlreadyLogged, Value};
