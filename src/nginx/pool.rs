//! nginx's memory pools: memory that lasts as long as what it belongs to (a request, a connection, a configuration).
//!
//! A pool has no lock: its handle stays on the thread of the event loop.

#![allow(unsafe_code, reason = "nginx hands out raw memory")]

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::nginx::ffi;

handle! {
    /// A pool that is not destroyed before `'a` ends.
    Pool of ngx_pool_t
}

/// nginx found no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory is left")]
pub struct OutOfMemory;

impl<'p> Pool<'p> {
    /// Memory for `count` values of `T`, not yet written.
    #[inline]
    pub fn room<T: Copy>(self, count: usize) -> Result<&'p mut [MaybeUninit<T>], OutOfMemory> {
        const { assert!(align_of::<T>() <= align_of::<usize>(), "ngx_palloc aligns to the size of a pointer") }
        let size = count.checked_mul(size_of::<T>()).ok_or(OutOfMemory)?;
        // SAFETY: the pool is valid (`from_raw`).
        let start = unsafe { ffi::ngx_palloc(self.as_raw(), size) };
        let start = NonNull::new(start).ok_or(OutOfMemory)?;
        // SAFETY: `size` fresh bytes, aligned, nobody else's until the pool is destroyed, and uninitialised is what the type
        // says.
        Ok(unsafe { std::slice::from_raw_parts_mut(start.as_ptr().cast(), count) })
    }

    /// A copy of `bytes`, and a NUL behind it that is not part of the text.
    pub fn text(self, bytes: &[u8]) -> Result<ffi::ngx_str_t, OutOfMemory> {
        let room = self.room::<u8>(bytes.len() + 1)?;
        for (place, byte) in room.iter_mut().zip(bytes.iter().chain([&0])) {
            place.write(*byte);
        }
        Ok(ffi::ngx_str_t { len: bytes.len(), data: room.as_mut_ptr().cast() })
    }

    /// Moves `value` into the pool; it is dropped when the pool is destroyed.
    pub fn place<T: 'static>(self, value: T) -> Result<&'p mut T, OutOfMemory> {
        let placed = Box::into_raw(Box::new(value));
        // SAFETY: the cleanup gets the box's own address, once, when the pool ends; `T` borrows nothing that could have
        // ended before.
        let registered = unsafe { self.on_destroy(placed.cast(), drop_boxed::<T>) };
        if let Err(error) = registered {
            // SAFETY: the box made above, which nobody else has.
            drop(unsafe { Box::from_raw(placed) });
            return Err(error);
        }
        // SAFETY: just made, and freed only when the pool is destroyed, after `'p`.
        Ok(unsafe { &mut *placed })
    }

    /// Has `cleanup` called with `data` when the pool is destroyed, before its memory goes; last registered, first called.
    ///
    /// # Safety
    /// `cleanup` may be called with `data` at any time until then, on the pool's thread.
    pub unsafe fn on_destroy(self, data: *mut c_void, cleanup: Cleanup) -> Result<(), OutOfMemory> {
        // SAFETY: the pool is valid; 0 asks for no memory of its own.
        let row = unsafe { ffi::ngx_pool_cleanup_add(self.as_raw(), 0) };
        let row = NonNull::new(row).ok_or(OutOfMemory)?.as_ptr();
        // SAFETY: a record in the pool, just made, that only this thread sees.
        unsafe { (*row).data = data };
        // SAFETY: as above; the caller answers for the call.
        unsafe { (*row).handler = Some(cleanup) };
        Ok(())
    }
}

/// What nginx calls when a pool is destroyed.
pub type Cleanup = unsafe extern "C" fn(*mut c_void);

unsafe extern "C" fn drop_boxed<T>(data: *mut c_void) {
    // SAFETY: `place` registered this with the address of a box of `T`, and nginx calls it once.
    let value = unsafe { Box::from_raw(data.cast::<T>()) };
    catch!((), drop(value));
}
