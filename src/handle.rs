//! Borrowed handles to records of the server's. The server and other modules write to them at any call, so no Rust reference
//! to one is ever made: fields are read and written one at a time through the handle.

/// A type that stands for a record of the server's C interface, which the caller's module names `ffi`.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident of $raw:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<'a> {
            raw: std::ptr::NonNull<ffi::$raw>,
            owner: std::marker::PhantomData<&'a ()>,
        }

        impl std::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.raw).finish()
            }
        }

        impl<'a> $name<'a> {
            /// # Safety
            /// `raw` is a record of the server's that lives until `'a` ends and that no other thread uses meanwhile.
            #[inline]
            pub unsafe fn from_raw(raw: *mut ffi::$raw) -> Self {
                // SAFETY: the caller passes a record, and no record is at address 0.
                let raw = unsafe { std::ptr::NonNull::new_unchecked(raw) };
                Self { raw, owner: std::marker::PhantomData }
            }

            /// For calls to the server.
            #[inline]
            pub const fn as_raw(self) -> *mut ffi::$raw {
                self.raw.as_ptr()
            }
        }
    };
}

/// A field of the record behind a handle, by value.
macro_rules! field {
    ($handle:expr, $($path:ident).+) => {{
        let record = $handle.as_raw();
        // SAFETY: the handle's record is alive (`from_raw`), and the field is read by value.
        unsafe { (*record).$($path).+ }
    }};
}
