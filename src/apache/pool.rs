//! apr memory pools: memory that lasts as long as what it belongs to (a request, a configuration, the process).
//!
//! A pool has no lock: its handle stays on the thread that owns the pool.

#![allow(unsafe_code, reason = "apr hands out raw memory")]

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use oxwsgi_core::boundary::guard;

use crate::apache::ffi;

handle! {
    /// A pool that is not cleared before `'a` ends.
    Pool of apr_pool_t
}

impl<'p> Pool<'p> {
    /// Memory for `count` values of `T`, not yet written.
    #[inline]
    pub fn room<T: Copy>(self, count: usize) -> &'p mut [MaybeUninit<T>] {
        const { assert!(align_of::<T>() <= 8, "apr_palloc aligns to 8 bytes") }
        let size = count.checked_mul(size_of::<T>()).expect("a size that no address space holds");
        // SAFETY: the pool is valid (`from_raw`). httpd ends the process when memory runs out: never null.
        let start = unsafe { ffi::apr_palloc(self.as_raw(), size) };
        // SAFETY: `size` fresh bytes, aligned to 8, nobody else's until the pool is cleared, and uninitialised is what the
        // type says.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), count) }
    }

    /// A copy of `bytes` as C text. A NUL among them ends the text early for its readers.
    #[inline]
    pub fn c_text(self, bytes: &[u8]) -> *mut c_char {
        // SAFETY: the pool is valid; the bytes are readable and copied.
        unsafe { ffi::apr_pstrmemdup(self.as_raw(), bytes.as_ptr().cast(), bytes.len()) }
    }

    /// Moves `value` into the pool; it is dropped when the pool is cleared.
    pub fn place<T: 'static>(self, value: T) -> &'p mut T {
        let placed = Box::into_raw(Box::new(value));
        // SAFETY: the cleanup gets the box's own address, once, when the pool ends; `T` borrows nothing that could have
        // ended before.
        unsafe { self.on_clear(placed.cast(), drop_boxed::<T>) };
        // SAFETY: just made, and freed only when the pool is cleared, after `'p`.
        unsafe { &mut *placed }
    }

    /// Has `cleanup` called with `data` when the pool is cleared, before its memory goes; not in a process about to
    /// `exec`.
    ///
    /// # Safety
    /// `cleanup` may be called with `data` at any time until then, on the pool's thread.
    pub unsafe fn on_clear(self, data: *mut c_void, cleanup: Cleanup) {
        // SAFETY: the pool is valid; the caller answers for the rest.
        unsafe {
            ffi::apr_pool_cleanup_register(
                self.as_raw(),
                data,
                Some(cleanup),
                Some(ffi::apr_pool_cleanup_null),
            );
        }
    }
}

/// What apr calls when a pool is cleared.
pub type Cleanup = unsafe extern "C" fn(*mut c_void) -> ffi::apr_status_t;

unsafe extern "C" fn drop_boxed<T>(data: *mut c_void) -> ffi::apr_status_t {
    // SAFETY: `place` registered this with the address of a box of `T`, and apr calls it once.
    let value = unsafe { Box::from_raw(data.cast::<T>()) };
    guard(|| drop(value), |_| ());
    0
}
