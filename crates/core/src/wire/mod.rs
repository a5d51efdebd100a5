//! Requests and replies between a server and a daemon process, as frames on a stream socket. Encodes and decodes
//! slices and does nothing else, so that blocking clients, event loops and workers share it.
//!
//! A frame is a header of eight bytes, `length: u32, kind: u8, flags: u8, 0: u16` (little endian), and `length` bytes of payload.
//! The server sends `REQUEST`, and the parts of its body when the worker asks for them with `READ`. The worker says `HELLO` when it has
//! taken the connection, and answers with one `HEAD`, the body, and an `END`: a reply that stops without one is broken. The
//! body is any number of `DATA`, or one `FILE`, and then the `HEAD` says so (flag 1) and the `FILE` is the next frame, so that
//! the server knows before the first byte which way the body goes. `LOG` may come at any other time before the end. `RETRY`
//! instead of an answer gives the request back.
//!
//! Both sides hold the other's words for a claim: lengths are bounded and contents checked before they are believed.

#![forbid(unsafe_code)]

mod body;
mod body_flow;
mod field;
mod frame;
mod reply;
mod request;

pub use body::{BodyFrame, encode_body_end, encode_body_failed, encode_body_header};
pub use body_flow::{BodyError, BodyFlow};
pub use frame::{FrameHeader, HEADER, Kind, WireError};
pub use reply::{
    DecodedHead, Hello, LONGEST_HEAD, LONGEST_LOG, MOST_DATA, MOST_HEAD_FIELDS, ReplyFrame, announce_file,
    encode_data_header, encode_end, encode_file, encode_head, encode_hello, encode_log, encode_read,
    encode_retry,
};
pub use request::{
    DecodedRequest, Inline, LAST_SEQUENCE, LONGEST_REQUEST, RequestHead, encode_request, set_sequence,
};
