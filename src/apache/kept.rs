//! What outlasts a reading of the configuration. httpd unloads this module in between, with all its statics; so it is plain
//! bytes, under a name, in the pool of httpd's process.
//!
//! Only the parent's one thread uses it.

#![allow(unsafe_code, reason = "memory of httpd's that outlasts this module")]

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use crate::apache::ffi;
use crate::apache::pool::Pool;
use crate::apache::record::Server;

/// A place in the pool of the process. Memory that is written there is never freed: for few bytes and rare writers.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    process: Pool<'a>,
    name: &'static CStr,
}

impl<'a> Kept<'a> {
    /// The place of that name.
    pub fn new(main: Server<'a>, name: &'static CStr) -> Self {
        // SAFETY: the handle's record is alive, and the process's record lasts for ever.
        let process = unsafe { (*(*main.as_raw()).process).pool };
        // SAFETY: the parent's only thread reads the configuration.
        Self { process: unsafe { Pool::from_raw(process) }, name }
    }

    /// What was left there.
    pub fn get(self) -> Option<&'a [u8]> {
        let mut data: *mut c_void = ptr::null_mut();
        // SAFETY: C text, and our own variable.
        unsafe { ffi::apr_pool_userdata_get(&raw mut data, self.name.as_ptr(), self.process.as_raw()) };
        if data.is_null() {
            return None;
        }
        // SAFETY: not null, so what `set` has put there: the length first.
        let length = unsafe { data.cast::<usize>().read() };
        // SAFETY: the bytes follow, as many as it says, and nobody changes them.
        Some(unsafe { std::slice::from_raw_parts(data.cast::<usize>().add(1).cast(), length) })
    }

    /// Leaves `bytes` there.
    pub fn set(self, bytes: &[u8]) {
        const LENGTH: usize = size_of::<usize>();
        let room = self.process.room::<u64>((LENGTH + bytes.len()).div_ceil(size_of::<u64>()));
        let written = bytes.len().to_ne_bytes().into_iter().chain(bytes.iter().copied());
        let words: &mut [MaybeUninit<u64>] = room;
        let start = words.as_mut_ptr().cast::<u8>();
        for (at, byte) in written.enumerate() {
            // SAFETY: the room has at least as many bytes as are written.
            unsafe { start.add(at).write(byte) };
        }
        self.set_raw(start.cast());
    }

    /// Leaves nothing there.
    pub fn clear(self) {
        self.set_raw(ptr::null());
    }

    fn set_raw(self, data: *const c_void) {
        // SAFETY: data of the same pool, and no cleanup, which would be code of ours. The name is a literal, of which apr keeps
        // a copy in its own memory.
        unsafe { ffi::apr_pool_userdata_set(data, self.name.as_ptr(), None, self.process.as_raw()) };
    }
}
