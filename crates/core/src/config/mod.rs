//! The directives and what they set. Knows no server: setters work on words, so that all of it is tested alone.
//!
//! [`directive`] is the one table that command arrays, documentation and tests come from. A directive sets a field of
//! the block it belongs to: [`DirectorySettings`] (what a request asks for; merged from server to directory),
//! [`ServerSettings`] (of a virtual host) or [`ProcessSettings`] (of all, daemon groups among them). Fields are `Option` until
//! [`DirectorySettings::resolve`] and [`ProcessSettings::resolve`] apply the defaults.

#![forbid(unsafe_code)]

mod alias;
mod daemon;
pub mod directive;
mod directory;
mod document;
mod error;
mod host;
mod options;
mod pass;
mod process;
mod server;
mod value;

pub use alias::{Groups, Mapped, Preload, Regex, ScriptAlias};
pub use daemon::{DaemonGroup, DaemonOption, Limits, OPTIONS, Resources, ScriptOwner};
pub use directory::{DirectorySettings, HandlerScript, MapHeadToGet, RequestSettings, Route};
pub use document::markdown;
pub use error::{ConfigError, DirectiveError};
pub use host::{Foreign, Host, Hosts};
pub use options::ScriptOptions;
pub use pass::{Application, Script, is_dotted_name};
pub use process::{ImportScript, ProcessSettings, PythonSettings};
pub use server::ServerSettings;
