//! Daemon mode as the server module sees it: where a request goes whose process group is not the server itself.
//!
//! Knows no server; `apache` and its like use it. [`client`] hands requests to a group's processes; [`groups`] finds the
//! group of a request; [`inquiry`] asks the groups' homes for their Pythons; [`launch`] starts the supervisor of all groups.

// nginx finds the group of a location when it reads its configuration.
#[cfg(feature = "apache")]
pub mod groups;
pub mod inquiry;

#[cfg(feature = "apache")]
pub use oxwsgi_client as client;
pub use oxwsgi_launch as launch;
