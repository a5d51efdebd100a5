//! One request, borrowed from the server's memory.

use std::fmt;

use crate::borrowed::Slice;
use crate::request::{ExtraVariable, Field, Target, Variables};

/// Which credentials of the request the application sees.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Authorization {
    /// None; the server keeps them.
    #[default]
    Hidden = 0,
    /// `HTTP_AUTHORIZATION` (`WSGIPassAuthorization On`).
    Passed = 1,
    /// `HTTP_AUTHORIZATION` and `HTTP_PROXY_AUTHORIZATION` (httpd's `CGIPassAuth On`).
    AllPassed = 2,
}

/// What is known of the request body's length.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BodyLength {
    /// There is no body: reading gives the end at once.
    #[default]
    None,
    /// Bytes on the wire; a filter may still make it longer or shorter, so it is a hint for buffer sizes.
    Bytes(u64),
    /// Until the flow ends (chunked, HTTP/2 without a length).
    UntilEnd,
}

/// One request. Valid, with all it borrows, until `serve` returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    /// What the server computed; wins over `extra` where both name a key.
    pub variables: Variables<'a>,
    /// Request headers as received, to be turned into `HTTP_*`, `CONTENT_TYPE` and `CONTENT_LENGTH`.
    pub headers: Slice<'a, Field<'a>>,
    /// Variables set by configuration and other modules; a header of the same key wins over them.
    pub extra: Slice<'a, ExtraVariable<'a>>,
    /// Which application answers.
    pub target: Target<'a>,
    /// Length of the body.
    pub body: BodyLength,
    /// Which credentials are shown.
    pub authorization: Authorization,
    /// `wsgi.url_scheme` is `https`.
    pub https: bool,
    /// The client asked with HEAD, whatever `REQUEST_METHOD` says: no body reaches it.
    pub head: bool,
    /// A filter of the server works on the content of the reply: every block goes through it on the request's own thread
    /// as it comes, for such a filter may do anything, up to serving another request.
    pub content_filters: bool,
    /// A file is to come as bytes: the server keeps copies of replies, or is told not to take files.
    pub files_as_data: bool,
    /// When the server began to read the request, in microseconds since the epoch.
    pub request_start: i64,
    /// When the server gave the request to a daemon group, in microseconds since the epoch; 0 in embedded mode.
    pub queue_start: i64,
    /// When a thread of the daemon process took it, in microseconds since the epoch; 0 in embedded mode.
    pub daemon_start: i64,
}

impl fmt::Debug for RequestView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may hold credentials and are left out.
        f.debug_struct("RequestView")
            .field("target", &self.target)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
