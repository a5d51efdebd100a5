//! httpd's own records as borrowed handles. httpd and other modules write to them at any call, so no Rust reference to
//! one is ever made: fields are read and written one at a time through the handle.

#![allow(unsafe_code, reason = "reads and writes fields of httpd's structures")]

use std::ffi::{CStr, c_char};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::apache::ffi;
use crate::apache::pool::Pool;

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident of $raw:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<'a> {
            raw: NonNull<ffi::$raw>,
            owner: PhantomData<&'a ()>,
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.raw).finish()
            }
        }

        impl<'a> $name<'a> {
            /// # Safety
            /// `raw` is a record of httpd's that lives until `'a` ends and that no other thread uses meanwhile.
            #[inline]
            pub unsafe fn from_raw(raw: *mut ffi::$raw) -> Self {
                // SAFETY: the caller passes a record, and no record is at address 0.
                let raw = unsafe { NonNull::new_unchecked(raw) };
                Self { raw, owner: PhantomData }
            }

            /// For calls to httpd.
            #[inline]
            pub const fn as_raw(self) -> *mut ffi::$raw {
                self.raw.as_ptr()
            }
        }
    };
}

handle! {
    /// A virtual host, or the main server (`server_rec`).
    Server of server_rec
}

handle! {
    /// A request being served (`request_rec`).
    Request of request_rec
}

/// A field of the record behind a handle, by value.
macro_rules! field {
    ($handle:expr, $($path:ident).+) => {{
        let record = $handle.as_raw();
        // SAFETY: the handle's record is alive (`from_raw`), and the field is read by value.
        unsafe { (*record).$($path).+ }
    }};
}

impl<'a> Request<'a> {
    /// The request's own pool.
    #[inline]
    pub fn pool(self) -> Pool<'a> {
        let pool = field!(self, pool);
        // SAFETY: the pool lives as long as the record, which it holds.
        unsafe { Pool::from_raw(pool) }
    }

    /// The virtual host.
    #[inline]
    pub fn server(self) -> Server<'a> {
        let server = field!(self, server);
        // SAFETY: servers outlive their requests.
        unsafe { Server::from_raw(server) }
    }
}

/// The bytes of C text; `None` for null.
///
/// # Safety
/// `text` is null, or C text that stays unchanged until `'a` ends.
#[inline]
pub unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, so C text by the caller's word.
    Some(unsafe { CStr::from_ptr(text) }.to_bytes())
}
