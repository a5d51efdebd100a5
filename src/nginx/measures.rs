//! What is known of a request after a daemon process has answered it, for variables.

use std::time::Duration;

/// Kept with a request while it is served; each is `None` until it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// From the moment that the request was given to its group until a thread took it.
    pub queue_time: Option<Duration>,
    /// From then on until the reply was complete.
    pub application_time: Option<Duration>,
    /// Status of the reply as the application gave it, whatever the client has got.
    pub status: Option<u16>,
}
